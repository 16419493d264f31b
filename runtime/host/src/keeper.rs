//! Finds the keeper of a stack by the file that it has locked, which identifies it.

use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use core_shim::handle::Handle;
use core_shim::{guard, sys, tree};
use nix::libc;

use crate::ended;

/// How long a killed process may take to exit.
const KILLED: Duration = Duration::from_secs(5);

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    /// PID of the keeper.
    pub pid: u32,
    /// When the process was started, in clock ticks since boot.
    pub start_ticks: u64,
    /// Whether it handles the signal `core_shim::keeper::LOOK`, and reports what it has forked.
    pub looks: bool,
    /// The folder of the stack's cgroups, if there is one.
    pub cgroup: Option<PathBuf>,
}

/// What is left after a keeper was killed.
#[derive(Debug, Default)]
pub struct Remains {
    /// Its children that were neither supervisor nor shim: orphans of dead shims.
    pub orphans: Vec<(u32, Handle)>,
    /// The folder of the stack's cgroups, if there was one.
    pub cgroup: Option<PathBuf>,
}

impl Keeper {
    /// Reads the file in a run folder. It may be about a keeper that is dead.
    pub fn read(run: &Path) -> Option<Self> {
        let text = fs::read_to_string(run.join("keeper")).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Some(Self {
            pid: field("pid")?.parse().ok()?,
            start_ticks: field("start_ticks")?.parse().ok()?,
            looks: field("looks") == Some("yes"),
            cgroup: field("cgroup").map(PathBuf::from),
        })
    }

    /// The living keeper with a handle on it, so that a signal cannot reach another process.
    pub fn living(run: &Path) -> Option<(Self, Handle)> {
        let keeper = Self::read(run).filter(|_| lives(run))?;
        let handle = Handle::of(keeper.pid)?;
        let (ticks, _) = sys::identity(keeper.pid)?;
        let line = fs::read(format!("/proc/{}/cmdline", keeper.pid)).ok()?;
        (ticks == keeper.start_ticks && is_keeper(&line)).then_some((keeper, handle))
    }
}

/// Whether a keeper of this stack is alive.
pub fn lives(run: &Path) -> bool {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(run.join("keeper")) else { return false };
    guard::is_locked(&file).unwrap_or(false)
}

/// The run folder of the living keeper for the stack at `root`, found by command line, which contains both. Only
/// keepers of `users` count: anybody may give a process any name.
pub(crate) fn find(root: &Path, users: &[u32]) -> Option<PathBuf> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let is_theirs = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|meta| users.contains(&meta.uid()));
    processes.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit() && is_theirs(entry)).find_map(
        |entry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            run_folder_of(&line, root)
        },
    )
}

/// Whether this is the command line of a keeper.
fn is_keeper(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == 0).next().unwrap_or_default();
    Path::new(std::ffi::OsStr::from_bytes(name)).file_name().is_some_and(|name| name == core_shim::NAME)
}

/// The run folder in the command line of a keeper, if its stack is at `root`.
fn run_folder_of(line: &[u8], root: &Path) -> Option<PathBuf> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let after = |option: &[u8]| words.iter().position(|word| *word == option).and_then(|at| words.get(at + 1).copied());
    let is_it = is_keeper(line) && after(b"--root")? == root.as_os_str().as_bytes();
    after(b"--run").filter(|_| is_it).map(|run| PathBuf::from(std::ffi::OsStr::from_bytes(run)))
}

/// Asks the keeper of a stack to check that its supervisor answers, and to replace it if not. Returns whether a keeper
/// that can do this was asked.
pub fn ask_to_look(run: &Path) -> bool {
    // The signal would kill a keeper that does not handle it.
    let Some((_, handle)) = Keeper::living(run).filter(|(keeper, _)| keeper.looks) else { return false };
    handle.send(core_shim::keeper::LOOK as i32).is_ok()
}

/// Kills the keeper of a stack and its supervisor; shims and services keep running.
pub fn end(run: &Path) -> Remains {
    let Some((keeper, handle)) = Keeper::living(run) else {
        return Remains { orphans: Vec::new(), cgroup: Keeper::read(run).and_then(|keeper| keeper.cgroup) };
    };
    // Stopped first, so that keeper and supervisor cannot restart each other, or a shim that exits.
    let _ = handle.send(libc::SIGSTOP);
    let is_child = |pid: &u32| sys::Stat::of(*pid).is_some_and(|stat| stat.parent == keeper.pid && stat.state != b'Z');
    let children: Vec<u32> = tree::descendants(keeper.pid).into_iter().filter(is_child).collect();
    let mut killed = Vec::new();
    let mut orphans = Vec::new();
    for (pid, child) in children.into_iter().filter_map(|pid| Some((pid, Handle::of(pid)?))) {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        if words.get(1) == Some(&b"supervise".as_slice()) {
            let _ = child.send(libc::SIGKILL);
            killed.push(child);
        } else if !words[0].starts_with(core_shim::NAME.as_bytes()) {
            orphans.push((pid, child));
        }
    }
    let _ = handle.send(libc::SIGKILL);
    killed.push(handle);
    for handle in &killed {
        ended::any_within(&[handle], KILLED);
    }
    let base = || core_shim::cgroup::base().map(|base| base.join(run.file_name().unwrap_or_default()));
    Remains { orphans, cgroup: keeper.cgroup.or_else(base) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};

    use super::*;

    #[test]
    fn a_keeper_is_told_by_its_command_line() {
        let line =
            b"/usr/bin/core-shim\0--run\0/run/core/x\0--cgroup\0c\0--\0/usr/bin/core\0supervise\0--root\0/srv/a\0";
        assert_eq!(run_folder_of(line, Path::new("/srv/a")), Some("/run/core/x".into()));
        assert_eq!(run_folder_of(line, Path::new("/srv/b")), None);
        assert_eq!(run_folder_of(b"sleep\0--run\0/x\0--root\0/srv/a\0", Path::new("/srv/a")), None);
        assert_eq!(run_folder_of(b"", Path::new("/srv/a")), None);
    }

    #[test]
    fn a_signal_goes_to_who_is_meant_and_to_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let mut child = std::process::Command::new("sleep").arg0(core_shim::NAME).arg("1000").spawn().unwrap();
        let pid = child.id();
        let (ticks, _) = sys::identity(pid).unwrap();
        let path = run.join("keeper");
        let write = |ticks: u64, looks: &str| {
            fs::write(&path, format!("pid {pid}\nstart_ticks {ticks}\n{looks}")).unwrap();
        };
        write(ticks, "looks yes\n");
        assert!(!ask_to_look(run), "nobody holds the lock");
        let lock = fs::File::options().read(true).write(true).open(&path).unwrap();
        assert!(guard::try_lock(&lock).unwrap());
        write(ticks + 1, "looks yes\n");
        assert!(!ask_to_look(run), "another process has its number");
        write(ticks, "");
        assert!(!ask_to_look(run), "it does not know what is meant");
        assert_eq!(child.try_wait().unwrap(), None);
        write(ticks, "looks yes\n");
        assert!(ask_to_look(run));
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGUSR1));
    }
}
