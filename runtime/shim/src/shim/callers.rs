//! Who connects to the shim's socket: another supervisor, or `core down` where there is none. Whoever it is takes the
//! place of the present line with the first request that we understand, and not before: to connect is not enough.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::Shim;
use super::line::Line;
use crate::wire::{Life, Request};

/// The most callers that may be about to say something. One more, and the first of them is sent away.
const MOST_CALLERS: usize = 8;

/// Somebody who has connected and was told how we stand.
pub(super) struct Caller {
    pub(super) line: Line,
    /// What he was told: the number of the last invocation, and how it stands.
    told: (u32, Life),
}

/// The socket on which we are found.
pub(super) struct Listener {
    socket: UnixListener,
    /// Device and inode of its path, by which it is told from another one in its place.
    identity: (u64, u64),
}

impl Listener {
    /// Opens it; what stood in its place is of a shim that is gone.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let _ = fs::remove_file(path);
        let socket = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        let meta = fs::metadata(path)?;
        Ok(Self { socket, identity: (meta.dev(), meta.ino()) })
    }

    /// Whether it is what whoever connects to `path` meets.
    pub(super) fn is_found_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Shim {
    /// Takes in whoever has connected.
    pub(super) fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let stream = match listener.socket.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No descriptor is left: it stays in the queue until there is one.
                self.is_deaf = error.kind() != io::ErrorKind::WouldBlock;
                return;
            }
        };
        let mine = nix::unistd::geteuid();
        let peer = nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::PeerCredentials);
        if !peer.is_ok_and(|peer| peer.uid() == mine.as_raw() || peer.uid() == 0) {
            return;
        }
        let mut line = Line::new(OwnedFd::from(stream));
        line.send(&self.hello().encode(), &[]);
        let caller = Caller { line, told: (self.number, self.life) };
        if self.callers.len() >= MOST_CALLERS {
            self.callers.remove(0);
        }
        self.callers.push(caller);
        if self.line.is_none() {
            self.promote_last_caller();
        }
    }

    /// Hears callers out, as far as they have said something.
    pub(super) fn read_callers(&mut self, spoken: &[bool]) {
        let callers = std::mem::take(&mut self.callers);
        for (mut caller, spoken) in callers.into_iter().zip(spoken) {
            let mut requests = VecDeque::new();
            let is_open = !spoken || caller.line.read(&mut requests);
            if !requests.is_empty() {
                self.promote(caller);
                self.carry_out_all(requests);
            } else if is_open {
                self.callers.push(caller);
            }
        }
    }

    /// The line has ended: whoever called last has it now.
    pub(super) fn promote_last_caller(&mut self) {
        if let Some(caller) = self.callers.pop() {
            self.promote(caller);
        }
    }

    /// From now on this is the line. What the one before it asked for and was not carried out yet is void.
    fn promote(&mut self, caller: Caller) {
        self.postponed.clear();
        self.line = Some(caller.line);
        if caller.told != (self.number, self.life) {
            self.say_hello();
        }
    }

    fn carry_out_all(&mut self, requests: VecDeque<(Request, Vec<OwnedFd>)>) {
        for (request, fds) in requests {
            self.carry_out(request, fds);
        }
    }
}
