//! Open files of the supervisor: as many as the host allows, with a few in reserve for what must not fail without one.
//!
//! Probes never use the reserve: that a probe could not be sent is a valid answer.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many descriptors are held in reserve.
const SPARE: usize = 16;
/// How many of them clients of the control socket cannot use.
const NOT_FOR_GUESTS: usize = SPARE / 2;

/// The descriptors in reserve.
struct Reserve {
    /// Each is an open file of its own, because the limit that was reached may be that of the whole host.
    spare: Vec<File>,
    /// How many callers in all threads use the reserve now. It is refilled when the last of them has finished.
    users: usize,
}

static RESERVE: Mutex<Reserve> = Mutex::new(Reserve { spare: Vec::new(), users: 0 });
/// The limits before they were raised: soft and hard.
static BEFORE: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises the soft limit of this process to the hard one. Services do not inherit it: they descend from the keeper.
pub(crate) fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        let _ = BEFORE.set((soft, hard));
    }
}

/// Gives a child program the original limit: some programs loop over all numbers up to it.
pub(crate) fn as_before(command: &mut Command) {
    if let Some((soft, hard)) = BEFORE.get().copied() {
        let lower = move || setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(io::Error::from);
        // SAFETY: setrlimit(2) is one system call, which is allowed after a fork.
        unsafe { command.pre_exec(lower) };
    }
}

impl Reserve {
    fn fill(&mut self) {
        while self.users == 0
            && self.spare.len() < SPARE
            && let Ok(spare) = File::open("/dev/null")
        {
            self.spare.push(spare);
        }
    }
}

fn reserve() -> MutexGuard<'static, Reserve> {
    RESERVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fills the reserve as far as possible, unless it is in use.
pub(crate) fn hold() {
    reserve().fill();
}

/// Runs something important. If it fails for lack of a descriptor, the reserve is released and it runs again; then the
/// reserve is refilled as far as possible. The lock is not held meanwhile, since others may need the reserve.
pub(crate) fn with_reserve<T>(mut run: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let result = run();
    if !result.as_ref().is_err_and(is_exhausted) {
        return result;
    }
    {
        let mut reserve = reserve();
        reserve.users += 1;
        reserve.spare.clear();
    }
    let result = run();
    let mut reserve = reserve();
    reserve.users -= 1;
    reserve.fill();
    result
}

/// Releases one spare descriptor for a client, if enough remain. Returns whether it did.
pub(crate) fn spare_one() -> bool {
    let mut reserve = reserve();
    reserve.spare.len() > NOT_FOR_GUESTS && reserve.spare.pop().is_some()
}

/// Whether an operation failed for lack of a descriptor.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_them_back_from_somebody_who_uses_them() {
        hold();
        let mut tries = 0;
        let result = with_reserve(|| {
            tries += 1;
            if tries == 1 {
                return Err(io::Error::from_raw_os_error(libc::EMFILE));
            }
            hold();
            Ok(reserve().spare.len())
        });
        assert_eq!(result.expect("it is done"), 0);
        assert_eq!(reserve().spare.len(), SPARE);
    }
}
