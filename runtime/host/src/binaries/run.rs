//! Runs programs that download and build: each in its own process group, which is killed when core exits.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use core_manifest::variables;
use core_shim::handle::Handle;
use core_shim::tree;
use nix::libc;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdout, Command};

use super::fence::{Fence, LOOK_AGAIN, Limits, Over};
use crate::machine::{self, Share};

/// How long a program that downloads or builds may run.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long the output of a program that has ended is read on.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How many of a program's last lines are kept.
const KEPT: usize = 15;
/// The longest error line that is shown, in characters.
const LONGEST_FAILURE: usize = 160;

/// How a program exited, with the end of its output.
pub(crate) struct Spoken {
    /// Whether it exited with 0.
    pub(crate) success: bool,
    /// Its last lines.
    pub(crate) last: String,
    /// The first line that reports an error.
    error: Option<String>,
    /// The signal that killed it.
    pub(super) killed_by: Option<i32>,
    /// The limit that it went over.
    pub(super) over: Option<Over>,
}

impl Spoken {
    /// What went wrong, in one line: the first error that it reported, or its last line.
    pub(super) fn failure(&self) -> String {
        if let Some(over) = self.over {
            return over.words();
        }
        let last = || self.last.lines().next_back().unwrap_or_default().to_owned();
        let line = self.error.clone().unwrap_or_else(last);
        let mut characters = line.trim().chars();
        let mut words: String = characters.by_ref().take(LONGEST_FAILURE).collect();
        words.extend(characters.next().map(|_| '…'));
        words
    }

    /// That it was killed, as text to append to its name.
    pub(super) fn killed(&self) -> String {
        match self.killed_by.filter(|_| self.over.is_none()) {
            // A killed program could not report this itself.
            Some(libc::SIGKILL) => " (killed by signal 9, as the kernel does where memory is short)".into(),
            Some(signal) => format!(" (killed by signal {signal})"),
            None => String::new(),
        }
    }
}

/// A command in its own process group, which the kernel kills when this process dies.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    dies_with_us(&mut command);
    crate::descriptors::as_before(command.as_std_mut());
    without(&mut command, variables::is_own);
    command
}

/// The kernel kills the program when this process dies. To be said again after a change of the user, which undoes it
/// (`prctl(2)`).
pub(crate) fn dies_with_us(command: &mut Command) {
    // SAFETY: prctl(2) is one system call, which is allowed after a fork.
    unsafe { command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) };
}

/// A text as the standard input of a command.
pub(crate) fn input(text: String) -> io::Result<Stdio> {
    let (reader, mut writer) = io::pipe()?;
    // A command that does not read it ends the writer by its own end.
    std::thread::Builder::new().name("stdin".into()).spawn(move || drop(writer.write_all(text.as_bytes())))?;
    Ok(Stdio::from(reader))
}

/// Limits a build to its share of this host, unless the user has set the limits; its heap to `most_mib` at most.
pub(crate) fn share(command: &mut Command, most_mib: u64) {
    let Ok(Share { jobs, heap_mib }) = machine::look(&[]).map(|machine| machine.share_of_build()) else { return };
    let heap_mib = heap_mib.min(most_mib);
    let all = [
        ("CARGO_BUILD_JOBS", jobs.to_string()),
        ("GOMAXPROCS", jobs.to_string()),
        ("GOMEMLIMIT", format!("{heap_mib}MiB")),
        ("NODE_OPTIONS", format!("--max-old-space-size={heap_mib}")),
    ];
    for (name, value) in all {
        // Options of node are for running servers, and never reach a build.
        if name == "NODE_OPTIONS" || std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
}

/// Removes variables from the environment that the command inherits, by name.
pub(crate) fn without(command: &mut Command, is_meant: impl Fn(&str) -> bool) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(&is_meant) {
            command.env_remove(&name);
        }
    }
}

/// Puts the folder of `program` first in PATH, so that the command finds it by name, as npm does with its node.
pub(crate) fn put_first(command: &mut Command, program: &Path) {
    let path = std::env::var("PATH").unwrap_or_default();
    if let Some(bin) = program.parent() {
        command.env("PATH", format!("{}:{path}", bin.display()));
    }
}

/// The variable that is in the environment of everything that a command starts.
const MARK: &str = "CORE_BUILD";

/// A value of that variable that no other command has.
fn mark() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Kills all that a command has started, when dropped: its group, its descendants, and whatever has its mark.
struct Group(Option<u32>, String);

impl Drop for Group {
    fn drop(&mut self) {
        self.kill_group();
        let mark = format!("{MARK}={}", self.1);
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes()) {
                let _ = Handle::of(pid).map(|handle| handle.send(libc::SIGKILL));
            }
        }
    }
}

impl Group {
    fn kill_group(&self) {
        if let Some(pid) = self.0.and_then(|pid| i32::try_from(pid).ok()) {
            // The first process was not waited for yet, so its PID was not reused. Some of its descendants may have left
            // the group.
            for handle in tree::descendants(pid.unsigned_abs()).into_iter().filter_map(Handle::of) {
                let _ = handle.send(libc::SIGKILL);
            }
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Runs a command to its end, for at most an hour. Its output is also written to `log`.
pub(crate) async fn run(command: &mut Command, log: Option<&mut tokio::fs::File>) -> io::Result<Spoken> {
    let spoken = run_within(command, log, Limits { memory_mib: None, time: LONGEST }).await?;
    match spoken.over {
        Some(Over::Time(time)) => {
            Err(io::Error::other(format!("it did not end within {} min, and was killed", time.as_secs() / 60)))
        }
        _ => Ok(spoken),
    }
}

/// Runs a command to its end within limits. A command that goes over one is killed, with all that it has started.
pub(crate) async fn run_within(
    command: &mut Command,
    log: Option<&mut tokio::fs::File>,
    limits: Limits,
) -> io::Result<Spoken> {
    let fence = limits.memory_mib.map(Fence::new);
    if let Some(fence) = &fence {
        fence.enclose(command);
    }
    let mark = mark();
    command.env(MARK, &mark);
    let mut child = command.spawn()?;
    let mut group = Group(child.id(), mark);
    let pid = child.id().unwrap_or(0);
    let mut heard = Heard::default();
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("its output cannot be read"));
    };
    let ended = async {
        let mut listening = pin!(listen(stdout, stderr, log, &mut heard));
        tokio::select! {
            () = &mut listening => child.wait().await,
            status = child.wait() => {
                // What it has left behind may keep the output open.
                let _ = tokio::time::timeout(LAST_WORDS, listening).await;
                status
            }
        }
    };
    let (status, over) = tokio::select! {
        status = ended => (Some(status?), None),
        () = tokio::time::sleep(limits.time) => (None, Some(Over::Time(limits.time))),
        mib = over_memory(fence.as_ref(), pid) => (None, Some(Over::Memory(mib))),
    };
    let Some(status) = status else {
        drop(group);
        let _ = child.wait().await;
        return Ok(heard.spoken(None, over));
    };
    group.0 = None;
    drop(group);
    let killed = fence.as_ref().filter(|fence| !status.success() && fence.has_killed());
    Ok(heard.spoken(Some(status), killed.map(|fence| Over::Memory(fence.mib()))))
}

/// Waits until a program is over its limit of memory, where the kernel does not see to it.
async fn over_memory(fence: Option<&Fence>, pid: u32) -> u64 {
    let Some(fence) = fence.filter(|fence| fence.needs_a_look()) else { return std::future::pending().await };
    while !fence.is_over(pid) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    fence.mib()
}

/// What a program has said so far.
#[derive(Default)]
struct Heard {
    last: VecDeque<String>,
    error: Option<String>,
}

impl Heard {
    fn hear(&mut self, line: String) {
        if self.error.is_none() && tells_of_an_error(&line) {
            self.error = Some(line.clone());
        }
        if !line.trim().is_empty() {
            if self.last.len() == KEPT {
                self.last.pop_front();
            }
            self.last.push_back(line);
        }
    }

    fn spoken(self, status: Option<ExitStatus>, over: Option<Over>) -> Spoken {
        Spoken {
            success: status.is_some_and(|status| status.success()),
            last: self.last.into_iter().collect::<Vec<_>>().join("\n"),
            error: self.error,
            killed_by: status.and_then(|status| status.signal()),
            over,
        }
    }
}

/// Reads what a program says, until it has closed its output.
async fn listen(stdout: ChildStdout, stderr: ChildStderr, log: Option<&mut tokio::fs::File>, heard: &mut Heard) {
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
            // Whoever reads the log reads it while it is written.
            let _ = log.write_all(format!("{line}\n").as_bytes()).await;
            let _ = log.flush().await;
        }
        heard.hear(line);
    }
}

/// Whether a line reports an error in the style of compilers and package managers: `error[E0308]: mismatched types`,
/// `Type error: …`, `npm error 404 Not Found`. A bare code is not enough (`npm error code E404`).
fn tells_of_an_error(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let after = line.split_once("error").map(|(_, after)| after);
    // npm says what a fault is called before it says what it was; Next.js, that there was one.
    let words = ["npm error", "npm err!"].iter().find_map(|npm| line.trim_start().strip_prefix(npm));
    let is_name = words.is_some_and(|words| {
        ["code ", "syscall ", "errno ", "path ", "at "].iter().any(|name| words.trim_start().starts_with(name))
    });
    let is_announced = line.trim_start().starts_with("> build error occurred");
    after.is_some_and(|after| after.starts_with([':', '[', ' ']))
        && !is_name
        && !is_announced
        && !line.contains("0 error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_with_the_error_is_found() {
        let failure = |text: &str| {
            let error = text.lines().find(|line| tells_of_an_error(line)).map(str::to_owned);
            Spoken { success: false, last: text.to_owned(), error, killed_by: None, over: None }.failure()
        };
        for (said, line) in [
            (
                "warning: x\nerror[E0308]: mismatched types\n --> a.rs\nerror: aborting",
                "error[E0308]: mismatched types",
            ),
            ("npm error code E404\nnpm error 404 Not Found - GET x", "npm error 404 Not Found - GET x"),
            (
                "npm error code ECONNREFUSED\nnpm error syscall connect\nnpm error FetchError: request to x failed",
                "npm error FetchError: request to x failed",
            ),
            ("> Build error occurred\nError: Turbopack build failed", "Error: Turbopack build failed"),
            ("./app/page.tsx:3:1\nType error: Cannot find name 'x'.", "Type error: Cannot find name 'x'."),
            ("# x\n./main.go:4:2: undefined: noSuchThing", "./main.go:4:2: undefined: noSuchThing"),
            ("compiled with 0 errors: well\nterrors everywhere\n", "terrors everywhere"),
            ("", ""),
        ] {
            assert_eq!(failure(said), line);
        }
        assert_eq!(failure(&"x".repeat(1000)).chars().count(), LONGEST_FAILURE + 1);
    }
}
