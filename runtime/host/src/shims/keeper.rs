//! The connection to the keeper, which the supervisor inherits as descriptor 3.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use core_engine::InstanceId;
use core_shim::keeper::SUPERVISOR_FD;
use core_shim::wire::{KeeperReport, KeeperRequest, receive, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::keeper;
use crate::paths::Paths;

/// The longest message of a keeper, in bytes.
const LONGEST_REPORT: usize = 16 << 10;
/// How long a keeper may take to report what it has forked.
const SILENCE: Duration = Duration::from_secs(2);

/// The connection to the keeper.
pub struct Keeper {
    fd: AsyncFd<OwnedFd>,
    run: PathBuf,
    /// Whether it reports what it has forked; the first releases did not.
    answers: bool,
    /// Since when it owes a report about shims that it was asked for.
    asked_at: Cell<Option<Instant>>,
}

impl Keeper {
    /// Takes over the connection that this process was started with.
    ///
    /// # Errors
    /// There is no connection: this process was not started by a keeper.
    pub fn inherit(paths: &Paths) -> io::Result<Self> {
        let is_socket = rustix::net::sockopt::socket_type(
            // SAFETY: it is only examined; if it is open, it is the connection, which only this code takes.
            unsafe { std::os::fd::BorrowedFd::borrow_raw(SUPERVISOR_FD) },
        );
        if !matches!(is_socket, Ok(rustix::net::SocketType::SEQPACKET)) {
            return Err(io::Error::other("`core supervise` is started by its keeper only; use `core up`"));
        }
        // SAFETY: the keeper left it for this process, and only this code takes it.
        let fd = unsafe { OwnedFd::from_raw_fd(SUPERVISOR_FD) };
        // Child processes must not inherit it.
        let _ = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
        // SAFETY: the registered value owns the descriptor, and closes it only when dropped.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        let run = paths.run.clone();
        Ok(Self {
            fd,
            answers: keeper::Keeper::read(&run).is_some_and(|keeper| keeper.looks),
            run,
            asked_at: Cell::new(None),
        })
    }

    /// Asks for shims; returns those for which the request could not be sent.
    pub fn fork(&self, batch: Vec<(InstanceId, OwnedFd)>) -> Vec<(InstanceId, io::Error)> {
        let mut failed = Vec::new();
        if !batch.is_empty() && self.asked_at.get().is_none() {
            self.asked_at.set(Some(Instant::now()));
        }
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

    /// Whether it reports what it has forked. Without that, it is of the first releases, whose shims lack features too.
    pub fn answers(&self) -> bool {
        self.answers
    }

    /// Reports that this supervisor is alive.
    pub fn here(&self) {
        let _ = self.send(&KeeperRequest::Here.encode(), &[]);
    }

    /// Reports that the run folder was created again.
    pub fn be_found(&self) {
        let _ = self.send(&KeeperRequest::BeFound.encode(), &[]);
    }

    /// Reports that the control socket answers.
    pub fn answering(&self) {
        let _ = self.send(&KeeperRequest::Answering.encode(), &[]);
    }

    /// Reports that the stack has ended with this exit code: the keeper may exit after the supervisor.
    pub fn farewell(&self, code: i32) {
        let _ = self.send(&KeeperRequest::Farewell { code }.encode(), &[]);
    }

    /// Sends a message. It waits for the keeper to read, which is as fast as it forks; a stopped keeper is a timeout.
    fn send(&self, packet: &[u8], fds: &[RawFd]) -> io::Result<()> {
        loop {
            match send(self.fd.get_ref().as_fd(), packet, fds) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EAGAIN) => {
                    let mut polled = [nix::poll::PollFd::new(self.fd.get_ref().as_fd(), nix::poll::PollFlags::POLLOUT)];
                    if nix::poll::poll(&mut polled, 1000_u16)? == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits for the next report; `None` if the keeper is gone.
    pub async fn next(&self) -> Option<KeeperReport> {
        loop {
            let mut ready = self.fd.readable().await.ok()?;
            let mut buffer = [0; LONGEST_REPORT];
            let mut fds = std::collections::VecDeque::new();
            let read = ready.try_io(|fd| receive(fd.get_ref().as_fd(), &mut buffer, &mut fds).map_err(io::Error::from));
            match read {
                Ok(Ok(0) | Err(_)) => return None,
                Ok(Ok(count)) => {
                    self.asked_at.set(None);
                    if let Ok(Some(report)) = KeeperReport::decode(&buffer[..count]) {
                        return Some(report);
                    }
                }
                Err(_would_block) => {}
            }
        }
    }

    /// Returns when the keeper has owed a report for too long. A stopped keeper is as good as dead, and cheap to
    /// replace.
    pub async fn is_silent(&self) {
        match self.asked_at.get().filter(|_| self.answers) {
            Some(at) => tokio::time::sleep_until(at + SILENCE).await,
            None => std::future::pending().await,
        }
    }

    /// Kills the keeper; another one is started, with another supervisor.
    pub fn kill(&self) {
        self.asked_at.set(None);
        let pid = nix::unistd::getppid().as_raw().unsigned_abs();
        let handle = core_shim::handle::Handle::of(pid);
        // If the keeper has died meanwhile, our parent is another process.
        if let Some(handle) = handle.filter(|_| keeper::Keeper::read(&self.run).is_some_and(|keeper| keeper.pid == pid))
        {
            let _ = handle.send(nix::libc::SIGKILL);
        }
    }
}
