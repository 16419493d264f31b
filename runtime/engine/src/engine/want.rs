//! What is wanted of an instance. Derived from everything else, never stored.

use core_manifest::ServiceName;

use super::instance::Instance;
use super::service::Service;
use super::{Basis, Engine, mutated};
use crate::ids::InstanceId;
use crate::phase::{Phase, StopReason};
use crate::saved::Operator;

/// What is wanted of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// It should run.
    Run,
    /// It should run until the new instance has taken over.
    Keep,
    /// It should not run.
    Stop(StopReason),
}

impl Engine {
    pub(super) fn want(&self, instance: &Instance) -> Want {
        if self.down.is_some() {
            return Want::Stop(StopReason::Shutdown);
        }
        let Some(service) = self.services.get(instance.id.service()) else {
            // Running instances are left alone until it is known what is wanted.
            return if self.basis == Basis::Nothing { Want::Keep } else { Want::Stop(StopReason::Removed) };
        };
        let generation = instance.id.generation;
        let serves_on = service.rollout.as_ref().is_some_and(|rollout| rollout.born == generation);
        // A warm one that ends is gone: nobody needs it to go on.
        let is_there = matches!(instance.phase, Phase::Probing { .. } | Phase::Ready { .. } | Phase::Draining { .. });
        let stays_warm = self.is_warm(&instance.id) && (is_there || mutated!(self, RestartWarm));
        if generation != service.born && !serves_on && !stays_warm {
            return Want::Stop(StopReason::Replaced);
        }
        if instance.id.slot.replica >= service.replicas() {
            return Want::Stop(StopReason::ScaledDown);
        }
        match self.held_back(instance.id.service(), service) {
            Some(reason) => Want::Stop(reason),
            None if serves_on || stays_warm => Want::Keep,
            None => Want::Run,
        }
    }

    /// Why the service as a whole should not run; `None` when it should.
    pub(super) fn held_back(&self, name: &ServiceName, service: &Service) -> Option<StopReason> {
        match service.operator {
            Operator::Stopped => Some(StopReason::Operator),
            Operator::Started => None,
            Operator::Silent if self.is_asleep(name) => Some(StopReason::Idle),
            Operator::Silent => {
                // A trial is selected with its service.
                let unselected = self.selected.as_ref().is_some_and(|selected| !selected.contains(&name.parent()));
                (service.spec.disabled || unselected).then_some(StopReason::Disabled)
            }
        }
    }

    /// Whether the instance is one that serves or is to serve.
    pub(super) fn is_born(&self, id: &InstanceId) -> bool {
        self.services.get(id.service()).is_some_and(|service| {
            service.born == id.generation
                || service.rollout.as_ref().is_some_and(|rollout| rollout.born == id.generation)
        })
    }

    pub(super) fn is_edge(&self, name: &ServiceName) -> bool {
        self.instances_of(name).any(|instance| instance.spec.kind.is_edge())
            || self.services.get(name).is_some_and(|service| service.spec.kind.is_edge())
    }

    /// Whether an edge that could still send requests runs, or will run.
    pub(super) fn edge_may_send(&self) -> bool {
        let may_send = |edge: &Instance| edge.phase.is_live() || self.comes_back(edge);
        self.instances.values().any(|instance| instance.spec.kind.is_edge() && may_send(instance))
    }

    /// An unwanted instance that must stop before this one may be asked to: one that depends on it, or the edge in
    /// front of it.
    pub(super) fn must_end_before(&self, instance: &Instance) -> Option<InstanceId> {
        if mutated!(self, StopUnordered) {
            return None;
        }
        let name = instance.id.service();
        let is_unwanted = |other: &Instance| other.phase.is_live() && matches!(self.want(other), Want::Stop(_));
        let dependent = self.dependents.get(name).into_iter().flatten().find_map(|dependent| {
            self.instances_of(dependent)
                .find(|other| other.spec.depends_on.contains_key(name) && is_unwanted(other))
                .map(|other| other.id.clone())
        });
        let edge = || {
            instance.spec.route.as_ref()?;
            // Only an edge that goes for good: one that is replaced comes back, and its sockets are held.
            self.instances
                .values()
                .find(|other| {
                    other.spec.kind.is_edge()
                        && other.id.service() != name
                        && is_unwanted(other)
                        && self.want(other) != Want::Stop(StopReason::Replaced)
                })
                .map(|other| other.id.clone())
        };
        dependent.or_else(edge)
    }

    /// Rebuilds the index of dependents.
    pub(super) fn index_dependents(&mut self) {
        self.dependents.clear();
        let specs = self
            .services
            .values()
            .flat_map(|service| [Some(&service.spec), service.rollout.as_ref().map(|rollout| &rollout.spec)])
            .flatten()
            .chain(self.instances.values().map(|instance| &instance.spec));
        for spec in specs {
            for dependency in spec.depends_on.keys() {
                self.dependents.entry(dependency.clone()).or_default().insert(spec.name.clone());
            }
        }
    }
}
