//! The processes of an instance: the descendants of its shim, and those in its cgroup.

use std::collections::BTreeSet;
use std::fs;

use nix::libc;

use crate::cgroup::Cgroup;
use crate::guard;
use crate::handle::Handle;
use crate::place::Place;
use crate::sys::Stat;

/// All descendants of `root`, without `root` itself.
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

/// The processes that belong to an instance.
pub struct Tree<'a> {
    /// PID of its shim, whose descendants belong to the instance.
    pub shim: u32,
    /// The cgroup of the instance.
    pub cgroup: Option<&'a Cgroup>,
    /// The invocation that another shim started and this one took over.
    pub foreign: Option<Stray>,
}

/// How the processes of a tree are found that are not descendants of the shim.
pub struct Stray {
    /// PID of its first process.
    pub leader: u32,
    /// The mark of its invocation.
    pub mark: String,
    /// The place of the instance, whose lock its processes have inherited.
    pub place: Place,
}

impl Tree<'_> {
    /// All processes that can be seen now.
    pub fn members(&self) -> BTreeSet<u32> {
        let mut all = descendants(self.shim);
        if let Some(cgroup) = self.cgroup {
            all.extend(cgroup.members());
        }
        if let Some(Stray { leader, mark, place }) = &self.foreign {
            // The mark tells which processes belong to it; their children may have dropped the mark, but have the lock.
            let mut marked = guard::marked(mark);
            if guard::is_held(place) {
                marked.extend(guard::holders(place));
            }
            all.extend(marked.iter().flat_map(|pid| descendants(*pid)));
            all.extend(marked);
            if all.contains(leader) {
                all.extend(descendants(*leader));
            }
        }
        all.remove(&self.shim);
        all.retain(|pid| Stat::of(*pid).is_some_and(|stat| !stat.has_ended(*pid)));
        all
    }

    /// Signals every process of the tree for which `wanted` returns true. Each is held by a handle before it is checked
    /// again, so that a PID that another process got in the meantime is not signalled.
    pub fn signal(&self, signal: i32, wanted: impl Fn(u32) -> bool) {
        let handles: Vec<_> = self
            .members()
            .into_iter()
            .filter(|pid| wanted(*pid))
            .filter_map(|pid| Some((pid, Handle::of(pid)?)))
            .collect();
        if handles.is_empty() {
            return;
        }
        let still = self.members();
        for (pid, handle) in handles {
            if still.contains(&pid) {
                // A process that is gone by now does not matter.
                let _ = handle.send(signal);
            }
        }
    }

    /// Kills the whole tree as far as it can be seen now: at once through the cgroup if there is one, and one by one.
    /// What is forked in the meantime is seen next time; the caller repeats this until nothing is left.
    pub fn kill(&self) {
        if let Some(cgroup) = self.cgroup
            && cgroup.kill()
            && self.members().is_empty()
        {
            return;
        }
        // A tree that forks faster than it is killed is stopped first.
        for _ in 0..8 {
            let before = self.members();
            if before.is_empty() {
                return;
            }
            self.signal(libc::SIGSTOP, |_| true);
            if self.members() == before {
                break;
            }
        }
        self.signal(libc::SIGKILL, |_| true);
    }
}
