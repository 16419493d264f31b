//! Programs that fetch and build: in a process group of their own that does not outlive us, their last words kept.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use core_manifest::variables;
use nix::libc;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::load::is_secret_name;

/// How long a program that fetches or builds may take.
const LONGEST: Duration = Duration::from_secs(3600);
/// Lines kept of what a program said.
const KEPT: usize = 15;

/// What a program said.
pub(super) struct Spoken {
    /// It exited with 0.
    pub(super) success: bool,
    /// Its last lines.
    pub(super) last: String,
    /// The signal that has killed it.
    pub(super) killed_by: Option<i32>,
}

impl Spoken {
    /// That it was killed, in words that follow on its name.
    pub(super) fn killed(&self) -> String {
        match self.killed_by {
            // It has no last words about that.
            Some(libc::SIGKILL) => " (killed by signal 9, as the kernel does where memory is short)".into(),
            Some(signal) => format!(" (killed by signal {signal})"),
            None => String::new(),
        }
    }
}

/// A command in a process group of its own, that is killed when we die.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    // SAFETY: it is one system call, which is allowed after a fork.
    unsafe { command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) };
    crate::descriptors::as_before(command.as_std_mut());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(variables::is_own) {
            command.env_remove(&name);
        }
    }
    command
}

/// Leaves secrets out of what the command inherits.
pub(super) fn without_secrets(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_secret_name) {
            command.env_remove(&name);
        }
    }
}

/// Sees to it that what the command runs by its name, npm its node for one, is this very program.
pub(super) fn put_first(command: &mut Command, program: &Path) {
    let path = std::env::var("PATH").unwrap_or_default();
    if let Some(bin) = program.parent() {
        command.env("PATH", format!("{}:{path}", bin.display()));
    }
}

/// Kills the whole group when it goes out of sight.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0.and_then(|pid| i32::try_from(pid).ok()) {
            // The first process has not been waited for yet, so the number is still its own.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Runs a command to its end, which must come within an hour. What it says goes to `log` too.
pub(super) async fn run(command: &mut Command, log: Option<&mut tokio::fs::File>) -> io::Result<Spoken> {
    let late = || io::Error::other(format!("it did not end within {} min, and was killed", LONGEST.as_secs() / 60));
    tokio::time::timeout(LONGEST, run_on(command, log)).await.unwrap_or_else(|_| Err(late()))
}

async fn run_on(command: &mut Command, log: Option<&mut tokio::fs::File>) -> io::Result<Spoken> {
    let mut child = command.spawn()?;
    let mut group = Group(child.id());
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("its output cannot be read"));
    };
    let mut last: VecDeque<String> = VecDeque::new();
    let (mut out, mut err) = (BufReader::new(stdout).lines(), BufReader::new(stderr).lines());
    let (mut out_open, mut err_open) = (true, true);
    let mut log = log;
    while out_open || err_open {
        let line = tokio::select! {
            line = out.next_line(), if out_open => { out_open = matches!(line, Ok(Some(_))); line }
            line = err.next_line(), if err_open => { err_open = matches!(line, Ok(Some(_))); line }
        };
        let Ok(Some(line)) = line else { continue };
        if let Some(log) = &mut log {
            let _ = log.write_all(format!("{line}\n").as_bytes()).await;
        }
        if !line.trim().is_empty() {
            if last.len() == KEPT {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
    let status = child.wait().await?;
    group.0 = None;
    let last = last.into_iter().collect::<Vec<_>>().join("\n");
    Ok(Spoken { success: status.success(), last, killed_by: status.signal() })
}
