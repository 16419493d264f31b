//! A shell line that exits with 0, with the environment of the service.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;
use std::time::Duration;

use core_shim::wire;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::NotGood;
use crate::{descriptors, identity};

/// More of what it says than this is not kept: the end of it tells most.
const MOST: usize = 400;
/// How long what it said last may take to come.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// Ends the whole process group, however the question ends.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Not reaped yet, so the number is still its own.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// A shell line, and everything that it runs with.
pub(crate) struct Line {
    /// The line.
    pub(crate) text: String,
    /// Where.
    pub(crate) folder: String,
    /// Its environment, `NAME=value` each.
    pub(crate) env: Vec<Vec<u8>>,
    /// Who it runs as.
    pub(crate) identity: wire::Identity,
}

/// Runs a shell line, for at most `patience`.
///
/// # Errors
/// How it ended, when that was not with 0; or that it could not be started for want of something of ours.
pub(crate) async fn run(line: Line, patience: Duration) -> Result<(), NotGood> {
    let Line { text, folder, env, identity } = line;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &text]).current_dir(folder).env_clear().process_group(0).kill_on_drop(true);
    for pair in env {
        if let Some(at) = pair.iter().position(|byte| *byte == b'=') {
            command.env(OsString::from_vec(pair[..at].to_vec()), OsString::from_vec(pair[at + 1..].to_vec()));
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    descriptors::as_before(command.as_std_mut());
    identity::assume(command.as_std_mut(), identity);
    let mut child = command.spawn().map_err(cannot_run)?;
    let mut group = Group(child.id().and_then(|pid| i32::try_from(pid).ok()));
    let stderr = child.stderr.take();
    let said = RefCell::new(Vec::new());
    let listen = async {
        let Some(mut stderr) = stderr else { return };
        let mut buffer = [0; 4096];
        // To its end: who writes more than is kept must not wait for us, and must not be hung up on.
        while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
            let mut said = said.borrow_mut();
            said.extend_from_slice(&buffer[..count]);
            let excess = said.len().saturating_sub(MOST);
            said.drain(..excess);
        }
    };
    let late = tokio::time::sleep(patience);
    tokio::pin!(listen, late);
    let mut is_heard = false;
    // A grandchild may hold its output open; the end of the command is what counts.
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = &mut listen, if !is_heard => is_heard = true,
            () = &mut late => return Err(format!("no end within {} s", patience.as_secs_f64()).into()),
        }
    };
    // Reaped: from now on the number may be anybody's.
    group.0 = None;
    let status = status.map_err(cannot_run)?;
    if !is_heard {
        let _ = tokio::time::timeout(LAST_WORDS, listen).await;
    }
    if status.success() {
        return Ok(());
    }
    let said = said.borrow();
    let text = String::from_utf8_lossy(&said);
    let last = text.trim().lines().last().unwrap_or_default();
    let how = status.code().map_or_else(|| "was ended by a signal".to_owned(), |code| format!("exited with {code}"));
    Err(NotGood::Bad(if last.is_empty() { format!("the command {how}") } else { format!("the command {how}: {last}") }))
}

/// Why the command could not be run: that is ours where a limit of processes (`pids.max`) or of files is reached.
fn cannot_run(error: io::Error) -> NotGood {
    if error.raw_os_error() == Some(nix::libc::EAGAIN) {
        return NotGood::Unasked("no more processes may be started".into());
    }
    NotGood::of(&error, |why| format!("the command cannot be run: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_processes_is_not_its_fault() {
        let of = |errno| cannot_run(io::Error::from_raw_os_error(errno)).to_string();
        assert_eq!(of(nix::libc::EAGAIN), "could not be asked: no more processes may be started");
        assert_eq!(of(nix::libc::EMFILE), "could not be asked: too many open files");
        assert_eq!(of(nix::libc::ENOENT), "the command cannot be run: no such file or directory");
    }
}
