//! Runs a program of another user in the foreground, without our terminal, into which it could type (TIOCSTI).

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::Command;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setsid};

use crate::exit::Exit;
use crate::interrupt::Interrupt;

/// Runs `command` in a session of its own, and forwards the signals that the terminal or another process sends to us.
///
/// # Errors
/// It cannot be started.
pub(crate) async fn run(mut command: Command) -> io::Result<Exit> {
    let mut interrupt = Interrupt::new()?;
    // SAFETY: setsid(2) is one system call, which is allowed after a fork.
    unsafe { command.pre_exec(|| setsid().map(drop).map_err(io::Error::from)) };
    let mut child = tokio::process::Command::from(command).spawn()?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    loop {
        let status = tokio::select! {
            status = child.wait() => status?,
            kind = interrupt.next() => {
                if let (Some(group), Ok(signal)) = (group, Signal::try_from(kind.as_raw_value())) {
                    let _ = killpg(group, signal);
                }
                continue;
            }
        };
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
        return Ok(if code == 0 { Exit::Ok } else { Exit::Code(u8::try_from(code).unwrap_or(1)) });
    }
}
