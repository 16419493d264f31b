//! Waits for processes to exit, by their handles.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use core_shim::handle::Handle;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How often to check a handle without a descriptor that could report the exit.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until one of the processes has exited (its parent need not have reaped it), for at most `patience`. Returns
/// whether one has.
pub(crate) fn any_within(handles: &[&Handle], patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let with = handles.iter().filter_map(|one| one.fd());
    let mut fds: Vec<PollFd<'_>> = with.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
    let without: Vec<&&Handle> = handles.iter().filter(|one| one.fd().is_none()).collect();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let pause = if without.is_empty() { left } else { left.min(LOOK_AGAIN) };
        match poll(&mut fds, PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
        if without.iter().any(|one| !one.lives()) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_end_is_seen_and_its_absence_too() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let handle = Handle::of(child.id()).unwrap();
        assert!(!any_within(&[&handle], Duration::from_millis(5)));
        child.kill().unwrap();
        assert!(any_within(&[&handle], Duration::from_secs(60)));
        child.wait().unwrap();
    }
}
