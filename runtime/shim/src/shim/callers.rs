//! Connections to the shim's socket: another supervisor, or `core down` if there is none. A caller replaces the current
//! connection with its first valid request, and not before: connecting alone is not enough.

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

/// Maximum number of callers that have not sent a request. With one more, the oldest is dropped.
const MOST_CALLERS: usize = 8;

/// A connected process that got the state of this shim.
pub(super) struct Caller {
    pub(super) line: Line,
    /// What it was told: the number of the last invocation, and its state.
    told: (u32, Life),
}

/// The socket through which this shim is reached.
pub(super) struct Listener {
    socket: UnixListener,
    /// Device and inode of its path, to tell it from another socket at that path.
    identity: (u64, u64),
}

impl Listener {
    /// Opens the socket; one that exists at the path belongs to a shim that is gone.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let _ = fs::remove_file(path);
        let socket = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        let meta = fs::metadata(path)?;
        Ok(Self { socket, identity: (meta.dev(), meta.ino()) })
    }

    /// Whether a process that connects to `path` reaches this socket.
    pub(super) fn is_found_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Shim {
    /// Accepts a connection, if one is waiting.
    pub(super) fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let stream = match listener.socket.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No descriptor is free: the connection stays in the queue until there is one.
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

    /// Reads the requests of callers that have sent something.
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

    /// The connection was closed: the last caller gets its place.
    pub(super) fn promote_last_caller(&mut self) {
        if let Some(caller) = self.callers.pop() {
            self.promote(caller);
        }
    }

    /// Makes this the connection. Requests on the previous one that were not carried out yet are dropped.
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
