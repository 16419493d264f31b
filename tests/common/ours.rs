//! Core's own processes of a stack: which they are, and how they are killed.

use super::proc::{self, Process};
use super::{Stack, eventually, until};

/// What a process of core's own is; in the order in which they are held still before they are killed. A supervisor
/// replaces its keeper, a keeper its supervisor, and both together replace a shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Supervisor,
    Keeper,
    Shim,
    /// What a keeper or a supervisor has forked, and what is not yet what it is to be.
    Unborn,
}

impl Stack {
    /// Every process of core's own, and only those: nothing that serves, nobody who only asks.
    pub(crate) fn ours(&self) -> Vec<(Part, Process)> {
        let (all, root, hash) = (proc::all(), self.root.display().to_string(), self.hash());
        let names_root = |one: &Process| one.args.contains(&root);
        let is_keeper = |one: &Process| names_root(one) && one.args[0] == "core-shim";
        let is_supervisor = |one: &Process| names_root(one) && one.args.get(1).is_some_and(|word| word == "supervise");
        // Its keeper may be gone; then it is known by the pipes that it holds, which are in the run folder.
        let is_shim = |one: &Process| {
            one.args.first().is_some_and(|name| name.starts_with("core-shim "))
                && (all.iter().any(|other| other.pid == one.parent && is_keeper(other))
                    || proc::descriptors(one.pid).iter().any(|(_, path)| path.iter().any(|part| part == &*hash)))
        };
        // What was only forked looks like its parent. Below a shim that is a service.
        let is_forked = |one: &Process| all.iter().any(|other| other.pid == one.parent && other.args == one.args);
        let part = |one: &Process| match one {
            one if is_shim(one) => Some(Part::Shim).filter(|_| !is_forked(one)),
            one if is_keeper(one) => Some(if is_forked(one) { Part::Unborn } else { Part::Keeper }),
            one if is_supervisor(one) => Some(if is_forked(one) { Part::Unborn } else { Part::Supervisor }),
            _ => None,
        };
        all.iter().filter_map(|one| Some((part(one)?, one.clone()))).collect()
    }

    /// The process of the supervisor.
    #[track_caller]
    pub(crate) fn supervisor(&self) -> u32 {
        eventually("a supervisor runs", || self.pid_of(|part, _| part == Part::Supervisor))
    }

    /// The process of the keeper.
    #[track_caller]
    pub(crate) fn keeper(&self) -> u32 {
        eventually("a keeper runs", || self.pid_of(|part, _| part == Part::Keeper))
    }

    /// The process of the shim of an instance, such as `one-0@1`.
    #[track_caller]
    pub(crate) fn shim(&self, instance: &str) -> u32 {
        let name = format!("core-shim {instance}");
        let is_its = |part: Part, one: &Process| part == Part::Shim && one.args[0] == name;
        eventually("its shim runs", || self.pid_of(is_its))
    }

    fn pid_of(&self, is_it: impl Fn(Part, &Process) -> bool) -> Option<u32> {
        self.ours().into_iter().find(|(part, one)| is_it(*part, one)).map(|(_, one)| one.pid)
    }

    /// Kills the supervisor, and waits until another one answers.
    #[track_caller]
    pub(crate) fn kill_supervisor(&self) {
        let before = self.supervisor();
        proc::kill(before);
        until("another supervisor runs", || !proc::lives(before) && self.supervisor() != before);
        until("it answers", || self.core(&["status"]).code == 0);
    }

    /// Kills the shim of an instance, and waits until it has another one.
    #[track_caller]
    pub(crate) fn kill_shim(&self, instance: &str) {
        let before = self.shim(instance);
        proc::kill(before);
        until("it has another shim", || self.shim(instance) != before);
    }

    /// Kills all of ours in what is one moment to them: none is killed before each of them is held still, so that
    /// nobody gets to put another in its place. What was forked until then is found by looking again. Returns who it was.
    #[track_caller]
    pub(crate) fn kill_all_of_ours(&self) -> Vec<u32> {
        let mut held: Vec<u32> = Vec::new();
        until("all of ours are held still", || {
            let mut ours = self.ours();
            ours.sort_by_key(|(part, _)| *part);
            let found = held.len();
            let mut is_settled = true;
            for (part, one) in ours {
                if part == Part::Unborn {
                    is_settled = false;
                } else if !held.contains(&one.pid) {
                    proc::hold(one.pid);
                    held.push(one.pid);
                }
            }
            is_settled && held.len() == found
        });
        // One that was about to end when it was found has ended.
        held.retain(|pid| proc::is_held(*pid));
        proc::kill_all(&held);
        until("ours are gone", || !held.iter().any(|pid| proc::lives(*pid)));
        held
    }
}
