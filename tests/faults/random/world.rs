//! What there is of a stack, as `/proc` says it.

use std::collections::BTreeMap;

use super::role::HELPER;
use super::tried::Tried;
use crate::common::ours::Part;
use crate::common::proc::{self, Process};

/// The first process of a service.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// What it is: `web`.
    pub(crate) role: String,
    /// The instance that it was told it is.
    pub(crate) instance: String,
    /// `CORE_INSTANCE` in its environment.
    pub(crate) mark: String,
    pub(crate) process: Process,
}

/// All of it at one moment.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) keepers: Vec<Process>,
    pub(crate) supervisors: Vec<Process>,
    /// What was forked, and is not yet what it is to be.
    pub(crate) unborn: Vec<Process>,
    /// By instance.
    pub(crate) shims: Vec<(String, Process)>,
    pub(crate) leaders: Vec<Leader>,
    /// Helpers of `forks`, with the mark that they have.
    pub(crate) helpers: Vec<(String, Process)>,
    /// What has ended, and was not fetched by its parent, who is one of those above.
    pub(crate) zombies: Vec<Process>,
}

impl World {
    /// As it is now.
    pub(crate) fn of(stack: &Tried) -> Self {
        let mut world = Self { shims: stack.shims(), ..Self::default() };
        for (part, one) in stack.ours() {
            match part {
                Part::Keeper => world.keepers.push(one),
                Part::Supervisor => world.supervisors.push(one),
                Part::Unborn => world.unborn.push(one),
                Part::Shim => {}
            }
        }
        let root = stack.root.display().to_string();
        let all = proc::all();
        for one in all.clone() {
            // What a service has forked looks like it until it is something else.
            let is_forked = all.iter().any(|other| other.pid == one.parent && other.args == one.args);
            let is_leader = one.args.get(1).is_some_and(|word| word == "role") && !is_forked;
            if one.state == 'Z' || !(is_leader || one.args == HELPER) {
                continue;
            }
            let env = proc::env(one.pid);
            let value = |name: &str| env.iter().find_map(|pair| pair.strip_prefix(name)).unwrap_or_default().to_owned();
            let cwd = std::fs::read_link(format!("/proc/{}/cwd", one.pid)).unwrap_or_default();
            if cwd.display().to_string() != root {
                continue;
            }
            let mark = value("CORE_INSTANCE=");
            if is_leader {
                let (role, instance) = (one.args[2].clone(), value("INSTANCE="));
                world.leaders.push(Leader { role, instance, mark, process: one });
            } else {
                world.helpers.push((mark, one));
            }
        }
        let parents: Vec<u32> = world.everybody().iter().map(|one| one.pid).collect();
        world.zombies =
            proc::all().into_iter().filter(|one| one.state == 'Z' && parents.contains(&one.parent)).collect();
        world
    }

    /// All but zombies.
    pub(crate) fn everybody(&self) -> Vec<&Process> {
        let ours = self.ours();
        ours.into_iter()
            .chain(self.leaders.iter().map(|one| &one.process))
            .chain(self.helpers.iter().map(|(_, one)| one))
            .collect()
    }

    /// Core's own processes.
    pub(crate) fn ours(&self) -> Vec<&Process> {
        let shims = self.shims.iter().map(|(_, one)| one);
        self.keepers.iter().chain(&self.supervisors).chain(&self.unborn).chain(shims).collect()
    }

    /// The first processes of a service.
    pub(crate) fn of_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Leader> {
        self.leaders.iter().filter(move |one| one.role == role)
    }

    /// Who a slot's services are: more than one at a time must not be.
    pub(crate) fn twice(&self) -> Vec<String> {
        let mut slots: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for one in &self.leaders {
            let slot = one.instance.split('@').next().unwrap_or_default();
            slots.entry(slot).or_default().push(one.process.pid);
        }
        let many = slots.into_iter().filter(|(_, pids)| pids.len() > 1);
        many.map(|(slot, pids)| format!("{slot} is there {} times: processes {pids:?}", pids.len())).collect()
    }
}
