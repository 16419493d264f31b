//! What trials and live releases answer: whether a canary does worse, and whether a preview is used.

use core_manifest::ServiceName;

use super::Engine;
use super::canary::Count;
use super::instance::Instance;
use super::operation::{Operation, OperationState};
use crate::exit::Failure;
use crate::ids::InstanceId;
use crate::phase::{EndReason, Phase};
use crate::trial::{Stage, Trial};

impl Engine {
    /// An instance has answered so many requests since its process started, and so many of them with an error.
    pub(super) fn answered(&mut self, id: &InstanceId, answers: u64, errors: u64) {
        let Some(instance) = self.instances.get(id) else { return };
        let is_live = self.services.get(id.service()).is_some_and(|service| service.serving() == id.generation);
        if instance.phase.process().is_none() || !is_live {
            return;
        }
        let (name, now) = (id.service().clone(), self.now);
        let canary = if name.is_trial() { Some(name.clone()) } else { self.canary_of(&name) };
        let Some(canary) = canary else { return };
        let total = Count { answers, errors };
        if let Some(one) = self.trials.all.get_mut(&canary) {
            one.counts |= name == canary;
            one.tally.take(id, name == canary, total, now);
            self.changed.insert(canary);
        }
        if name.is_trial() {
            self.visited(&name);
        }
    }

    /// Why a canary is to be ended, if it is.
    pub(super) fn canary_fails(&self, name: &ServiceName) -> Option<String> {
        // Before it has served, that is a matter of its deploy.
        let is_awaited = |one: &Operation| one.state == OperationState::Running && one.pending.contains(name);
        if self.operations.values().any(is_awaited) {
            return None;
        }
        let service = self.services.get(name).filter(|service| service.rollout.is_none())?;
        // It has served, and does not any more.
        let is_down = |instance: &&Instance| match instance.phase {
            Phase::Backoff { .. } | Phase::GaveUp | Phase::Ended(EndReason::Exit) => true,
            Phase::Waiting | Phase::Starting { .. } | Phase::Probing { .. } => instance.ready_since.is_none(),
            _ => false,
        };
        let ended = self.instances_of(name).filter(|instance| instance.id.generation == service.born);
        let ended = ended
            .filter(|instance| instance.ready_once)
            .filter(is_down)
            .map(|instance| (instance, instance.last_failure.as_ref()))
            .map(|(instance, failure)| {
                let what = failure.map_or_else(|| "it has ended".to_owned(), Failure::of_it);
                format!("{}: {what}", instance.id)
            })
            .next();
        ended.or_else(|| {
            let one = self.trials.all.get(name)?;
            let is_canary = matches!(one.trial, Trial::Canary { .. }) && one.stage == Stage::Running;
            if is_canary { one.tally.fault() } else { None }
        })
    }
}
