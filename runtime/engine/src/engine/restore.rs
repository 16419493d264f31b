//! What an engine saves for the next one, and how the next one continues from the saved state and from what is
//! still alive.

use std::sync::Arc;

use core_manifest::spec::Strategy;
use core_manifest::{ServiceName, ServiceSpec};

use super::instance::Instance;
use super::service::{Rollout, Service, Stage, Warm};
use super::shim::Shim;
use super::{Basis, Down, Engine, mutated};
use crate::action::Action;
use crate::event::{Found, Life, Purpose};
use crate::ids::InstanceId;
use crate::phase::{Phase, Process, Stop, StopReason};
use crate::plan::Change;
use crate::record::Cause;
use crate::saved::{Saved, SavedRollout, SavedService, SavedWarm};

impl Engine {
    /// The state to save.
    pub fn saved(&self) -> Saved {
        let services = self.services.iter().map(|(name, service)| {
            let saved = SavedService {
                spec: service.spec.clone(),
                born: service.born,
                rollout: service.rollout.as_ref().map(|rollout| SavedRollout {
                    spec: rollout.spec.clone(),
                    born: rollout.born,
                    switched: rollout.stage.is_switched(),
                }),
                warm: service.warm.as_ref().map(|warm| SavedWarm { spec: warm.spec.clone(), born: warm.born }),
                operator: service.operator,
                scale: service.scale,
                maintenance: service.maintenance.clone(),
                rejected: service.rejected.clone(),
            };
            (name.clone(), saved)
        });
        let is_other = |id: &InstanceId| !self.is_born(id) && !self.is_warm(id);
        let others = self.instances.values().filter(|instance| instance.phase.is_live() && is_other(&instance.id));
        Saved {
            generation: self.generation,
            down: self.down.is_some() && !self.finished,
            selected: self.selected.clone(),
            services: services.collect(),
            others: others.map(|instance| (instance.id.clone(), instance.spec.clone())).collect(),
            ports: self
                .given_ports
                .iter()
                .map(|((service, replica, name), number)| (service.clone(), *replica, name.clone(), *number))
                .collect(),
            range: self.range.clone(),
            releases: self.wanted_releases().clone(),
            trails: self.trails().clone(),
            trials: self.saved_trials(),
        }
    }

    pub(super) fn restored(&mut self, launched: bool, saved: Option<&Saved>, found: &[Found]) {
        if let Some(saved) = saved {
            self.remember(saved);
            if saved.down && (!launched || mutated!(self, StopAfterLaunch)) {
                self.down = Some(Down { code: 0, kill: false });
            }
        }
        for one in found {
            if !mutated!(self, ForgetFound) {
                self.find(one, saved);
            }
        }
        self.index_dependents();
        // A service of which nothing was found starts under a new name: logs may contain the old one.
        let absent: Vec<ServiceName> =
            self.services.keys().filter(|name| self.instances_of(name).next().is_none()).cloned().collect();
        // For a service that should not run, nothing is expected to be found.
        if absent.iter().any(|name| self.held_back(name, &self.services[name]).is_none()) {
            let from = self.generation;
            self.generation = from.next();
            self.save = true;
            for name in absent {
                if self.services.get(&name).is_some_and(|service| self.held_back(&name, service).is_none()) {
                    self.note_change(from, &name, Change::Start, "nothing of it was running".into());
                }
                if let Some(service) = self.services.get_mut(&name) {
                    service.born = self.generation;
                    service.rollout = None;
                    service.warm = None;
                    // A rejection counts while something of the service runs. From now on the manifest does.
                    service.rejected = None;
                }
            }
        }
        if self.basis != Basis::Nothing {
            self.ensure_slots();
        }
        let operation = self.number_operation();
        let by = if found.is_empty() { Cause::Start } else { Cause::Supervisor };
        self.read(Purpose::Apply { operation, by });
    }

    fn remember(&mut self, saved: &Saved) {
        self.basis = Basis::Memory;
        self.generation = self.generation.max(saved.generation);
        self.selected.clone_from(&saved.selected);
        self.given_ports = saved.ports();
        self.remember_releases(&saved.releases, &saved.trails);
        self.remember_trials(&saved.trials);
        self.range = saved.range.clone();
        for (name, one) in &saved.services {
            let rollout = one.rollout.as_ref().map(|rollout| {
                let until = self.now + one.spec.update.observe;
                let stage = match one.spec.update.strategy {
                    _ if rollout.switched => Stage::Observing { until },
                    Strategy::Restart => Stage::Fetching,
                    Strategy::Swap | Strategy::Rolling => Stage::Bringing,
                };
                Rollout { spec: rollout.spec.clone(), born: rollout.born, stage, returns: false }
            });
            // It is not known how long they were warm already.
            let until = self.now + one.spec.update.warm;
            let warm = one.warm.as_ref().map(|warm| Warm { spec: warm.spec.clone(), born: warm.born, until });
            let service = Service {
                spec: one.spec.clone(),
                born: one.born,
                rollout,
                warm,
                operator: one.operator,
                scale: one.scale,
                maintenance: one.maintenance.clone(),
                rejected: one.rejected.clone(),
            };
            self.services.insert(name.clone(), service);
        }
    }

    fn find(&mut self, found: &Found, saved: Option<&Saved>) {
        let id = &found.instance;
        self.generation = self.generation.max(id.generation);
        let service = self.services.get(id.service());
        let of_service = service.and_then(|service| match &service.rollout {
            Some(rollout) if rollout.born == id.generation => Some(rollout.spec.clone()),
            _ if self.is_warm(id) => service.warm.as_ref().map(|warm| warm.spec.clone()),
            _ => (service.born == id.generation).then(|| service.spec.clone()),
        });
        let spec = of_service
            .or_else(|| saved.and_then(|saved| saved.others.get(id)).cloned())
            .or_else(|| service.map(|service| service.spec.clone()))
            .unwrap_or_else(|| Arc::new(ServiceSpec::bare(id.service().clone(), "")));
        let is_candidate = service.is_some_and(|service| {
            service.born == id.generation
                && service.rollout.as_ref().is_some_and(|rollout| rollout.stage == Stage::Bringing)
        });
        let mut instance = Instance::new(id.clone(), spec, self.now);
        instance.invocation = found.invocation;
        instance.ports.clone_from(&found.ports);
        instance.restarts = found.restarts;
        instance.failures = found.failures;
        instance.candidate = is_candidate;
        instance.beside = service.is_some_and(|service| {
            let side_by_side = service.rollout.as_ref().is_some_and(|rollout| rollout.stage != Stage::Fetching);
            (side_by_side || service.warm.is_some()) && service.born == id.generation
        });
        instance.admitted = found.invocation > 0;
        instance.started_once = !matches!(found.life, Life::Idle);
        instance.shim = match found.life {
            Life::Recorded { .. } => Shim::None,
            _ => Shim::Live,
        };
        self.instances.insert(id.clone(), instance);
        if found.life == Life::Unattended {
            self.connect(id, "its shim has not answered yet");
        }
        self.dirty.insert(id.clone());
        self.changed.insert(id.service().clone());
        self.resume(id, &found.life);
    }

    /// Continues the life of an instance from the state in which it was found.
    fn resume(&mut self, id: &InstanceId, life: &Life) {
        let (started, invocation) = (self.now, self.instances[id].invocation_id());
        match *life {
            Life::Idle => {}
            Life::Running { .. } | Life::Unattended => {
                let pid = if let Life::Running { pid } = *life { pid } else { 0 };
                let process = Process { pid, started };
                let instance = &self.instances[id];
                // The supervisor may have saved the takeover and died before it restored the priority.
                if pid > 0 && instance.beside && !instance.candidate {
                    self.actions.push(Action::Yield { pid, yields: false });
                }
                // A candidate must still become ready in time; one that served is probed again without a deadline.
                let by = (instance.candidate && instance.spec.readiness.is_some())
                    .then(|| self.now + instance.spec.update.ready);
                let has_probe = instance.spec.readiness.is_some();
                self.set_phase(id, Phase::Probing { process, by });
                self.begin_probes(id);
                if !has_probe {
                    self.became_ready(id);
                }
                // Its first probe runs at once, without the pause that a new process gets.
                if let Some(instance) = self.instances.get_mut(id)
                    && instance.readiness.next.is_some()
                {
                    instance.readiness.next = Some(started);
                }
            }
            Life::Exited { exit, leftovers } => {
                self.set_phase(id, Phase::Probing { process: Process { pid: 0, started }, by: None });
                self.exited(&invocation, exit, leftovers);
            }
            Life::Recorded { exit } => {
                let stage = Stop::Asked { kill_at: self.now, ask_at: None };
                self.set_phase(id, Phase::Stopping { stage, why: StopReason::Leftovers });
                self.exited(&invocation, exit, false);
            }
        }
    }
}
