//! Open files of the supervisor: as many as the host allows, and a few in reserve for what must not fail for want of one.
//!
//! Questions of probes never use the reserve: that one could not be put is an answer, too.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many are held in reserve.
const SPARE: usize = 16;
/// As many of them are left alone by those who merely ask something.
const NOT_FOR_GUESTS: usize = SPARE / 2;

/// What is held.
struct Reserve {
    /// The spare ones. Each is an open file of its own: what is scarce may be those of the whole host.
    spare: Vec<File>,
    /// For how many they are given up at the moment, in whichever threads. They are taken back when the last one has ended.
    users: usize,
}

static RESERVE: Mutex<Reserve> = Mutex::new(Reserve { spare: Vec::new(), users: 0 });
/// The limits before ours was raised.
static BEFORE: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises the soft limit of this process to the hard one. Services do not see it: they descend from the keeper.
pub(crate) fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        let _ = BEFORE.set((soft, hard));
    }
}

/// Gives a program that is started from here the limit that we had: it may go through all numbers up to it.
pub(crate) fn as_before(command: &mut Command) {
    if let Some((soft, hard)) = BEFORE.get().copied() {
        let lower = move || setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(io::Error::from);
        // SAFETY: it is one system call, which is allowed after a fork.
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

/// Opens spare ones, as far as there is room, they are not open, and nobody uses them.
pub(crate) fn hold() {
    reserve().fill();
}

/// Runs what matters. Where it fails for want of a descriptor, the spare ones are given up for it, and taken back as far
/// as there is room then. It may last, and others may need them meanwhile: nobody waits here.
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

/// Gives one up for somebody who asks, where that leaves enough. Returns whether it did.
pub(crate) fn spare_one() -> bool {
    let mut reserve = reserve();
    reserve.spare.len() > NOT_FOR_GUESTS && reserve.spare.pop().is_some()
}

/// Whether something failed for want of a descriptor.
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
