//! Commands: they change what is wanted, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use core_manifest::ServiceName;

use super::operation::{Goal, Operation};
use super::{Basis, Down, Engine};
use crate::action::{Action, pointers};
use crate::event::{Command, Purpose};
use crate::ids::InstanceId;
use crate::phase::{EndReason, Phase};
use crate::plan::Change;
use crate::record::Cause;
use crate::saved::Operator;
use crate::topology::Topology;

/// The largest number of replicas that a manifest may ask for, and so a command.
const MOST_REPLICAS: u32 = 1000;

impl Engine {
    pub(super) fn command(&mut self, id: u64, command: &Command, by: Cause) {
        self.last_operation = self.last_operation.max(id);
        if self.comes_early(command) {
            self.keep_early(id, command, by);
            return;
        }
        let operation = match command {
            Command::Up { services, timeout } => self.up(services, *timeout),
            Command::Start { services } => self.start_services(services),
            Command::Stop { services } => self.stop_services(services),
            Command::Restart { services } => self.restart_services(services, "it was asked for"),
            Command::Renew { service } if self.runs(service) => {
                self.restart_services(std::slice::from_ref(service), "its files are others")
            }
            // Nothing is to be done.
            Command::Renew { .. } => Operation::new(Goal::Ready, BTreeSet::new(), self.now, None),
            Command::Scale { service, replicas } => self.scale(service, *replicas),
            Command::Deploy { service, how } => self.deploy(id, service.as_ref(), how, by),
            Command::Rollback { service, release } => self.roll_back(id, service.as_ref(), release.as_ref(), by),
            Command::Promote { service, name, as_built } => {
                self.promote(id, service.as_ref(), name.as_deref(), *as_built, by)
            }
            Command::EndTrial { service } => self.end_trials(service),
            Command::Maintain { services, how } => self.maintain(services, how.as_ref()),
            Command::Apply => {
                self.read(Purpose::Apply { operation: id, by });
                return;
            }
            Command::Down => self.begin_down(0, false),
            Command::Kill => self.begin_down(0, true),
        };
        if matches!(command, Command::Down | Command::Kill) {
            self.refuse_early();
        }
        if operation.goal == Goal::Release {
            // The history gets it when it is known what it changes.
            self.add_operation(id, operation);
        } else {
            self.begin_operation(id, command, by, operation);
        }
        self.actions.push(Action::Accepted { operation: id });
    }

    pub(super) fn begin_operation(&mut self, id: u64, command: &Command, by: Cause, mut operation: Operation) {
        self.tell_begun(id, command, by, &mut operation);
        Self::tell_ended(&mut self.actions, id, &mut operation);
        self.add_operation(id, operation);
    }

    /// The number of an operation that core itself starts.
    pub(super) fn number_operation(&mut self) -> u64 {
        self.last_operation += 1;
        self.last_operation
    }

    /// The number for the next command.
    pub fn next_operation(&self) -> u64 {
        self.last_operation + 1
    }

    /// Stops the stack. A second call can turn a stop into a kill, but not the reverse.
    pub(super) fn begin_down(&mut self, code: i32, kill: bool) -> Operation {
        self.down = Some(match self.down {
            Some(down) => Down { kill: down.kill || kill, ..down },
            None => Down { code, kill },
        });
        self.save = true;
        self.look_at_everything();
        Operation::new(Goal::Down, BTreeSet::new(), self.now, None)
    }

    fn up(&mut self, services: &[ServiceName], timeout: Option<Duration>) -> Operation {
        if self.basis == Basis::Nothing {
            return Operation::failed("the manifests are broken".into());
        }
        if let Some(unknown) = self.unknown(services) {
            return unknown;
        }
        self.down = None;
        let topology = self.topology();
        let all: BTreeSet<ServiceName> = if services.is_empty() {
            self.selected = None;
            topology.services.keys().cloned().collect()
        } else {
            let closure = topology.with_dependencies(services);
            let is_new = self.instances.values().all(|instance| instance.invocation == 0 && !instance.phase.is_live());
            match &mut self.selected {
                _ if is_new => self.selected = Some(closure.clone()),
                Some(selected) => selected.extend(closure.iter().cloned()),
                None => {}
            }
            closure
        };
        for name in &all {
            let named = services.contains(name);
            if let Some(service) = self.services.get_mut(name) {
                let disabled = service.spec.disabled && named;
                if disabled {
                    service.operator = Operator::Started;
                } else if service.operator == Operator::Stopped {
                    service.operator = Operator::Silent;
                }
            }
            self.try_again(name, false);
        }
        self.wanted_otherwise();
        Operation::new(Goal::Ready, all, self.now, timeout)
    }

    fn start_services(&mut self, services: &[ServiceName]) -> Operation {
        if let Some(unknown) = self.unknown(services) {
            return unknown;
        }
        let all = self.topology().with_dependencies(services);
        for name in &all {
            let named = services.contains(name);
            let held_back = self.services.get(name).and_then(|service| self.held_back(name, service)).is_some();
            if held_back && let Some(service) = self.services.get_mut(name) {
                service.operator = Operator::Started;
            }
            self.try_again(name, named);
        }
        self.wanted_otherwise();
        Operation::new(Goal::Ready, services.iter().cloned().collect(), self.now, None)
    }

    fn stop_services(&mut self, services: &[ServiceName]) -> Operation {
        if let Some(unknown) = self.unknown(services) {
            return unknown;
        }
        for name in services {
            if let Some(service) = self.services.get_mut(name) {
                service.operator = Operator::Stopped;
            }
        }
        self.wanted_otherwise();
        Operation::new(Goal::Stopped, services.iter().cloned().collect(), self.now, None)
    }

    /// Whether a service is to run, and does: one that is started reads what is there then.
    fn runs(&self, name: &ServiceName) -> bool {
        let is_wanted = self.services.get(name).is_some_and(|service| service.operator != Operator::Stopped);
        is_wanted && !self.is_stopping() && self.instances_of(name).any(|instance| instance.phase.is_live())
    }

    fn restart_services(&mut self, services: &[ServiceName], why: &str) -> Operation {
        if let Some(unknown) = self.unknown(services) {
            return unknown;
        }
        let from = self.generation;
        self.generation = from.next();
        for name in services {
            self.note_change(from, name, self.replacement(name), why.into());
            let Some(service) = self.services.get_mut(name) else { continue };
            if service.operator == Operator::Stopped {
                service.operator = Operator::Started;
            }
            let spec = service.spec.clone();
            self.replace(name, spec, self.generation);
        }
        self.ensure_slots();
        self.wanted_otherwise();
        Operation::new(Goal::Ready, services.iter().cloned().collect(), self.now, None)
    }

    fn scale(&mut self, name: &ServiceName, replicas: u32) -> Operation {
        if let Some(unknown) = self.unknown(std::slice::from_ref(name)) {
            return unknown;
        }
        let Some(service) = self.services.get_mut(name) else { return Operation::failed(String::new()) };
        let fixed = service.spec.ports.values().filter(|port| !port.hold).find_map(|port| port.number);
        if let Some(port) = fixed.filter(|_| replicas > 1) {
            return Operation::failed(format!(
                "{replicas} replicas of {name} cannot all listen on port {port}: make it \"auto\", or hold it"
            ));
        }
        if replicas == 0 {
            return Operation::failed(format!("{name} cannot have 0 replicas; to stop it: core stop {name}"));
        }
        if replicas > MOST_REPLICAS {
            return Operation::failed(format!("{name} cannot have {replicas} replicas: {MOST_REPLICAS} at most"));
        }
        // The edge's file is made from the manifest, and has this many places.
        let places = pointers(service.spec.replicas);
        if service.spec.route.is_some() && replicas > places {
            return Operation::failed(format!(
                "the edge knows {places} places for {name}; for {replicas}, set `replicas` in its manifest"
            ));
        }
        let before = service.replicas();
        service.scale = (replicas != service.spec.replicas).then_some(replicas);
        let from = self.generation;
        self.generation = from.next();
        self.note_change(from, name, Change::Refresh, format!("replicas: {before} → {replicas}"));
        self.ensure_slots();
        self.wanted_otherwise();
        Operation::new(Goal::Ready, BTreeSet::from([name.clone()]), self.now, None)
    }

    /// Instances that failed or were given up get another chance; with `whatever`, those that exited with success too.
    fn try_again(&mut self, name: &ServiceName, whatever: bool) {
        for id in self.ids_of(name) {
            let Some(instance) = self.instances.get_mut(&id) else { continue };
            let ended_well = instance.ended_well();
            let again = match instance.phase {
                Phase::GaveUp | Phase::Backoff { .. } => true,
                Phase::Ended(EndReason::Exit) => whatever || !ended_well,
                _ => false,
            };
            instance.failures = 0;
            if again {
                instance.restarts = 0;
                instance.admitted = false;
                self.set_phase(&id, Phase::Waiting);
            }
            let folders: Vec<String> =
                self.instances[&id].spec.binaries.values().filter_map(|binary| binary.folder.clone()).collect();
            for folder in folders {
                if matches!(self.binaries.get(&folder), Some(super::Binary::Failed(_))) {
                    self.binaries.remove(&folder);
                }
            }
        }
    }

    fn unknown(&self, services: &[ServiceName]) -> Option<Operation> {
        let missing = services.iter().find(|name| !self.services.contains_key(*name))?;
        Some(Operation::failed(self.no_such_service(missing)))
    }

    /// The message that there is no such service, with the nearest name that exists.
    pub fn no_such_service(&self, name: &ServiceName) -> String {
        let known = self.services.keys().map(ServiceName::as_str);
        let guess = core_manifest::name::nearest(name.as_str(), known)
            .map_or_else(String::new, |guess| format!("; did you mean `{guess}`?"));
        format!("there is no service `{name}`{guess}")
    }

    /// The services as they are wanted now.
    pub fn topology(&self) -> Topology {
        Topology {
            services: self.services.iter().map(|(name, service)| (name.clone(), service.spec.clone())).collect(),
        }
    }

    fn wanted_otherwise(&mut self) {
        self.save = true;
        self.look_at_everything();
    }

    fn look_at_everything(&mut self) {
        let all: Vec<InstanceId> = self.instances.keys().cloned().collect();
        self.changed.extend(all.iter().map(|id| id.service().clone()));
        self.dirty.extend(all);
    }
}
