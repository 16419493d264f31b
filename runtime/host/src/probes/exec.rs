//! Runs a shell line with the environment of the service; exit code 0 is success.

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

/// How many bytes of the end of its output are kept, which tells most.
const MOST: usize = 400;
/// How long to wait for the rest of its output after it has exited.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// Kills the whole process group when dropped.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It is not reaped yet, so the PID was not reused.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// A shell line with everything that it needs to run.
pub(crate) struct Line {
    /// The text of the line.
    pub(crate) text: String,
    /// The working directory.
    pub(crate) folder: String,
    /// Its environment, each as `NAME=value`.
    pub(crate) env: Vec<Vec<u8>>,
    /// The user that it runs as.
    pub(crate) identity: wire::Identity,
}

/// Runs a shell line, for at most `patience`.
///
/// # Errors
/// How it ended, if not with exit code 0; or what core lacks to start it.
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
        // Read to the end: a command that writes more than is kept must neither block nor get SIGPIPE.
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
    // A grandchild may keep the output open; only the exit of the command counts.
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = &mut listen, if !is_heard => is_heard = true,
            () = &mut late => return Err(format!("no end within {} s", patience.as_secs_f64()).into()),
        }
    };
    // It was reaped, so the PID may be reused.
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

/// Why the command could not be run: core lacks something if a limit of processes (`pids.max`) or files is reached.
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
