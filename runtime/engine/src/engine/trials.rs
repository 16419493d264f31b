//! Releases that run beside the live one of their service: previews and canaries. Each is a service of its own, made from
//! the manifest of the other; what is special about it is how requests find it, and when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_manifest::ServiceName;

use super::canary::Tally;
use super::operation::{Goal, Operation};
use super::{Engine, mutated};
use crate::action::{Action, Hook, TrialRoute};
use crate::command::{Cause, Command, Deploying, Make};
use crate::phase::StopReason;
use crate::saved::Operator;
use crate::time::Time;
use crate::topology::Topology;
use crate::trial::{CANARY, PREVIEWS, Stage, Trial, TrialWish};

/// All trials, by the services that run them.
#[derive(Clone, Debug, Default)]
pub(super) struct Trials {
    pub(super) all: BTreeMap<ServiceName, Standing>,
    /// Canaries that were ended by what they did, by their parents, and why: until the next deploy.
    pub(super) undone: BTreeMap<ServiceName, String>,
}

#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) trial: Trial,
    /// What it is from when its deploy is done.
    pub(super) next: Option<Trial>,
    pub(super) stage: Stage,
    /// When it was last asked for something.
    asked_at: Time,
    /// Whether it says how much it answers: of what does not, nobody knows whether it is used.
    pub(super) counts: bool,
    /// Of a canary: what it and the live release have answered.
    pub(super) tally: Tally,
}

impl Engine {
    /// The trials of the next topology.
    pub fn trials(&self) -> BTreeMap<ServiceName, Trial> {
        self.trials.all.keys().filter_map(|name| Some((name.clone(), self.trial(name)?))).collect()
    }

    /// What a service tries, if it is a trial that has not ended.
    pub(super) fn trial(&self, name: &ServiceName) -> Option<Trial> {
        self.trials.all.get(name).filter(|one| one.stage != Stage::Ending).map(|one| one.next.unwrap_or(one.trial))
    }

    /// Whether anything is tried: what it answers is to be counted.
    pub fn has_trials(&self) -> bool {
        !self.trials.all.is_empty()
    }

    /// All of them with their stages, to be saved.
    pub(super) fn saved_trials(&self) -> BTreeMap<ServiceName, (Trial, Stage)> {
        let saved = |one: &Standing| (one.next.unwrap_or(one.trial), one.stage);
        self.trials.all.iter().map(|(name, one)| (name.clone(), saved(one))).collect()
    }

    pub(super) fn remember_trials(&mut self, trials: &BTreeMap<ServiceName, (Trial, Stage)>) {
        for (name, (trial, stage)) in trials {
            // What it was waiting for, another engine asks for anew.
            let stage = if *stage == Stage::Asked { Stage::Running } else { *stage };
            self.trials.all.insert(name.clone(), Standing::new(*trial, stage, self.now));
            // What was told to the edge is not known.
            self.changed.insert(name.clone());
        }
    }

    /// The canary of a service, if it has one.
    pub(super) fn canary_of(&self, parent: &ServiceName) -> Option<ServiceName> {
        // Of most stacks nothing is tried.
        let name = if self.trials.all.is_empty() { None } else { parent.trial(CANARY).ok() };
        name.filter(|name| self.trial(name).is_some())
    }

    /// A release has landed that is to be tried. Returns the service that will run it.
    pub(super) fn begin_trial(&mut self, parent: &ServiceName, wish: &TrialWish) -> Result<ServiceName, String> {
        let name = wish.service(parent)?;
        self.trials.undone.remove(parent);
        let trial = match *wish {
            TrialWish::Canary { percent } => Trial::Canary { percent },
            TrialWish::Preview { is_public, at, .. } => {
                Trial::Preview { set: self.set_for(parent, &name)?, is_public, at }
            }
        };
        let standing = Standing::new(trial, Stage::Asked, self.now);
        if let Some(one) = self.trials.all.get_mut(&name) {
            // What runs of it goes on as it is until the other release has taken over.
            one.next = Some(trial);
            one.asked_at = self.now;
            if matches!(one.stage, Stage::Ending | Stage::Asleep) {
                one.stage = Stage::Asked;
            }
        } else {
            self.trials.all.insert(name.clone(), standing);
        }
        self.changed.insert(name.clone());
        self.save = true;
        Ok(name)
    }

    /// The set of pointers of a preview: the one that it has, else a free one.
    fn set_for(&self, parent: &ServiceName, name: &ServiceName) -> Result<u32, String> {
        let siblings = self.trials.all.iter().filter(|(other, _)| other.parent() == *parent);
        let sets: BTreeMap<u32, &ServiceName> = siblings
            .filter_map(
                |(other, one)| if let Trial::Preview { set, .. } = one.trial { Some((set, other)) } else { None },
            )
            .collect();
        if let Some((set, _)) = sets.iter().find(|(_, other)| **other == name) {
            return Ok(*set);
        }
        (0..PREVIEWS).find(|set| !sets.contains_key(set)).ok_or_else(|| {
            let names: Vec<&str> = sets.values().filter_map(|one| Some(one.of_trial()?.1)).collect();
            format!(
                "{parent} has {PREVIEWS} previews already: {}; `core previews remove NAME` ends one",
                names.join(", ")
            )
        })
    }

    /// The manifests were read: what was asked for by now is there, or never will be.
    pub(super) fn settle_asked_trials(&mut self) {
        let names: Vec<ServiceName> = self.trials.all.keys().cloned().collect();
        for name in names {
            let is_there = self.services.contains_key(&name);
            let waits = self.waits_for_reading(&name);
            let Some(one) = self.trials.all.get_mut(&name) else { continue };
            match one.stage {
                Stage::Asked if is_there => one.stage = Stage::Running,
                Stage::Asked | Stage::Running | Stage::Asleep if !is_there && !waits => self.end_trial(&name),
                _ => continue,
            }
            self.changed.insert(name);
        }
    }

    /// What was read, without trials that were ended while it was being read.
    pub(super) fn without_ended_trials(&self, topology: &Topology) -> Topology {
        let mut topology = topology.clone();
        let recalls = mutated!(self, RecallTrial);
        topology.services.retain(|name, _| !name.is_trial() || self.trial(name).is_some() || recalls);
        // As many as its share needs of those that there are: a command may have set that.
        for (name, trial) in self.trials() {
            let of = self.services.get(&name.parent()).map(super::service::Service::replicas);
            if let (Some(of), Some(spec)) = (of, topology.services.get_mut(&name))
                && spec.replicas != trial.replicas(of)
            {
                Arc::make_mut(spec).replicas = trial.replicas(of);
            }
        }
        topology
    }

    /// Ends a trial. Its requests go to the live release from now on, or nowhere if it has hosts of its own.
    pub(super) fn end_trial(&mut self, name: &ServiceName) {
        let Some(one) = self.trials.all.get_mut(name) else { return };
        one.stage = Stage::Ending;
        self.services.remove(name);
        self.forget_releases_of(name);
        self.index_dependents();
        self.dirty.extend(self.ids_of(name));
        self.changed.insert(name.clone());
        self.save = true;
    }

    /// The manifests are broken: a trial that has never run will not.
    pub(super) fn refuse_trial(&mut self, name: &ServiceName) {
        if self.trials.all.get(name).is_some_and(|one| one.stage == Stage::Asked) {
            self.end_trial(name);
        }
    }

    /// The command to end a trial.
    pub(super) fn end_trials(&mut self, name: &ServiceName) -> Operation {
        if self.trial(name).is_none() {
            return Operation::failed(format!("there is no `{name}`: `core previews` lists them"));
        }
        self.end_trial(name);
        Operation::new(Goal::Stopped, [name.clone()].into(), self.now, None)
    }

    /// A trial ends because of what it did.
    pub(super) fn undo_trial(&mut self, name: &ServiceName, why: &str) {
        let parent = name.parent();
        let release = self.releases().get(name).cloned();
        let shown = release.clone().unwrap_or_default();
        let message = format!("the canary {shown} was ended: {why}");
        self.trials.undone.insert(parent.clone(), message.clone());
        self.end_trial(name);
        let id = self.number_operation();
        let mut operation = Operation::failed(message.clone());
        operation.pending.insert(name.clone());
        self.begin_operation(id, &Command::EndTrial { service: name.clone() }, Cause::Failure, operation);
        self.actions.push(Action::Hook { service: parent, hook: Hook::OnFailure, release, message: Some(message) });
    }

    /// What is live decides which pages find a canary.
    pub(super) fn settle_canary_of(&mut self, parent: &ServiceName) {
        if let Some(canary) = self.canary_of(parent) {
            self.settle_route(&canary);
        }
    }

    /// Looks at a trial again: whether it failed, sleeps, or is over.
    pub(super) fn settle_trial(&mut self, name: &ServiceName) {
        self.settle_next(name);
        let Some(one) = self.trials.all.get(name) else { return };
        let (stage, trial) = (one.stage, one.trial);
        match stage {
            Stage::Running if matches!(trial, Trial::Canary { .. }) => {
                if let Some(why) = self.canary_fails(name) {
                    self.undo_trial(name, &why);
                }
            }
            Stage::Running if self.sleeps_at(name).is_some_and(|at| at <= self.now) => {
                self.set_trial_stage(name, Stage::Asleep);
            }
            Stage::Ending
                if self.instances_of(name).next().is_none() && (self.is_told(name) || mutated!(self, ForgetTrial)) =>
            {
                self.trials.all.remove(name);
                self.save = true;
            }
            _ => {}
        }
    }

    fn set_trial_stage(&mut self, name: &ServiceName, stage: Stage) {
        if let Some(one) = self.trials.all.get_mut(name) {
            one.stage = stage;
            one.asked_at = self.now;
            self.save = true;
            self.dirty.extend(self.ids_of(name));
            self.changed.insert(name.clone());
        }
    }

    /// When a preview goes to sleep, if nobody asks for it.
    fn sleeps_at(&self, name: &ServiceName) -> Option<Time> {
        let one = self.trials.all.get(name)?;
        let service = self.services.get(name)?;
        let idle = service.spec.update.idle;
        let is_free = one.counts && service.operator == Operator::Silent;
        let is_preview = matches!(one.trial, Trial::Preview { .. }) && one.stage == Stage::Running && is_free;
        // What is being replaced, or waited for, is in use.
        let is_quiet = service.rollout.is_none() && self.all_ready(name, service.born, service.replicas());
        (is_preview && is_quiet && !idle.is_zero()).then(|| one.asked_at + idle)
    }

    /// When a trial has to be looked at again.
    pub(super) fn trial_deadline(&self) -> Option<Time> {
        self.trials.all.keys().filter_map(|name| self.sleeps_at(name)).min()
    }

    /// Marks the trials whose time has come.
    pub(super) fn fire_trials(&mut self) {
        let is_due = |name: &&ServiceName| self.sleeps_at(name).is_some_and(|at| at <= self.now);
        let due: Vec<ServiceName> = self.trials.all.keys().filter(is_due).cloned().collect();
        self.changed.extend(due);
    }

    /// Whether nothing of a preview is to run until somebody asks for it.
    pub fn is_asleep(&self, name: &ServiceName) -> bool {
        self.trials.all.get(name).is_some_and(|one| one.stage == Stage::Asleep)
    }

    /// Somebody asks for a preview.
    pub(super) fn visited(&mut self, name: &ServiceName) {
        if self.is_asleep(name) {
            self.set_trial_stage(name, Stage::Running);
        } else if let Some(one) = self.trials.all.get_mut(name) {
            one.asked_at = self.now;
        }
    }

    /// Whether a trial is on its way out, and the edge may still know it.
    pub(super) fn is_ending_trial(&self, name: &ServiceName) -> bool {
        self.trials.all.get(name).is_some_and(|one| one.stage == Stage::Ending)
    }

    /// How requests find a trial.
    pub(super) fn trial_route(&self, name: &ServiceName) -> Option<TrialRoute> {
        let one = self.trials.all.get(name)?;
        let service = self.services.get(name);
        let is_open = matches!(one.stage, Stage::Running | Stage::Asleep) && service.is_some();
        let is_asleep = service.is_some_and(|one| self.held_back(name, one) == Some(StopReason::Idle));
        // What pages name: of what is live, they are pages of the live instances.
        let mut serving =
            self.instances_of(name).filter(|one| service.is_some_and(|it| it.serving() == one.id.generation));
        let release = serving.find_map(|one| one.spec.release.clone());
        let is_live = |release: &String| {
            let live = self.services.get(&name.parent());
            let rollout = live.and_then(|live| live.rollout.as_ref()).map(|rollout| &rollout.spec.release);
            [live.map(|live| &live.spec.release), rollout]
                .into_iter()
                .flatten()
                .any(|one| one.as_ref() == Some(release))
        };
        let release = release.filter(|release| !is_live(release)).unwrap_or_default();
        Some(TrialRoute { trial: one.trial, release, is_open, is_asleep })
    }

    /// Makes a trial the live release: it is deployed, but nothing is built.
    pub(super) fn promote(
        &mut self,
        id: u64,
        service: Option<&ServiceName>,
        name: Option<&str>,
        as_built: bool,
        by: Cause,
    ) -> Operation {
        let trial = match self.promoted(service, name) {
            Ok(trial) => trial,
            Err(message) => return Operation::failed(message),
        };
        let Some(release) = self.releases().get(&trial).cloned() else {
            return Operation::failed(format!("{trial} has no release yet"));
        };
        let make = Make::Landed { release, trial: trial.clone(), as_built };
        self.deploy(id, Some(&trial.parent()), &Deploying { make, ..Deploying::default() }, by)
    }

    /// The trial that is meant: the named one, else the canary, else the only one.
    fn promoted(&self, service: Option<&ServiceName>, name: Option<&str>) -> Result<ServiceName, String> {
        let of_service = |trial: &ServiceName| service.is_none_or(|service| trial.parent() == *service);
        let all: Vec<ServiceName> = self.trials().into_keys().filter(of_service).collect();
        let named = |wanted: &str| {
            all.iter().filter(|one| one.of_trial().is_some_and(|(_, name)| name == wanted)).cloned().collect::<Vec<_>>()
        };
        let lists = "`core previews` lists them";
        let mut found = match name {
            Some(name) => named(name),
            None if named(CANARY).is_empty() => all.clone(),
            None => named(CANARY),
        };
        match (found.len(), name) {
            (1, _) => Ok(found.remove(0)),
            (0, Some(name)) => Err(format!("there is no preview or canary `{name}`: {lists}")),
            (0, None) => Err("there is no preview and no canary".to_owned()),
            (_, Some(name)) => Err(format!("several services have a `{name}`: say which with --service")),
            (_, None) => Err(format!("there are several: say which one; {lists}")),
        }
    }

    /// What was asked for is in force once its instances are there.
    fn settle_next(&mut self, name: &ServiceName) {
        if self.trials.all.get(name).is_none_or(|one| one.next.is_none()) {
            return;
        }
        let is_there = self
            .services
            .get(name)
            .is_some_and(|service| service.rollout.is_none() && self.all_ready(name, service.born, service.replicas()));
        if !is_there || self.waits_for_reading(name) {
            return;
        }
        if let Some(one) = self.trials.all.get_mut(name)
            && let Some(next) = one.next.take()
        {
            (one.trial, one.tally) = (next, Tally::default());
            self.save = true;
        }
    }
}

impl Standing {
    fn new(trial: Trial, stage: Stage, now: Time) -> Self {
        Self { trial, next: None, stage, asked_at: now, counts: false, tally: Tally::default() }
    }
}
