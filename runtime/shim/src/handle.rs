//! A handle on a process, so that a signal cannot reach another process that got the same PID.
//!
//! It is a pidfd. If the kernel or a filter does not allow those, the PID and the start time of the process are used: a
//! signal is sent right after both were checked.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc;

use crate::sys::{self, Stat};

/// A handle on a process.
#[derive(Debug)]
pub struct Handle {
    pid: u32,
    start_ticks: u64,
    fd: Option<OwnedFd>,
}

impl Handle {
    /// A handle on the process with this PID; `None` if there is none.
    pub fn of(pid: u32) -> Option<Self> {
        // Opened before it is looked at, so that it is this process that is looked at.
        let fd = sys::pidfd(pid).ok();
        let start_ticks = Stat::of(pid)?.start_ticks;
        Some(Self { pid, start_ticks, fd })
    }

    /// The pidfd, if there is one; it becomes readable when the process exits.
    pub fn fd(&self) -> Option<&OwnedFd> {
        self.fd.as_ref()
    }

    /// Whether the process has not exited; a zombie has.
    pub fn lives(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.start_ticks == self.start_ticks && !stat.has_ended(self.pid))
    }

    /// Sends a signal; 0 only checks whether one could be sent.
    ///
    /// # Errors
    /// The error of the kernel; `ESRCH` if the process is gone.
    pub fn send(&self, signal: i32) -> Result<(), Errno> {
        match self.send_by_descriptor(signal) {
            Err(errno) if sys::is_refused(errno as i32) => self.send_by_number(signal),
            other => other,
        }
    }

    /// Sends a signal through the pidfd: to that process or to none.
    ///
    /// # Errors
    /// The error of the kernel; `ENOSYS` without a pidfd.
    pub fn send_by_descriptor(&self, signal: i32) -> Result<(), Errno> {
        use std::os::fd::AsRawFd as _;
        let Some(fd) = &self.fd else { return Err(Errno::ENOSYS) };
        let info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: a plain system call; the null pointer means that there is no information to read.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, info, 0) };
        Errno::result(result).map(drop)
    }

    fn send_by_number(&self, signal: i32) -> Result<(), Errno> {
        let pid = i32::try_from(self.pid).ok().filter(|pid| *pid > 0).ok_or(Errno::ESRCH)?;
        if !self.lives() {
            return Err(Errno::ESRCH);
        }
        // SAFETY: a plain system call, on one process.
        Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_signal_goes_by_number_too_and_never_to_who_came_after() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let mut handle = Handle::of(child.id()).unwrap();
        handle.fd = None;
        // Another process has the PID now.
        handle.start_ticks += 1;
        assert_eq!(handle.send(libc::SIGKILL), Err(Errno::ESRCH));
        handle.start_ticks -= 1;
        assert_eq!(handle.send(0), Ok(()));
        handle.send(libc::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        assert_eq!(handle.send(libc::SIGKILL), Err(Errno::ESRCH));
        assert!(Handle::of(child.id()).is_none());
    }
}
