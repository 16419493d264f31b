//! Replaces a service without stopping what serves too early. A swap starts new instances beside the old ones, switches
//! to them, watches them, and rolls back when they fail. A restart first fetches what the new instances need.

use std::sync::Arc;
use std::time::Duration;

use core_manifest::ServiceName;
use core_manifest::spec::Check;

use super::instance::Instance;
use super::service::{Rollout, Service, Share, Stage};
use super::{Engine, mutated};
use crate::action::{Action, Target, Verification, pointers};
use crate::diff::is_same_program;
use crate::event::Reach;
use crate::exit::Failure;
use crate::ids::{Generation, InstanceId};
use crate::phase::{EndReason, Phase};

/// How long the edge may fail to reach the new instances. It reads the pointers again for each request.
const VERIFY: Duration = Duration::from_secs(5);
/// Number of steps until the new instances get all requests: a program that has just started is slow at first, and
/// requests that it cannot answer at once queue up.
const STEPS: u32 = 15;
/// When the edge's answer counts as lost.
const LOST: Duration = Duration::from_secs(30);
/// Pause before the edge is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(250);

impl Engine {
    /// Advances the replacement of a service, if one is under way.
    pub(super) fn settle_rollout(&mut self, name: &ServiceName) {
        let Some(service) = self.services.get(name) else { return };
        let Some(rollout) = &service.rollout else { return };
        let (born, replicas) = (service.born, service.replicas());
        let (observe, has_route) = (service.spec.update.observe, service.spec.route.is_some());
        let step = step_of(service);
        let was_switched = rollout.stage.is_switched();
        let next = match rollout.stage {
            // From here on the old instances are in the way of the new ones.
            Stage::Fetching if self.missing_of(&service.spec).is_empty() => None,
            Stage::Bringing
                if self.all_ready(name, born, replicas) || self.all_came_to_an_end(name, born, replicas) =>
            {
                Some(Stage::Switching { share: Share::FIRST })
            }
            Stage::Switching { .. } if !has_route => Some(Stage::Observing { until: self.now + observe }),
            Stage::Switching { share } if self.is_written(name) => Some(match share {
                Share::FIRST => Stage::Verifying { until: self.now + VERIFY, asked: false, next: self.now },
                Share::ALL => Stage::Observing { until: self.now + observe },
                _ => Stage::Ramping { share, until: self.now + step },
            }),
            // A lost answer says nothing: the edge is asked again.
            Stage::Verifying { until, next, .. } if next <= self.now => Some(if self.ask_edge(name, born) {
                Stage::Verifying { until, asked: true, next: self.now + LOST }
            } else {
                // An edge that is down says nothing about the new instances, and has no requests for them.
                Stage::Switching { share: Share::ALL }
            }),
            Stage::Ramping { share, until } if until <= self.now => Some(Stage::Switching { share: share.more() }),
            Stage::Observing { until } if until <= self.now => None,
            _ => return,
        };
        match next {
            Some(stage) => {
                if stage.is_switched() && !was_switched {
                    self.take_over(name, born);
                    self.save = true;
                }
                self.set_stage(name, stage);
            }
            None => {
                self.finish_rollout(name);
                self.save = true;
            }
        }
        self.changed.insert(name.clone());
    }

    /// Asks a ready edge whether it reaches the new instances. Returns whether there was one to ask.
    fn ask_edge(&mut self, name: &ServiceName, born: Generation) -> bool {
        let (Some(edge), Some(service)) = (self.ready_edge().cloned(), self.services.get(name)) else {
            return false;
        };
        // The pointers of a trial are no part of what it is asked through.
        if name.is_trial() {
            return false;
        }
        // Without an HTTP probe it is not known what a good answer is.
        let Some(Check::Http { path, answer, .. }) = service.spec.readiness.as_ref().map(|probe| &probe.check) else {
            return false;
        };
        // Each new instance, with the first pointer that names it; one beyond the pointers gets no requests.
        let pointers = pointers(service.spec.replicas);
        let mut targets: Vec<(u32, Target)> = Vec::new();
        for (pointer, target) in (0..pointers).zip(self.targets(name).unwrap_or_default()) {
            if target.instance.generation == born && targets.iter().all(|(_, known)| *known != target) {
                targets.push((pointer, target));
            }
        }
        let (service, path, answer) = (name.clone(), path.clone(), answer.clone());
        self.actions.push(Action::Verify(Verification { service, born, path, answer, edge, targets }));
        true
    }

    /// Handles the answer of the edge: it reaches the new instances, or the old ones serve again.
    pub(super) fn verified(&mut self, name: &ServiceName, born: Generation, reach: &Reach) {
        let Some(service) = self.services.get(name).filter(|service| service.born == born) else { return };
        let Some(Rollout { born: old, stage: Stage::Verifying { until, asked: true, .. }, .. }) = service.rollout
        else {
            return;
        };
        let step = step_of(service);
        let reach = if mutated!(self, ForgetAstray) { &Reach::Reached } else { reach };
        let stage = match reach {
            Reach::Reached if !step.is_zero() => Stage::Ramping { share: Share::FIRST, until: self.now + step },
            Reach::Astray(_) if self.now < until => {
                Stage::Verifying { until, asked: false, next: self.now + ASK_AGAIN }
            }
            Reach::Astray(message) if self.any_ready(name, old) => {
                return self.put_back(name, format!("the edge does not reach {name}@{born}: {message}"));
            }
            // The new instances are not reached, but the old ones are gone: there is no better choice.
            Reach::Reached | Reach::Astray(_) | Reach::Silent => Stage::Switching { share: Share::ALL },
        };
        self.set_stage(name, stage);
        self.changed.insert(name.clone());
    }

    fn set_stage(&mut self, name: &ServiceName, stage: Stage) {
        if let Some(rollout) = self.services.get_mut(name).and_then(|service| service.rollout.as_mut()) {
            rollout.stage = stage;
        }
    }

    /// One-shot instances of a swapped service do not become ready; they exit with success.
    fn all_came_to_an_end(&self, name: &ServiceName, generation: Generation, replicas: u32) -> bool {
        (0..replicas).all(|replica| {
            let id = InstanceId::new(name.clone(), replica, generation);
            self.instances.get(&id).is_some_and(|i| i.phase == Phase::Ended(EndReason::Exit))
        })
    }

    /// The new instances are no longer candidates.
    fn take_over(&mut self, name: &ServiceName, born: Generation) {
        for id in self.ids_of(name) {
            if let Some(instance) = self.instances.get_mut(&id)
                && id.generation == born
            {
                instance.candidate = false;
                let process = instance.phase.process();
                self.actions.extend(process.map(|process| Action::Yield { pid: process.pid, yields: false }));
            }
        }
        self.direct(name, born);
    }

    /// New connections go to the instances of this generation, where each instance has a socket of its own.
    fn direct(&mut self, name: &ServiceName, born: Generation) {
        let has_own = |one: &&Instance| one.spec.ports.values().any(|port| one.spec.has_own_socket(port));
        let of_born = self.instances_of(name).filter(|one| one.id.generation == born).filter(has_own);
        let all: Vec<Action> = of_born.map(|one| Action::Direct { instance: one.id.clone() }).collect();
        self.actions.extend(all);
    }

    /// Finishes the replacements whose binaries are now there. This comes before any instance is looked at: nothing may
    /// rely on an instance that is to stop from here on.
    pub(super) fn settle_fetches(&mut self) {
        let is_fetching = |service: &Service| service.rollout.as_ref().is_some_and(|r| r.stage == Stage::Fetching);
        let fetching = self.services.iter().filter(|(_, service)| is_fetching(service));
        for name in fetching.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.settle_rollout(&name);
        }
    }

    /// Whether an instance is to replace one that runs until the binaries are there.
    pub(super) fn is_fetching(&self, id: &InstanceId) -> bool {
        self.services.get(id.service()).is_some_and(|service| {
            service.born == id.generation
                && service.rollout.as_ref().is_some_and(|rollout| rollout.stage == Stage::Fetching)
        })
    }

    fn finish_rollout(&mut self, name: &ServiceName) {
        // A supervisor that died may have saved that they took over, and no more.
        if let Some(service) = self.services.get(name) {
            self.direct(name, service.born);
        }
        let warm = self.warm_after(name);
        if let Some(service) = self.services.get_mut(name) {
            service.rollout = None;
            service.warm = warm;
        }
        let ids = self.ids_of(name);
        self.dirty.extend(ids);
    }

    /// A new instance failed before it took over: the serving instances stay, and the new spec is rejected.
    pub(super) fn candidate_failed(&mut self, id: &InstanceId, failure: &Failure) {
        let name = id.service().clone();
        if mutated!(self, ForgetRollback) {
            self.give_up(id);
            return;
        }
        self.give_up(id);
        self.put_back(&name, format!("{id} {failure}"));
    }

    /// An instance that has just taken over failed. If its predecessor is still ready, that one serves again.
    pub(super) fn put_back_if_observed(&mut self, id: &InstanceId, failure: &Failure) -> bool {
        let name = id.service().clone();
        let Some(service) = self.services.get(&name) else { return false };
        let Some(Rollout { born, .. }) = service.rollout.as_ref().filter(|rollout| rollout.stage.is_switched()) else {
            return false;
        };
        if id.generation != service.born || !self.any_ready(&name, *born) {
            return false;
        }
        self.give_up(id);
        self.put_back(&name, format!("{id} {failure}"));
        true
    }

    /// An instance that has just taken over is not ready any more.
    pub(super) fn no_longer_ready(&mut self, id: &InstanceId) {
        let answer = self.instances.get(id).and_then(|instance| instance.readiness.last_failure.clone());
        let name = id.service().clone();
        let Some(service) = self.services.get(&name) else { return };
        let Some(Rollout { born, .. }) = service.rollout.as_ref().filter(|rollout| rollout.stage.is_switched()) else {
            return;
        };
        if id.generation == service.born && self.any_ready(&name, *born) {
            self.put_back(&name, format!("{id} {}", Failure::NotAlive(answer.unwrap_or_default())));
        }
    }

    fn any_ready(&self, name: &ServiceName, generation: Generation) -> bool {
        self.instances_of(name).any(|instance| instance.id.generation == generation && instance.is_ready())
    }

    fn put_back(&mut self, name: &ServiceName, why: String) {
        let Some(service) = self.services.get_mut(name) else { return };
        let Some(rollout) = service.rollout.take() else { return };
        let rejected = std::mem::replace(&mut service.spec, rollout.spec);
        service.born = rollout.born;
        service.rejected = Some((rejected, why));
        let born = rollout.born;
        self.direct(name, born);
        self.withdraw_release(name);
        self.save = true;
        self.index_dependents();
        self.changed.insert(name.clone());
        self.ensure_slots();
    }

    /// Starts to replace the instances of a service by instances of `spec`, created in `generation`.
    pub(super) fn replace(
        &mut self,
        name: &ServiceName,
        spec: Arc<core_manifest::ServiceSpec>,
        generation: Generation,
    ) {
        let swaps = spec.update.strategy != core_manifest::spec::Strategy::Restart;
        let Some(service) = self.services.get(name) else { return };
        let (old_spec, old_born) = (service.spec.clone(), service.born);
        // What serves now: the generation switched to, or the one that an unfinished swap left in place. One that the
        // edge has not been seen to reach only counts if nothing else is there.
        let stays = |rollout: &Rollout| {
            !rollout.stage.is_switched() || !rollout.stage.is_verified() && self.any_ready(name, rollout.born)
        };
        let (serving_spec, serving_born) = match &service.rollout {
            Some(rollout) if stays(rollout) => (rollout.spec.clone(), rollout.born),
            _ => (old_spec, old_born),
        };
        let rollout = if swaps {
            let serves = self.any_ready(name, serving_born);
            serves.then_some(Rollout { spec: serving_spec, born: serving_born, stage: Stage::Bringing, returns: false })
        } else if self.missing_of(&spec).is_empty() || mutated!(self, StopBeforeFetch) {
            None
        } else {
            // The newest that runs, even if an earlier edit replaces it: one that only drains was not asked to stop.
            let runs = |i: &&Instance| i.phase.is_live() && !matches!(i.phase, Phase::Stopping { .. });
            let newest = self.instances_of(name).filter(runs).max_by_key(|i| i.id.generation);
            newest.map(|i| Rollout {
                spec: i.spec.clone(),
                born: i.id.generation,
                stage: Stage::Fetching,
                returns: false,
            })
        };
        let Some(service) = self.services.get_mut(name) else { return };
        service.rollout = rollout;
        service.warm = None;
        service.spec = spec;
        service.born = generation;
        service.rejected = None;
        self.changed.insert(name.clone());
    }
}

/// How long each share of the requests lasts. Another program gets all requests as soon as it is reached.
fn step_of(service: &Service) -> Duration {
    let is_same = service.rollout.as_ref().is_some_and(|rollout| is_same_program(&rollout.spec, &service.spec));
    if is_same { service.spec.update.ramp / STEPS } else { Duration::ZERO }
}
