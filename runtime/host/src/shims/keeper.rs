//! The line to the keeper, which the supervisor finds on descriptor 3.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use core_engine::InstanceId;
use core_shim::keeper::SUPERVISOR_FD;
use core_shim::wire::{KeeperReport, KeeperRequest, receive, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The line to the keeper.
pub struct Keeper {
    fd: AsyncFd<OwnedFd>,
}

impl Keeper {
    /// Takes the line we were started with.
    ///
    /// # Errors
    /// When there is none: we were not started by a keeper.
    pub fn inherit() -> io::Result<Self> {
        let is_socket = rustix::net::sockopt::socket_type(
            // SAFETY: only looked at; when it is open it is the line, which nobody else has taken.
            unsafe { std::os::fd::BorrowedFd::borrow_raw(SUPERVISOR_FD) },
        );
        if !matches!(is_socket, Ok(rustix::net::SocketType::SEQPACKET)) {
            return Err(io::Error::other("`core supervise` is started by its keeper only; use `core up`"));
        }
        // SAFETY: the keeper left it for us, and this is the only place that takes it.
        let fd = unsafe { OwnedFd::from_raw_fd(SUPERVISOR_FD) };
        // Nothing that we start has any business with it.
        let _ = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
        // SAFETY: the descriptor is owned by what is registered, and closed only with it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Self { fd })
    }

    /// Asks for shims; returns those that could not be asked for.
    pub fn fork(&self, batch: Vec<(InstanceId, OwnedFd)>) -> Vec<(InstanceId, io::Error)> {
        let mut failed = Vec::new();
        for part in batch.chunks(KeeperRequest::MOST) {
            let instances = part.iter().map(|(instance, _)| instance.to_string()).collect();
            let fds: Vec<RawFd> = part.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
            let packet = KeeperRequest::Fork { instances }.encode();
            if let Err(error) = self.send(&packet, &fds) {
                let kind = error.kind();
                failed.extend(part.iter().map(|(instance, _)| (instance.clone(), io::Error::from(kind))));
            }
        }
        failed
    }

    /// Says that users are answered.
    pub fn answering(&self) {
        let _ = self.send(&KeeperRequest::Answering.encode(), &[]);
    }

    /// Says that the stack has ended: the keeper may go when we have gone.
    pub fn farewell(&self, code: i32) {
        let _ = self.send(&KeeperRequest::Farewell { code }.encode(), &[]);
    }

    /// The keeper reads as fast as it forks; for the moment that takes, we wait.
    fn send(&self, packet: &[u8], fds: &[RawFd]) -> io::Result<()> {
        loop {
            match send(self.fd.get_ref().as_fd(), packet, fds) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EAGAIN) => {
                    let mut polled = [nix::poll::PollFd::new(self.fd.get_ref().as_fd(), nix::poll::PollFlags::POLLOUT)];
                    if nix::poll::poll(&mut polled, 5000_u16)? == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits for the next report; `None` when the keeper is gone.
    pub async fn next(&self) -> Option<KeeperReport> {
        loop {
            let mut ready = self.fd.readable().await.ok()?;
            let mut buffer = [0; 4096];
            let mut fds = std::collections::VecDeque::new();
            let read = ready.try_io(|fd| receive(fd.get_ref().as_fd(), &mut buffer, &mut fds).map_err(io::Error::from));
            match read {
                Ok(Ok(0) | Err(_)) => return None,
                Ok(Ok(count)) => {
                    if let Ok(Some(report)) = KeeperReport::decode(&buffer[..count]) {
                        return Some(report);
                    }
                }
                Err(_would_block) => {}
            }
        }
    }
}
