//! What must be true of the world itself, whatever the engine says.

use std::collections::{BTreeMap, BTreeSet};

use core_engine::InstanceId;
use core_engine::action::{RouteTable, StartOrder, Target};
use core_engine::phase::PhaseName;
use core_manifest::ServiceName;
use core_manifest::spec::Strategy;

use super::World;
use super::stack::is_one_shot;

impl World {
    /// After chaos: everything wanted runs, once, and nothing else does.
    pub(crate) fn check_calm(&self) -> Result<(), String> {
        if self.now < self.missed_by {
            return Err("an answer is waited for that was lost".into());
        }
        self.promises.check_answered()?;
        self.promises.check_none_held_in_vain(self)?;
        self.check_trials()?;
        let mut slots = BTreeSet::new();
        for (id, phase, _) in self.engine.instances() {
            if !slots.insert(id.slot.clone()) {
                return Err(format!("two instances of {} are left", id.slot));
            }
            let Some(spec) = self.engine.spec(id) else { continue };
            let expected = if is_one_shot(spec) { PhaseName::Ended } else { PhaseName::Ready };
            if phase != expected {
                let view = self.engine.view();
                let waiting =
                    view.instances.iter().find(|one| &one.id == id).map(|one| format!("{:?}", one.waiting_on));
                return Err(format!("{id} is {} after all is calm: {waiting:?}", phase.word()));
            }
            let runs = self.trees.get(id).is_some_and(super::tree::Tree::is_alive);
            if runs != (phase == PhaseName::Ready) {
                return Err(format!("{id} is {}, and whether it runs is {runs}", phase.word()));
            }
        }
        for shown in self.engine.view().instances {
            let leader = self.trees.get(&shown.id).and_then(|tree| tree.leader);
            if leader.is_some() && shown.pid != leader {
                return Err(format!("{} is process {leader:?}, and {:?} is shown", shown.id, shown.pid));
            }
        }
        for service in self.topology.services.keys() {
            if !slots.iter().any(|slot| &slot.service == service) {
                return Err(format!("{service} has no instance after all is calm"));
            }
        }
        for (id, tree) in &self.trees {
            if tree.is_alive() && self.engine.phase(id).is_none() {
                return Err(format!("{id} runs, and the engine does not know it"));
            }
        }
        for (service, spec) in &self.topology.services {
            let targets = self.routes.get(service).map(Vec::as_slice).unwrap_or_default();
            let ready: BTreeSet<InstanceId> =
                self.engine.instances().filter(|(id, ..)| id.service() == service).map(|(id, ..)| id.clone()).collect();
            let routed: BTreeSet<InstanceId> = targets.iter().map(|target| target.instance.clone()).collect();
            if spec.route.is_some() && ready != routed {
                return Err(format!("the edge knows {routed:?} of {service}, ready are {ready:?}"));
            }
            let is_meant = self.engine.maintained().any(|(name, _)| name == service);
            if spec.route.is_some() && is_meant != self.closed.contains(service) {
                return Err(format!("{service} is in maintenance: {is_meant}, and the edge does otherwise"));
            }
            let is_warm = |phase: PhaseName| phase == PhaseName::Warm;
            let of_service = self.engine.instances().filter(|(id, ..)| id.service() == service);
            let warm: BTreeSet<InstanceId> =
                of_service.filter(|(_, phase, _)| is_warm(*phase)).map(|(id, ..)| id.clone()).collect();
            let former = self.formers.get(service).map(Vec::as_slice).unwrap_or_default();
            let former: BTreeSet<InstanceId> = former.iter().map(|target| target.instance.clone()).collect();
            if spec.route.is_some() && former != warm {
                return Err(format!("old pages of {service} are sent to {former:?}, warm are {warm:?}"));
            }
        }
        Ok(())
    }

    /// The edge answers in the place of a service from now on, or no longer.
    pub(super) fn close(&mut self, table: &RouteTable) {
        if table.maintenance.is_some() {
            self.closed.insert(table.service.clone());
        } else {
            self.closed.remove(&table.service);
        }
    }

    /// Whether the edge may send requests to an instance.
    pub(crate) fn is_routed(&self, id: &InstanceId) -> bool {
        let of = |routes: &BTreeMap<ServiceName, Vec<Target>>| {
            routes.get(id.service()).is_some_and(|all| all.iter().any(|target| &target.instance == id))
        };
        of(&self.routes) || of(&self.formers)
    }

    /// Whatever runs has a shim that looks after it, and the engine a line to that.
    pub(crate) fn check_attended(&self) -> Result<(), String> {
        let is_left = |tree: &super::tree::Tree| tree.is_alive() && !tree.hears();
        match self.trees.iter().find(|(_, tree)| is_left(tree)) {
            Some((id, _)) => Err(format!("nobody looks after {id}, long after the last fault")),
            None => Ok(()),
        }
    }

    /// Promise 3: one tree of a slot, but for a swap: whether it is one says the newer of the two.
    pub(crate) fn check_slot(&self, order: &StartOrder) -> Result<(), String> {
        let id = &order.invocation.instance;
        for (other, tree) in &self.trees {
            if other.slot != id.slot || other == id || !tree.is_alive() {
                continue;
            }
            let of_other = self.engine.spec(other).map(|spec| spec.update.strategy);
            let strategy = of_other.filter(|_| other.generation > id.generation).unwrap_or(order.spec.update.strategy);
            if strategy == Strategy::Restart {
                return Err(format!("{id} is started beside {other}, and its strategy is restart"));
            }
        }
        Ok(())
    }

    /// Promise 7: nothing is left.
    pub(crate) fn check_gone(&self) -> Result<(), String> {
        match self.trees.iter().find(|(_, tree)| tree.is_alive()) {
            Some((id, _)) => Err(format!("{id} runs after the stack has ended")),
            None => Ok(()),
        }
    }
}
