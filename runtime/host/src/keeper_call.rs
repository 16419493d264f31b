//! Asking a keeper to look after its supervisor, from outside: by a signal, for its only line is the supervisor's.

use std::fs;

use core_shim::{sys, tree};
use nix::libc;

use crate::last_resort;
use crate::paths::Paths;

/// What a keeper says of itself in `run/keeper`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) pid: u32,
    start_ticks: u64,
    /// It looks when it is asked; the signal ends one that knows nothing of it.
    looks: bool,
}

impl Record {
    pub(crate) fn read(paths: &Paths) -> Option<Self> {
        Self::parse(&fs::read_to_string(paths.run.join("keeper")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Some(Self {
            pid: field("pid")?.parse().ok()?,
            start_ticks: field("start_ticks")?.parse().ok()?,
            looks: field("looks") == Some("yes"),
        })
    }
}

/// Asks the keeper of a stack to see whether its supervisor answers, and to replace one that does not. Returns whether
/// it was asked: there is one that lives and knows what is meant.
pub fn ask_to_look(paths: &Paths) -> bool {
    let Some(record) = Record::read(paths).filter(|record| record.looks) else { return false };
    // Held first, then looked at: what is held is what gets the signal.
    let Ok(handle) = sys::pidfd(record.pid) else { return false };
    let is_it = sys::identity(record.pid).is_some_and(|(ticks, _)| ticks == record.start_ticks);
    if !is_it || !last_resort::keeper_lives(paths) {
        return false;
    }
    tree::send(&handle, libc::SIGUSR1);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_goes_to_who_is_meant_and_to_nobody_else() {
        use std::os::unix::process::ExitStatusExt as _;

        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("run")).unwrap();
        let paths = Paths { run: folder.path().join("run"), ..Paths::look(folder.path()).unwrap() };
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id();
        let (ticks, _) = sys::identity(pid).unwrap();
        let path = paths.run.join("keeper");
        let write = |ticks: u64, looks: &str| {
            fs::write(&path, format!("pid {pid}\nstart_ticks {ticks}\n{looks}")).unwrap();
        };
        write(ticks, "looks yes\n");
        assert!(!ask_to_look(&paths), "nobody holds the lock");
        let lock = fs::File::options().read(true).write(true).open(&path).unwrap();
        assert!(core_shim::guard::try_lock(&lock).unwrap());
        write(ticks + 1, "looks yes\n");
        assert!(!ask_to_look(&paths), "another process has its number");
        write(ticks, "");
        assert!(!ask_to_look(&paths), "it does not know what is meant");
        assert_eq!(child.try_wait().unwrap(), None);
        write(ticks, "looks yes\n");
        assert!(ask_to_look(&paths));
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGUSR1));
    }

    #[test]
    fn only_one_that_says_so_looks() {
        let text = "pid 17\nstart_ticks 4711\npidfd_inode 1\nboot abc\n";
        assert_eq!(Record::parse(text), Some(Record { pid: 17, start_ticks: 4711, looks: false }));
        assert_eq!(Record::parse(&format!("{text}looks yes\n")).map(|record| record.looks), Some(true));
        assert_eq!(Record::parse("pid 17\n"), None);
    }
}
