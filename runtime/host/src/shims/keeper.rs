//! The line to the keeper, which the supervisor finds on descriptor 3.

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
/// How long a keeper may take to say what it has forked.
const SILENCE: Duration = Duration::from_secs(2);

/// The line to the keeper.
pub struct Keeper {
    fd: AsyncFd<OwnedFd>,
    run: PathBuf,
    /// It says what it has forked; the first releases did not.
    answers: bool,
    /// Since when it has been asked for shims and has said nothing.
    asked_at: Cell<Option<Instant>>,
}

impl Keeper {
    /// Takes the line we were started with.
    ///
    /// # Errors
    /// When there is none: we were not started by a keeper.
    pub fn inherit(paths: &Paths) -> io::Result<Self> {
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
        let run = paths.run.clone();
        Ok(Self {
            fd,
            answers: keeper::Keeper::read(&run).is_some_and(|keeper| keeper.looks),
            run,
            asked_at: Cell::new(None),
        })
    }

    /// Asks for shims; returns those that could not be asked for.
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

    /// Whether it says what it has forked, as the first releases did not; nor did their shims know what ours do.
    pub fn answers(&self) -> bool {
        self.answers
    }

    /// Says that we are there.
    pub fn here(&self) {
        let _ = self.send(&KeeperRequest::Here.encode(), &[]);
    }

    /// Says that the run folder was made anew.
    pub fn be_found(&self) {
        let _ = self.send(&KeeperRequest::BeFound.encode(), &[]);
    }

    /// Says that users are answered.
    pub fn answering(&self) {
        let _ = self.send(&KeeperRequest::Answering.encode(), &[]);
    }

    /// Says that the stack has ended: the keeper may go when we have gone.
    pub fn farewell(&self, code: i32) {
        let _ = self.send(&KeeperRequest::Farewell { code }.encode(), &[]);
    }

    /// The keeper reads as fast as it forks; for the moment that takes, we wait. One that stands still is noticed by that.
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

    /// Waits for the next report; `None` when the keeper is gone.
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

    /// Waits until the keeper has not done for too long what it was asked for. One that stands still is as good as dead,
    /// and costs nothing to replace.
    pub async fn is_silent(&self) {
        match self.asked_at.get().filter(|_| self.answers) {
            Some(at) => tokio::time::sleep_until(at + SILENCE).await,
            None => std::future::pending().await,
        }
    }

    /// Kills it; another one begins with another supervisor.
    pub fn kill(&self) {
        self.asked_at.set(None);
        let pid = nix::unistd::getppid().as_raw().unsigned_abs();
        let handle = core_shim::handle::Handle::of(pid);
        // Whoever is our parent now may be somebody else, when the keeper has died meanwhile.
        if let Some(handle) = handle.filter(|_| keeper::Keeper::read(&self.run).is_some_and(|keeper| keeper.pid == pid))
        {
            let _ = handle.send(nix::libc::SIGKILL);
        }
    }
}
