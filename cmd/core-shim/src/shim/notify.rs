//! What a service says of itself: the datagrams of `sd_notify(3)`, heard from its own tree only.
//!
//! The socket has an abstract name made of the invocation's mark: it needs no folder that another user may enter, no
//! path that is too long, and a shim that takes over can open it again. What was said stands in a file beside the
//! records, so that a supervisor reads it there whenever it likes, and outlives every process of ours.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::ucred;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, recvmsg, setsockopt, socket,
    sockopt,
};

use super::Shim;
use crate::record::Notified;
use crate::sys;
use crate::tree;

/// Datagrams are a few lines; what is longer is cut off.
const LONGEST: usize = 4096;
/// Descriptors that may come beside a datagram (`FDSTORE`, `BARRIER`).
const MAX_FDS: usize = 16;

/// The value of `NOTIFY_SOCKET` for an invocation: `@` stands for the zero byte of an abstract name.
pub fn address(mark: &str) -> String {
    format!("@core-notify/{mark}")
}

/// The socket.
pub(super) struct Notifier(OwnedFd);

impl Notifier {
    pub(super) fn open(mark: &str) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::PassCred, &true)?;
        bind(fd.as_raw_fd(), &UnixAddr::new_abstract(&address(mark).as_bytes()[1..])?)?;
        Ok(Self(fd))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The next datagram: who sent it, and its text. Descriptors beside it are closed, which is what a barrier waits
    /// for.
    fn next(&self) -> Result<(u32, String), Errno> {
        let mut buffer = [0; LONGEST];
        let mut space = cmsg_space!(ucred, [RawFd; MAX_FDS]);
        let (count, sender) = {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<()>(self.0.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
            let mut sender = 0;
            for control in message.cmsgs()? {
                match control {
                    ControlMessageOwned::ScmCredentials(credentials) => sender = credentials.pid(),
                    ControlMessageOwned::ScmRights(fds) => {
                        for fd in fds {
                            // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
                            drop(unsafe { OwnedFd::from_raw_fd(fd) });
                        }
                    }
                    _ => {}
                }
            }
            (message.bytes, sender)
        };
        Ok((u32::try_from(sender).unwrap_or(0), String::from_utf8_lossy(&buffer[..count]).into_owned()))
    }
}

impl Shim {
    /// Opens the socket of an invocation that says itself when it is ready.
    pub(super) fn listen_to(&mut self, mark: &str) -> io::Result<()> {
        self.notifier = None;
        self.notifier = Some(Notifier::open(mark)?);
        Notified { number: self.number, ..Notified::default() }.write(&self.place.notified())
    }

    /// Takes in what was said.
    pub(super) fn hear(&mut self) {
        let Some(notifier) = &self.notifier else { return };
        let mut heard = Vec::new();
        loop {
            match notifier.next() {
                Ok(datagram) => heard.push(datagram),
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        for (sender, text) in heard {
            // Whoever has ended since and was not waited for still stands below us.
            if tree::descendants(self.pid).contains(&sender) || self.tree().members().contains(&sender) {
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
