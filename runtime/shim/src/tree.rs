//! The processes of an instance: what descends from its shim, and what is in its cgroup.

use std::collections::BTreeSet;
use std::fs;

use nix::libc;

use crate::cgroup::Cgroup;
use crate::guard;
use crate::handle::Handle;
use crate::place::Place;
use crate::sys::Stat;

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

/// What belongs to an instance.
pub struct Tree<'a> {
    /// Its shim: all that descends from it belongs to the instance.
    pub shim: u32,
    /// Its cgroup.
    pub cgroup: Option<&'a Cgroup>,
    /// What another shim began and this one took over.
    pub foreign: Option<Stray>,
}

/// How a tree is known that does not descend from the shim.
pub struct Stray {
    /// Its first process.
    pub leader: u32,
    /// The mark of its invocation.
    pub mark: String,
    /// The run folder, whose lock it has inherited.
    pub place: Place,
}

impl Tree<'_> {
    /// All its processes, as far as they are seen now.
    pub fn members(&self) -> BTreeSet<u32> {
        let mut all = descendants(self.shim);
        if let Some(cgroup) = self.cgroup {
            all.extend(cgroup.members());
        }
        if let Some(Stray { leader, mark, place }) = &self.foreign {
            // The mark tells who belongs to it; what they began may have dropped the mark, and has the lock.
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

    /// Signals every process of the tree that `wanted` names. Each is held by a handle before it is looked at once more,
    /// so that a number that was given to somebody else meanwhile is not signalled.
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
                // One that is gone meanwhile is none of our business.
                let _ = handle.send(signal);
            }
        }
    }

    /// Kills the whole tree as far as it is seen now: by the cgroup at once where there is one, and one by one besides.
    /// What is forked meanwhile is seen the next time; the caller asks again until nothing is left.
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
