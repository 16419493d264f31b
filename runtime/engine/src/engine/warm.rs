//! Instances of a release that another one has replaced: kept for a while, probed, and without requests, so that going back
//! takes no boot.

use std::sync::Arc;

use core_manifest::spec::Strategy;
use core_manifest::{ServiceName, ServiceSpec};

use super::instance::Instance;
use super::service::{Rollout, Share, Stage, Warm};
use super::want::Want;
use super::{Engine, mutated};
use crate::action::{Action, Former, Role};
use crate::ids::InstanceId;
use crate::phase::{Phase, PhaseName};
use crate::plan::{Change, change_of};
use crate::trial::Trial;

impl Engine {
    /// What is kept of a service whose replacement is over.
    pub(super) fn warm_after(&self, name: &ServiceName) -> Option<Warm> {
        let service = self.services.get(name).filter(|_| !name.is_trial())?;
        let rollout = service.rollout.as_ref().filter(|rollout| rollout.stage.is_switched())?;
        let is_other_release = rollout.spec.release.is_some() && rollout.spec.release != service.spec.release;
        let span = service.spec.update.warm;
        // What listens on a held socket gets requests whether it is to or not.
        let has_own_ports = rollout.spec.held_ports().next().is_none();
        let is_left = self.goes_back_to_release(name);
        let is_kept = is_other_release && has_own_ports && !is_left && !span.is_zero();
        (is_kept && self.all_ready(name, rollout.born, service.replicas())).then(|| Warm {
            spec: rollout.spec.clone(),
            born: rollout.born,
            until: self.now + span,
        })
    }

    /// Whether an instance is kept warm.
    pub(super) fn is_warm(&self, id: &InstanceId) -> bool {
        let warm = self.services.get(id.service()).and_then(|service| service.warm.as_ref());
        warm.is_some_and(|warm| warm.born == id.generation)
    }

    /// Whether anything is kept warm: it could go where memory is short.
    pub fn keeps_warm(&self) -> bool {
        self.services.values().any(|service| service.warm.is_some())
    }

    /// The parts that instances were told, for a host whose files were removed.
    pub fn roles(&self) -> impl Iterator<Item = (&InstanceId, Role)> {
        let all = self.instances.values().filter(|instance| instance.spec.release.is_some());
        all.filter_map(|instance| Some((&instance.id, instance.role?)))
    }

    /// The name of the phase of an instance, as people see it.
    pub(super) fn phase_name(&self, instance: &Instance) -> PhaseName {
        let is_there = matches!(instance.phase, Phase::Ready { .. } | Phase::Probing { .. });
        if is_there && self.is_warm(&instance.id) { PhaseName::Warm } else { instance.phase.name() }
    }

    /// Ends what was kept warm long enough, or is not to be kept any more, or of which nothing is left: it may have ended while
    /// nobody looked.
    pub(super) fn settle_warm(&mut self, name: &ServiceName) {
        let Some(service) = self.services.get(name) else { return };
        let Some(warm) = &service.warm else { return };
        let update = &service.spec.update;
        let is_there = self.instances_of(name).any(|one| one.id.generation == warm.born && !one.phase.is_final());
        let is_over =
            warm.until <= self.now || update.warm.is_zero() || update.strategy == Strategy::Restart || !is_there;
        if is_over && !mutated!(self, ForgetWarm) {
            self.end_warm(name);
        }
    }

    /// Memory is short: what has been warm for longest ends now.
    pub(super) fn end_oldest_warm(&mut self) {
        let all = self.services.iter().filter_map(|(name, service)| Some((service.warm.as_ref()?.until, name)));
        if let Some((_, name)) = all.min() {
            self.end_warm(&name.clone());
        }
    }

    fn end_warm(&mut self, name: &ServiceName) {
        let Some(service) = self.services.get_mut(name) else { return };
        service.warm = None;
        self.save = true;
        self.changed.insert(name.clone());
        self.dirty.extend(self.ids_of(name));
    }

    /// The spec is that of instances which still run beside those that have replaced them: the edge is told to use them
    /// again, and they are observed like new ones. Returns whether that is so.
    pub(super) fn returns(&mut self, name: &ServiceName, spec: &Arc<ServiceSpec>) -> bool {
        let Some(service) = self.services.get(name) else { return false };
        let (kept, born) = match (&service.rollout, &service.warm) {
            (Some(rollout), _) if rollout.stage.is_switched() => (&rollout.spec, rollout.born),
            (None, Some(warm)) => (&warm.spec, warm.born),
            _ => return false,
        };
        let is_same = matches!(change_of(Some(kept), Some(spec)).change, Change::Keep | Change::Refresh);
        let swaps = spec.update.strategy != Strategy::Restart;
        if !is_same || !swaps || !self.all_ready(name, born, service.replicas()) {
            return false;
        }
        let kept = kept.clone();
        let Some(service) = self.services.get_mut(name) else { return false };
        let leaving = Rollout {
            spec: std::mem::replace(&mut service.spec, kept),
            born: std::mem::replace(&mut service.born, born),
            stage: Stage::Switching { share: Share::ALL },
            returns: true,
        };
        service.rollout = Some(leaving);
        service.warm = None;
        service.rejected = None;
        for id in self.ids_of(name) {
            if let Some(instance) = self.instances.get_mut(&id)
                && id.generation == born
            {
                instance.beside = true;
            }
        }
        self.save = true;
        self.refresh(name, spec);
        true
    }

    /// The release that was replaced last, as long as its instances are there: from when the one that replaced it has all
    /// other requests, while that is observed, and while they are kept warm. Pages of it that are open find it.
    pub(super) fn former(&self, name: &ServiceName) -> Option<Former> {
        let service = self.services.get(name).filter(|_| !name.is_trial())?;
        let (spec, born) = match (&service.rollout, &service.warm) {
            (Some(Rollout { spec, born, stage, .. }), _) if stage.is_switched() && stage.share() == Share::ALL => {
                (spec, *born)
            }
            (None, Some(warm)) => (&warm.spec, warm.born),
            _ => return None,
        };
        let release = spec.release.clone().filter(|id| !id.is_empty() && Some(id) != service.spec.release.as_ref())?;
        let ready = self.instances_of(name).filter(|instance| instance.id.generation == born && instance.is_ready());
        let kept = ready.filter(|instance| self.want(instance) == Want::Keep);
        let targets: Vec<_> = kept.filter_map(Instance::target).collect();
        (!targets.is_empty()).then_some(Former { release, targets })
    }

    /// Tells the instances of a release which part they have, where that is another one now.
    pub(super) fn settle_roles(&mut self, name: &ServiceName) {
        let Some(service) = self.services.get(name).filter(|service| service.spec.release.is_some()) else { return };
        let observed = match &service.rollout {
            Some(Rollout { born, stage: Stage::Observing { .. }, .. }) => Some(*born),
            _ => service.warm.as_ref().map(|warm| warm.born),
        };
        let (born, serving) = (service.born, service.serving());
        for id in self.ids_of(name) {
            // What is on its way out has no part any more.
            if ![Some(born), Some(serving), observed].contains(&Some(id.generation)) {
                continue;
            }
            let is_kept = observed == Some(id.generation) && !mutated!(self, ForgetRole);
            let role = match self.trial(name) {
                Some(Trial::Preview { .. }) => Role::Preview,
                Some(Trial::Canary { .. }) => Role::Canary,
                None if is_kept => Role::Warm,
                None => Role::Live,
            };
            let Some(instance) = self.instances.get_mut(&id) else { continue };
            let has_release = instance.spec.release.as_ref().is_some_and(|release| !release.is_empty());
            if let Some(process) = instance.phase.process().filter(|_| has_release && instance.role != Some(role)) {
                instance.role = Some(role);
                self.actions.push(Action::TellRole { instance: id, pid: process.pid, role });
            }
        }
    }

    /// Whether the requests have gone back to instances that were there, and those that were left may still take over.
    pub(super) fn has_returned(&self, name: &ServiceName) -> bool {
        let Some(service) = self.services.get(name) else { return false };
        service.rollout.as_ref().is_some_and(|rollout| {
            rollout.returns && matches!(rollout.stage, Stage::Observing { .. }) && self.is_written(name)
        })
    }
}
