//! That nothing is left behind: two processes, each of which ends what the other began.
//!
//! The outer one waits and looks after; the inner one measures. Both are subreapers, so whatever a tool leaves behind is
//! below one of them, however often it forked, and is found there. Either may be killed: the other one sweeps.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::processes;

/// Tells the inner process where its folders are: one for files, one in memory for run folders.
pub(crate) const FOLDERS: &str = "CORE_BENCH_FOLDERS";

/// The outer process: begins the inner one, waits for its end, sweeps.
pub(crate) fn watch() -> io::Result<ExitCode> {
    let signals = asked_to_end();
    signals.thread_block()?;
    nix::sys::prctl::set_child_subreaper(true)?;
    let disk = tempfile::Builder::new().prefix("core-bench-").tempdir()?;
    // Where the machine has no such folder, the disk has to do.
    let memory = tempfile::Builder::new().prefix("core-bench-").tempdir_in("/dev/shm");
    let memory = memory.as_ref().map_or(disk.path(), tempfile::TempDir::path);
    let mut inner = Command::new(std::env::current_exe()?);
    inner.arg("--inner").args(std::env::args().skip(1).filter(|word| !word.starts_with("--")));
    inner.env(FOLDERS, format!("{}:{}", disk.path().display(), memory.display()));
    let mut inner = unmasked(|| inner.spawn())?;
    let pid = inner.id().cast_signed();
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    });
    let status = inner.wait()?;
    sweep();
    if let Some(signal) = status.signal() {
        return Err(io::Error::other(format!("ended by signal {signal}")));
    }
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

/// In the inner process, before any thread: ends with the outer one, and with a signal, but not without sweeping.
#[allow(clippy::exit, reason = "the thread that measures cannot be asked to return")]
pub(crate) fn inner() -> io::Result<()> {
    let signals = asked_to_end();
    signals.thread_block()?;
    nix::sys::prctl::set_child_subreaper(true)?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
    std::thread::spawn(move || {
        let _ = signals.wait();
        sweep();
        std::process::exit(130);
    });
    Ok(())
}

fn asked_to_end() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect()
}

/// Runs something with no signal blocked: what is begun inherits the mask, and would not hear of its end. A signal that
/// comes in just that moment ends this process at once, and the other one sweeps.
pub(crate) fn unmasked<T>(begin: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let signals = asked_to_end();
    signals.thread_unblock()?;
    let begun = begin();
    signals.thread_block()?;
    begun
}

/// Kills everything below this process, until nothing is. Returns how many there were.
pub(crate) fn sweep() -> usize {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let left = processes::below(getpid().as_raw());
        if left.is_empty() || Instant::now() > deadline {
            return seen.len();
        }
        for pid in left {
            seen.insert(pid);
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
