//! What this process began, and whatever falls to it: begun, waited for with a deadline, and reaped.
//!
//! One thread reaps all, because a tool's leftovers fall to this process, too, and a zombie looks like a life to those
//! who ask by its number.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, wait};

use crate::guard;
use crate::sheet::Miss;

static ENDED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static REAPER: OnceLock<()> = OnceLock::new();

/// Begins a command in a process group of its own; it reads nothing, and is not heard unless `SHOW` is set.
pub(crate) fn begin(command: &mut Command) -> io::Result<i32> {
    let output = if std::env::var_os("SHOW").is_some() { Stdio::inherit() } else { Stdio::null() };
    begin_with_output(command, output)
}

/// The same, with its output going there.
#[allow(clippy::zombie_processes, reason = "the reaper waits for it")]
pub(crate) fn begin_with_output(command: &mut Command, output: Stdio) -> io::Result<i32> {
    let noise = if std::env::var_os("SHOW").is_some() { Stdio::inherit() } else { Stdio::null() };
    command.stdin(Stdio::null()).stdout(output).stderr(noise).process_group(0);
    let child = guard::unmasked(|| command.spawn())?;
    let pid = child.id().cast_signed();
    REAPER.get_or_init(|| {
        std::thread::spawn(reap);
    });
    Ok(pid)
}

fn reap() {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) => {
                ended().insert(pid.as_raw());
            }
            Ok(_) | Err(Errno::EINTR) => {}
            // There is nobody to wait for.
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn ended() -> std::sync::MutexGuard<'static, BTreeSet<i32>> {
    ENDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the end of one that was begun here.
pub(crate) fn wait_for_end(pid: i32, patience: Duration) -> Result<(), Miss> {
    let deadline = Instant::now() + patience;
    while !ended().remove(&pid) {
        if Instant::now() > deadline {
            return Err(Miss::Timeout);
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}
