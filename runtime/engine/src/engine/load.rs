//! Applies new manifests: what differs is changed, everything else is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_manifest::{Problem, ServiceName, ServiceSpec};

use super::instance::Instance;
use super::service::{Service, Stage};
use super::{Basis, Binary, Engine, mutated};
use crate::action::Action;
use crate::event::Loaded;
use crate::exit::Failure;
use crate::ids::InstanceId;
use crate::plan::{Change, Plan, plan};
use crate::topology::Topology;

impl Engine {
    /// Applies valid manifests, which are this topology; with `again`, also specs that failed and have not changed since.
    pub(super) fn loaded(&mut self, loaded: &Loaded, topology: &Topology, again: bool) {
        let first = std::mem::replace(&mut self.basis, Basis::Manifests) == Basis::Nothing;
        self.given_ports.clone_from(&loaded.ports);
        self.range = loaded.range.clone();
        self.problems.clear();
        self.forget_gone(&loaded.present);
        for folder in &loaded.present {
            self.binaries.insert(folder.clone(), Binary::Present);
        }
        // Binaries that are not available are tried again with every reading.
        self.binaries.retain(|_, binary| !matches!(binary, Binary::Failed(_)));
        if first {
            self.adopt_found(topology);
        }
        if !loaded.select.is_empty() && self.instances.values().all(|instance| instance.invocation == 0) {
            self.selected = Some(topology.with_dependencies(&loaded.select));
        }
        let plan = self.plan_for(topology, again);
        if !plan.is_empty() {
            self.generation = plan.to;
            self.save = true;
            self.note_changes(plan.from, plan.services.clone());
        }
        for (name, planned) in &plan.services {
            let new = topology.services.get(name);
            match (planned.change, new) {
                (Change::Keep, Some(spec)) if mutated!(self, ReplaceUnchanged) => {
                    self.generation = self.generation.next();
                    self.replace(name, spec.clone(), self.generation);
                }
                // A spec that was rolled back stays rejected.
                (Change::Keep, Some(spec)) if self.is_rejected(name, spec) => {}
                (Change::Keep | Change::Refresh, Some(spec)) => self.refresh(name, spec),
                (Change::Start, Some(spec)) => {
                    self.services.insert(name.clone(), Service::new(spec.clone(), self.generation));
                }
                (Change::Swap | Change::Restart, Some(spec)) => {
                    if self.goes_back(name, spec) || self.returns(name, spec) {
                        continue;
                    }
                    // Serving instances are not stopped for new ones that cannot start.
                    if self.serves(name)
                        && let Some(why) = taken(spec, &loaded.strangers)
                        && let Some(service) = self.services.get_mut(name)
                    {
                        service.rejected = Some((spec.clone(), why));
                        continue;
                    }
                    self.replace(name, spec.clone(), self.generation);
                }
                _ => {
                    self.services.remove(name);
                }
            }
            self.changed.insert(name.clone());
        }
        self.save |= first;
        self.index_dependents();
        self.settle_fetches();
        self.settle_logs();
        self.ensure_slots();
    }

    /// The manifests are not valid: what was wanted before is still wanted.
    pub(super) fn rejected(&mut self, problems: &[Problem]) {
        self.problems = problems.to_vec();
        if self.basis == Basis::Memory {
            self.basis = Basis::Manifests;
            self.dirty.extend(self.instances.keys().cloned());
            self.settle_logs();
        }
    }

    /// The plan from the current state to `topology`; with `again`, rejected specs are tried again.
    pub fn plan_for(&self, topology: &Topology, again: bool) -> Plan {
        let mut now = Topology::default();
        for (name, service) in &self.services {
            // A rejected spec counts as the current one, so that it is not tried again.
            let spec = match (&service.rejected, topology.services.get(name)) {
                (Some((rejected, _)), Some(new)) if !again && rejected == new => rejected.clone(),
                _ => service.spec.clone(),
            };
            now.services.insert(name.clone(), spec);
        }
        plan(self.generation, &now, topology)
    }

    /// Instances that were found without saved state belong to the service of their name.
    fn adopt_found(&mut self, topology: &Topology) {
        for (name, spec) in &topology.services {
            if self.services.contains_key(name) {
                continue;
            }
            let newest = self.instances_of(name).map(|instance| instance.id.generation).max();
            let Some(born) = newest else { continue };
            self.services.insert(name.clone(), Service::new(spec.clone(), born));
            for id in self.ids_of(name) {
                if let Some(instance) = self.instances.get_mut(&id) {
                    instance.spec = spec.clone();
                }
            }
            self.save = true;
        }
    }

    /// Whether anything of a service is alive: only then there is something to roll back to.
    fn serves(&self, name: &ServiceName) -> bool {
        self.instances_of(name).any(|instance| instance.phase.is_live())
    }

    fn is_rejected(&self, name: &ServiceName, spec: &Arc<ServiceSpec>) -> bool {
        let rejected = self.services.get(name).and_then(|service| service.rejected.as_ref());
        rejected.is_some_and(|(rejected, _)| rejected == spec)
    }

    /// Applies settings that do not need a new process.
    pub(super) fn refresh(&mut self, name: &ServiceName, spec: &Arc<ServiceSpec>) {
        let Some(service) = self.services.get_mut(name) else { return };
        service.rejected = None;
        // An equal spec may come from the saved state, which does not hold the values of variables and secrets.
        let is_equal = service.spec == *spec;
        service.spec = spec.clone();
        self.save |= !is_equal;
        let born = service.born;
        let now = self.now;
        let mut cuts_elsewhere = false;
        for id in self.ids_of(name) {
            let Some(instance) = self.instances.get_mut(&id).filter(|instance| instance.id.generation == born) else {
                continue;
            };
            let before = std::mem::replace(&mut instance.spec, spec.clone());
            if is_equal {
                continue;
            }
            cuts_elsewhere |= before.log.segment_bytes != spec.log.segment_bytes;
            if instance.phase.process().is_some() {
                // A new or changed probe runs at once; a removed one never runs again.
                if before.readiness != spec.readiness && !instance.readiness.outstanding {
                    instance.readiness.next = spec.readiness.as_ref().map(|_| now);
                }
                if before.liveness != spec.liveness && !instance.liveness.outstanding {
                    let asked = instance.ready_once && spec.liveness.is_some();
                    instance.liveness.next = asked.then_some(now);
                }
            }
            self.dirty.insert(id.clone());
            // Without a readiness probe there is nothing left to wait for.
            if spec.readiness.is_none() {
                self.became_ready(&id);
            }
        }
        if cuts_elsewhere {
            let segment_bytes = spec.log.segment_bytes;
            self.actions.push(Action::CutLog { service: name.clone(), segment_bytes });
        }
    }

    /// An edit was undone while its replacement was still starting: the serving instances simply stay.
    fn goes_back(&mut self, name: &ServiceName, spec: &Arc<ServiceSpec>) -> bool {
        let Some(service) = self.services.get_mut(name) else { return false };
        let Some(rollout) = service.rollout.take_if(|rollout| !rollout.stage.is_switched() && rollout.spec == *spec)
        else {
            return false;
        };
        service.spec = rollout.spec;
        service.born = rollout.born;
        service.rejected = None;
        self.save = true;
        true
    }

    /// Gives every slot of every service an instance of the wanted generation.
    pub(super) fn ensure_slots(&mut self) {
        let now = self.now;
        let mut missing: Vec<(InstanceId, Arc<ServiceSpec>, (bool, bool))> = Vec::new();
        for (name, service) in &self.services {
            for replica in 0..service.replicas() {
                let id = InstanceId::new(name.clone(), replica, service.born);
                if !self.instances.contains_key(&id) {
                    let on_trial = service.rollout.as_ref().is_some_and(|rollout| rollout.stage == Stage::Bringing);
                    missing.push((id, service.spec.clone(), (on_trial, on_trial || service.warm.is_some())));
                }
            }
            // A serving instance may be missing too, if there are more replicas now.
            if let Some(rollout) = &service.rollout {
                for replica in 0..service.replicas() {
                    let id = InstanceId::new(name.clone(), replica, rollout.born);
                    if !self.instances.contains_key(&id) && !rollout.stage.is_switched() {
                        missing.push((id, rollout.spec.clone(), (false, false)));
                    }
                }
            }
        }
        for (id, spec, (candidate, beside)) in missing {
            let mut instance = Instance::new(id.clone(), spec, now);
            instance.candidate = candidate;
            instance.beside = beside;
            self.changed.insert(id.service().clone());
            self.dirty.insert(id.clone());
            self.instances.insert(id, instance);
        }
        let unwanted: BTreeSet<InstanceId> = self.instances.keys().cloned().collect();
        self.dirty.extend(unwanted);
    }
}

/// The first port of a spec that a process outside this stack listens on, as text.
fn taken(spec: &ServiceSpec, strangers: &BTreeMap<u16, String>) -> Option<String> {
    let (port, owner) = spec.ports.values().find_map(|port| strangers.get_key_value(&port.number?))?;
    Some(Failure::PortTaken { port: *port, owner: owner.clone() }.to_string())
}
