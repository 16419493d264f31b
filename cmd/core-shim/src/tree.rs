//! The processes of an instance: what descends from its shim, and what is in its cgroup.

use std::collections::BTreeSet;
use std::fs;

use nix::libc;

use crate::cgroup::Cgroup;
use crate::sys::{self, Stat};

/// Everything that descends from `root`, without it.
pub fn descendants(root: u32) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children(pid) {
            if all.insert(child) {
                open.push(child);
            }
        }
    }
    all
}

/// The children of a process, over all its threads.
fn children(pid: u32) -> Vec<u32> {
    let mut all = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return all };
    for thread in threads.flatten() {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    all
}

/// All processes of an instance whose shim is `shim`.
pub fn members(shim: u32, cgroup: Option<&Cgroup>) -> BTreeSet<u32> {
    let mut all = descendants(shim);
    if let Some(cgroup) = cgroup {
        all.extend(cgroup.members());
    }
    all.remove(&shim);
    all
}

/// Signals every process of the tree. Each is held by a pidfd before it is looked at once more, so that a number that
/// was given to somebody else meanwhile is not signalled.
pub fn signal(shim: u32, cgroup: Option<&Cgroup>, signal: i32) {
    for pid in members(shim, cgroup) {
        let Ok(handle) = sys::pidfd(pid) else { continue };
        let still_ours = members_contain(shim, cgroup, pid);
        if still_ours {
            send(&handle, signal);
        }
    }
}

fn members_contain(shim: u32, cgroup: Option<&Cgroup>, pid: u32) -> bool {
    // Up the line of parents: cheaper than the whole tree again.
    let mut at = pid;
    for _ in 0..64 {
        match Stat::of(at) {
            Some(stat) if stat.parent == shim => return true,
            Some(stat) if stat.parent > 1 => at = stat.parent,
            _ => break,
        }
    }
    cgroup.is_some_and(|cgroup| cgroup.members().contains(&pid))
}

/// Kills the whole tree as far as it is seen now: by the cgroup at once where there is one, and one by one besides.
/// What is forked meanwhile is seen the next time; the caller asks again until nothing is left.
pub fn kill(shim: u32, cgroup: Option<&Cgroup>) {
    if let Some(cgroup) = cgroup {
        cgroup.kill();
    }
    // A tree that forks faster than it is killed is stopped first.
    for _ in 0..8 {
        let before = members(shim, cgroup);
        if before.is_empty() {
            return;
        }
        signal(shim, cgroup, libc::SIGSTOP);
        if members(shim, cgroup) == before {
            break;
        }
    }
    signal(shim, cgroup, libc::SIGKILL);
}

/// Sends a signal by a handle. A process that is gone meanwhile is none of our business.
pub fn send(handle: &std::os::fd::OwnedFd, signal: i32) {
    if let Some(signal) = rustix::process::Signal::from_named_raw(signal) {
        let _ = rustix::process::pidfd_send_signal(handle, signal);
    }
}
