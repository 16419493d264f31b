//! What a service reports about itself: the datagrams of `sd_notify(3)`, accepted only from its own tree.
//!
//! The socket is a file that only the service's user may write to, in a folder of core that every user may pass. If its
//! path is too long for a socket, it has an abstract name of random bytes. Either address is in the record, so that a
//! shim that takes over opens it again. What was reported is kept in a file next to the records: a supervisor can read
//! it at any time, and it outlives every process of core.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket, sockopt};

use super::Shim;
use crate::message;
use crate::record::Notified;
use crate::sys;
use crate::tree;

/// Datagrams are a few lines long; the rest of a longer one is cut off.
const LONGEST: usize = 4096;
/// Maximum number of datagrams that are read before other events are handled.
const MOST_AT_ONCE: usize = 64;
/// The variable that names the socket.
const VARIABLE: &[u8] = b"NOTIFY_SOCKET=";

/// The value of `NOTIFY_SOCKET` in the first releases: `@` stands for the zero byte of an abstract name.
pub fn address(mark: &str) -> String {
    format!("@core-notify/{mark}")
}

/// The socket on which a service reports its state.
pub(super) struct Notifier(OwnedFd);

impl Notifier {
    /// Opens it at a path, or under an abstract name.
    pub(super) fn open(address: &str, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::PassCred, &true)?;
        if let Some(name) = address.strip_prefix('@') {
            bind(fd.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
            return Ok(Self(fd));
        }
        let path = Path::new(address);
        if let Some(folder) = path.parent() {
            match DirBuilder::new().mode(0o711).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let _ = fs::remove_file(path);
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        if let Some((user, group)) = owner {
            lchown(path, Some(user), Some(group))?;
        }
        Ok(Self(fd))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The next datagram: the PID of its sender, and its text. Descriptors that came with it are closed, which is what
    /// a barrier waits for.
    fn next(&self) -> Result<(u32, String), Errno> {
        let mut buffer = [0; LONGEST];
        let message = message::receive(self.0.as_fd(), &mut buffer)?;
        Ok((message.sender.unwrap_or(0), String::from_utf8_lossy(&buffer[..message.bytes]).into_owned()))
    }
}

impl Shim {
    /// Opens the socket for an invocation that reports its own state. Returns its address.
    pub(super) fn listen_to(&mut self, owner: Option<(u32, u32)>) -> io::Result<String> {
        self.notifier = None;
        let path = self.place.notify_socket();
        let address = if UnixAddr::new(&path).is_ok() {
            String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned()
        } else {
            let mut bytes = [0_u8; 16];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
            format!("@core-notify/{:032x}", u128::from_ne_bytes(bytes))
        };
        self.notifier = Some(Notifier::open(&address, owner)?);
        Notified { number: self.number, ..Notified::default() }.write(&self.place.notified())?;
        Ok(address)
    }

    /// Reads the datagrams that have arrived.
    pub(super) fn hear(&mut self) {
        let Some(notifier) = &self.notifier else { return };
        let mut heard = Vec::new();
        while heard.len() < MOST_AT_ONCE {
            match notifier.next() {
                Ok(datagram) => heard.push(datagram),
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        if heard.is_empty() {
            return;
        }
        // A sender that has exited since and was not reaped is still a descendant.
        let (below, tree) = (tree::descendants(self.pid), self.tree().members());
        for (sender, text) in heard {
            if below.contains(&sender) || tree.contains(&sender) {
                self.note_down(&text);
            }
        }
    }

    fn note_down(&self, text: &str) {
        let mut said = Notified::read(&self.place.notified()).unwrap_or_default();
        if said.number != self.number {
            said = Notified { number: self.number, ..Notified::default() };
        }
        for line in text.lines() {
            match line.split_once('=') {
                // From here on its watchdog runs, too.
                Some(("READY", "1")) => {
                    (said.ready, said.stopping, said.beat_ns) = (true, false, sys::monotonic_ns());
                }
                Some(("RELOADING", "1")) => said.ready = false,
                Some(("STOPPING", "1")) => said.stopping = true,
                Some(("STATUS", status)) => status.clone_into(&mut said.status),
                Some(("WATCHDOG", "1")) => said.beat_ns = sys::monotonic_ns(),
                _ => {}
            }
        }
        let _ = said.write(&self.place.notified());
    }
}

/// The environment of a service, with the address of its socket.
pub(super) fn with_address(env: &[Vec<u8>], address: &str) -> Vec<Vec<u8>> {
    let mut env: Vec<Vec<u8>> = env.iter().filter(|pair| !pair.starts_with(VARIABLE)).cloned().collect();
    env.push([VARIABLE, address.as_bytes()].concat());
    env
}
