//! What `/proc` says. It is asked instead of `core status`: whoever checks must not be the one who is checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{Said, until};

/// One process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) state: char,
    pub(crate) args: Vec<String>,
    /// When it was started, in clock ticks since boot.
    pub(crate) started: u64,
}

impl Process {
    /// A process; `None` when there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let rest = &stat[stat.rfind(')')? + 2..];
        let fields: Vec<&str> = rest.split(' ').collect();
        let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let args = args.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            state: fields.first()?.chars().next()?,
            args: args.map(|word| String::from_utf8_lossy(word).into_owned()).collect(),
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// All processes of the host.
pub(crate) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| Process::of(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Whether a process lives; one that has ended and was not reaped does not.
pub(crate) fn lives(pid: u32) -> bool {
    Process::of(pid).is_some_and(|process| process.state != 'Z')
}

/// The environment of a process.
pub(crate) fn env(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into_owned()).collect()
}

/// Connections to a port of this host that somebody has open.
pub(crate) fn established(port: u16) -> usize {
    let text = fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp");
    let local = format!(":{port:04X}");
    let is_one = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1).is_some_and(|address| address.ends_with(&local)) && fields.get(3) == Some(&"01")
    };
    text.lines().filter(is_one).count()
}

/// What the descriptors of a process lead to, by number.
pub(crate) fn descriptors(pid: u32) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut all: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, fs::read_link(entry.path()).ok()?)))
        .collect();
    all.sort();
    all
}

/// A line of `/proc/PID/status`.
pub(crate) fn status_line(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// Everything that belongs to the stack at `root`: keeper and supervisor name it in their command lines; what stands
/// below them belongs to it; a service stands in its root or has an environment that names it.
pub(crate) fn of_stack(root: &Path) -> Vec<Process> {
    let shown = root.display().to_string();
    let all = all();
    let names_root = |one: &Process| one.args.iter().any(|word| word == &shown);
    let stands_in = |pid: u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(root));
    let mut found: Vec<u32> = all
        .iter()
        .filter(|one| one.pid != std::process::id() && one.state != 'Z')
        .filter(|one| {
            names_root(one) || stands_in(one.pid) && env(one.pid).iter().any(|pair| pair.starts_with("CORE_INSTANCE="))
        })
        .map(|one| one.pid)
        .collect();
    loop {
        let below: Vec<u32> = all
            .iter()
            .filter(|one| one.state != 'Z' && found.contains(&one.parent) && !found.contains(&one.pid))
            .map(|one| one.pid)
            .collect();
        if below.is_empty() {
            break;
        }
        found.extend(below);
    }
    all.into_iter().filter(|one| found.contains(&one.pid)).collect()
}

/// Kills a process that a test started.
pub(crate) fn kill(pid: u32) {
    send(pid, "KILL");
}

/// Kills processes that a test started, held still first; whoever must be sure that none acts on the end of another has
/// waited for that, with `hold`.
pub(crate) fn kill_all(pids: &[u32]) {
    for signal in ["STOP", "KILL"] {
        for pid in pids {
            send(*pid, signal);
        }
    }
}

/// Sends a signal to a process that a test started. That it has ended meanwhile is no fault.
pub(crate) fn send(pid: u32, signal: &str) {
    assert!(pid > 1, "{pid} is none of ours");
    let signal: Signal = format!("SIG{signal}").parse().expect("a signal");
    let _ = nix::sys::signal::kill(Pid::from_raw(i32::try_from(pid).expect("a process number")), signal);
}

/// Holds a process still, and waits until it is, or has ended: that the signal was sent says nothing of when it stops.
#[track_caller]
pub(crate) fn hold(pid: u32) {
    send(pid, "STOP");
    until("it is held still", || is_held(pid) || !lives(pid));
}

/// Whether a process is held still, with every thread of it.
pub(crate) fn is_held(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let threads = threads.filter_map(|entry| Process::of(entry.file_name().to_str()?.parse().ok()?));
    let states: Vec<char> = threads.map(|thread| thread.state).collect();
    !states.is_empty() && states.iter().all(|state| *state == 'T')
}

/// Runs a program that was just copied. A process that another test has just forked may still have it open for writing.
pub(crate) fn output_of_new(command: &mut Command) -> Said {
    let runs = || match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
        said => Some(said.expect("it runs")),
    };
    Said::of(super::eventually("it is closed", runs))
}
