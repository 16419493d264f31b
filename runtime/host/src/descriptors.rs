//! Open files of the supervisor: as many as the host allows, and a few in reserve for what must not fail for want of one.
//!
//! Questions of probes never use the reserve: that one could not be put is an answer, too.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many are held in reserve.
const SPARE: usize = 16;
/// As many of them are left alone by those who merely ask something.
const NOT_FOR_GUESTS: usize = SPARE / 2;

/// The spare ones. Each is an open file of its own: what is scarce may be those of the whole host.
static RESERVE: Mutex<Vec<File>> = Mutex::new(Vec::new());
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

/// Opens spare ones, as far as there is room and they are not open.
pub(crate) fn hold() {
    let mut reserve = RESERVE.lock().unwrap_or_else(PoisonError::into_inner);
    while reserve.len() < SPARE
        && let Ok(spare) = File::open("/dev/null")
    {
        reserve.push(spare);
    }
}

/// Runs what matters. Where it fails for want of a descriptor, the spare ones are given up for it, and taken back as far
/// as there is room then.
pub(crate) fn with_reserve<T>(mut run: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let result = run();
    if !result.as_ref().is_err_and(is_exhausted) {
        return result;
    }
    RESERVE.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let result = run();
    hold();
    result
}

/// Gives one up for somebody who asks, where that leaves enough. Returns whether it did.
pub(crate) fn spare_one() -> bool {
    let mut reserve = RESERVE.lock().unwrap_or_else(PoisonError::into_inner);
    reserve.len() > NOT_FOR_GUESTS && reserve.pop().is_some()
}

/// Whether something failed for want of a descriptor.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
