//! Waiting for the end of processes that are held by descriptors.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until one of the processes has ended (its parent need not have taken notice), for `patience` at the most.
/// Returns whether one has.
pub(crate) fn any_within(handles: &[&OwnedFd], patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let mut fds: Vec<PollFd<'_>> = handles.iter().map(|one| PollFd::new(one.as_fd(), PollFlags::POLLIN)).collect();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Err(Errno::EINTR) => {}
            Ok(count) => return count > 0,
            Err(_) => return false,
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
        let handle = core_shim::sys::pidfd(child.id()).unwrap();
        assert!(!any_within(&[&handle], Duration::from_millis(5)));
        child.kill().unwrap();
        assert!(any_within(&[&handle], Duration::from_secs(60)));
        child.wait().unwrap();
    }
}
