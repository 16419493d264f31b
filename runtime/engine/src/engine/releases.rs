//! Releases of apps: which one is wanted of each service, and the deploys that make further ones.
//!
//! A deploy makes a release while the live one serves; only then is it wanted, and carried out like an edit: the
//! manifests are read, the plan replaces the service. If the new release does not become ready, the one that serves is
//! wanted again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use core_manifest::ServiceName;

use super::deploys::{Deploy, Wish};
use super::instance::Instance;
use super::operation::{Goal, Operation, OperationState};
use super::{Binary, Engine};
use crate::action::{Action, Hook};
use crate::command::{Cause, Command, Make};
use crate::event::Purpose;
use crate::folder::{folder_of, release_of};
use crate::trail::Trail;
use crate::trial::CANARY;

/// What is known about releases.
#[derive(Clone, Debug, Default)]
pub(super) struct Releases {
    /// The wanted release of each service that has one.
    wanted: BTreeMap<ServiceName, String>,
    /// What each link `current` names.
    live: BTreeMap<ServiceName, Mark>,
    /// Those that served well.
    trails: BTreeMap<ServiceName, Trail>,
    /// Releases that are wanted once the manifests were read, by operation, each with the command that asked for it.
    wishes: BTreeMap<u64, Wish>,
    /// Deploys by service, in the order in which they came; the first one is under way.
    pub(super) deploys: BTreeMap<ServiceName, VecDeque<Deploy>>,
}

/// The naming of a live release, for people. Whoever waits for a deploy finds it done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    Asked(String),
    Done(String),
}

impl Engine {
    /// The wanted releases, by service. Of a service that was never deployed, the one that its spec has.
    pub fn releases(&self) -> BTreeMap<ServiceName, String> {
        let of_specs = self.services.iter().filter_map(|(name, one)| Some((name.clone(), one.spec.release.clone()?)));
        let mut all: BTreeMap<ServiceName, String> = of_specs.collect();
        all.extend(self.releases.wanted.clone());
        all
    }

    /// Those that were chosen, to be saved.
    pub(super) fn wanted_releases(&self) -> &BTreeMap<ServiceName, String> {
        &self.releases.wanted
    }

    /// The release that a service would go back to.
    pub fn release_before(&self, name: &ServiceName) -> Option<&str> {
        let wanted = self.releases.wanted.get(name).or_else(|| self.services.get(name)?.spec.release.as_ref())?;
        self.releases.trails.get(name)?.before(wanted)
    }

    /// Whether a service goes back to an earlier release.
    pub(super) fn goes_back_to_release(&self, name: &ServiceName) -> bool {
        self.releases.trails.get(name).is_some_and(Trail::goes_back)
    }

    /// The releases that served well, to be saved.
    pub(super) fn trails(&self) -> &BTreeMap<ServiceName, Trail> {
        &self.releases.trails
    }

    pub(super) fn remember_releases(
        &mut self,
        wanted: &BTreeMap<ServiceName, String>,
        trails: &BTreeMap<ServiceName, Trail>,
    ) {
        self.releases.wanted.clone_from(wanted);
        self.releases.trails.clone_from(trails);
    }

    /// Forgets releases that are not there any more, so that nobody goes back to them.
    pub(super) fn forget_gone(&mut self, present: &BTreeSet<String>) {
        let wanted = self.releases.wanted.iter().map(|(name, id)| folder_of(name.as_str(), id));
        let wanted: BTreeSet<String> = wanted.collect();
        self.binaries.retain(|folder, binary| {
            let is_release = release_of(folder).is_some();
            *binary != Binary::Present || !is_release || present.contains(folder) || wanted.contains(folder)
        });
    }

    /// A reading has chosen these. What a deploy has made since that reading began stays wanted.
    pub(super) fn choose_releases(&mut self, chosen: &BTreeMap<ServiceName, String>) {
        for (name, release) in chosen {
            if name.is_trial() && self.trial(name).is_none() {
                continue;
            }
            let has_landed = |wanted: &String| {
                let folder = folder_of(name.as_str(), wanted);
                self.binaries.get(&folder) == Some(&Binary::Present)
            };
            if self.releases.wanted.get(name).is_some_and(|wanted| wanted == release || has_landed(wanted)) {
                continue;
            }
            self.releases.wanted.insert(name.clone(), release.clone());
            self.save = true;
        }
    }

    /// Wants a release that has landed: the named one, or the newest before the wanted one that served well.
    pub(super) fn roll_back(
        &mut self,
        id: u64,
        service: Option<&ServiceName>,
        release: Option<&String>,
        by: Cause,
    ) -> Operation {
        let name = match self.deployed(service) {
            Ok(name) => name,
            Err(message) => return Operation::failed(message),
        };
        // What the last deploy did is undone first.
        // While it takes over from the live release, that is what the last deploy did.
        let takes_over = |canary: &ServiceName| {
            let of = |one: &Operation| {
                one.state == OperationState::Running && one.ends.iter().any(|(name, _)| name == canary)
            };
            let is_wished = |one: &Wish| one.ends.iter().any(|(name, _)| name == canary);
            self.operations.values().any(of) || self.releases.wishes.values().any(is_wished)
        };
        if let Some(canary) = self.canary_of(&name).filter(|canary| release.is_none() && !takes_over(canary)) {
            return self.end_trials(&canary);
        }
        let wanted = self.releases().get(&name).cloned().unwrap_or_default();
        let before = || self.release_before(&name).map(str::to_owned);
        let Some(release) = release.cloned().or_else(before) else {
            return Operation::failed(format!(
                "no release of {name} served before {wanted}: `core releases` lists them"
            ));
        };
        if release == wanted {
            return Operation::failed(format!("{name} runs {release} already: `core releases` lists the others"));
        }
        if self.binaries.get(&folder_of(name.as_str(), &release)) != Some(&Binary::Present) {
            return Operation::failed(format!("{name} has no release `{release}`: `core releases` lists them"));
        }
        let command = Command::Rollback { service: Some(name.clone()), release: Some(release.clone()) };
        let wish = Wish { command, service: name.clone(), release, ends: self.ended_by(&name, &Make::default()) };
        self.want_release(id, wish, true);
        self.read(Purpose::Apply { operation: id, by });
        Operation::new(Goal::Release, [name].into(), self.now, None)
    }

    /// From the next reading on, a service has this release.
    pub(super) fn want_release(&mut self, id: u64, wish: Wish, back: bool) {
        let name = &wish.service;
        let from = self.releases().remove(name);
        self.releases.wanted.insert(name.clone(), wish.release.clone());
        if !name.is_trial() {
            self.trials.undone.remove(name);
            self.releases.trails.entry(name.clone()).or_default().turn(from.as_deref(), back);
        }
        self.releases.wishes.insert(id, wish);
        self.save = true;
    }

    /// Whether the manifests are being read for a release of this service.
    pub(super) fn waits_for_reading(&self, name: &ServiceName) -> bool {
        self.releases.wishes.values().any(|wish| wish.service == *name)
    }

    /// A trial is over.
    pub(super) fn forget_releases_of(&mut self, name: &ServiceName) {
        self.releases.wanted.remove(name);
        self.releases.live.remove(name);
    }

    /// The service that a deploy is for: the one that it names, or the only one with releases.
    pub(super) fn deployed(&self, named: Option<&ServiceName>) -> Result<ServiceName, String> {
        let with: Vec<&ServiceName> = self
            .services
            .iter()
            .filter(|(name, one)| one.spec.release.is_some() && !name.is_trial())
            .map(|(name, _)| name)
            .collect();
        match (named, &with[..]) {
            (Some(name), _) if with.contains(&name) => Ok(name.clone()),
            (Some(name), _) if self.services.contains_key(name) => Err(format!("{name} has no releases")),
            (Some(name), _) => Err(format!("there is no service `{name}`")),
            (None, [name]) => Ok((*name).clone()),
            (None, []) => Err("no service of this stack has releases: with `--profile production`, or with `\"mode\": \"release\"` in its `config`, an app has".into()),
            (None, all) => {
                let all: Vec<&str> = all.iter().map(|name| name.as_str()).collect();
                Err(format!("several services have releases: {}; say which with --service", all.join(", ")))
            }
        }
    }

    /// The command whose release is wanted since this reading was asked for, if it is one, with its operation: from now on
    /// its service has to become ready.
    pub(super) fn take_wish(&mut self, id: u64) -> Option<(Command, Operation)> {
        let Wish { command, service, release, ends } = self.releases.wishes.remove(&id)?;
        let operation = self.operations.remove(&id)?;
        let goal = if matches!(command, Command::Rollback { .. }) { Goal::Back } else { Goal::Deployed };
        let pending = [service.clone()].into();
        Some((command, Operation { goal, pending, release: Some((service, release)), ends, ..operation }))
    }

    /// Has the hooks run of a deploy or rollback that is over.
    pub(super) fn run_hooks(&mut self, operation: &Operation) {
        let (hook, message) = match (&operation.state, operation.goal) {
            (OperationState::Done, Goal::Deployed) if operation.has_changed => (Hook::AfterSwitch, None),
            (OperationState::Done, Goal::Back) => (Hook::OnRollback, None),
            (OperationState::Failed { message, .. }, Goal::Deployed | Goal::Back) => {
                (Hook::OnFailure, Some(message.clone()))
            }
            _ => return,
        };
        // A preview gets no live requests, and a canary has not taken over.
        let is_told =
            |name: &ServiceName| name.of_trial().is_none_or(|(_, trial)| trial == CANARY && hook == Hook::OnFailure);
        if let Some((service, release)) = operation.release.clone().filter(|(name, _)| is_told(name)) {
            let service = service.parent();
            self.actions.push(Action::Hook { service, hook, release: Some(release), message });
        }
    }

    /// Why a release will not serve: another one is wanted. One that was put back has a better reason.
    pub(super) fn not_wanted(&self, release: Option<&(ServiceName, String)>) -> Option<String> {
        let (name, release) = release?;
        let service = self.services.get(name).filter(|service| service.rejected.is_none())?;
        let wanted = self.releases.wanted.get(name).or(service.spec.release.as_ref())?;
        if release != wanted {
            return Some(format!("{name}: {release} is not wanted any more, {wanted} is"));
        }
        // The manifests were read with it, and another one was chosen.
        let is_gone = service.rollout.is_none() && service.spec.release.as_ref() != Some(release);
        is_gone.then(|| format!("{name}: {release} is not there any more"))
    }

    /// A deploy that failed after its release had taken the place of the one before, as with `restart`: that one is wanted
    /// again. After a swap it serves already.
    pub(super) fn fall_back(&mut self, operation: &mut Operation) {
        let OperationState::Failed { message, .. } = &mut operation.state else { return };
        let names: Vec<ServiceName> = operation.pending.iter().cloned().collect();
        for name in names {
            let Some(service) = self.services.get(&name).filter(|one| one.rollout.is_none() && one.rejected.is_none())
            else {
                continue;
            };
            if name.is_trial() {
                // A newer deploy may have asked for another one meanwhile.
                let is_own =
                    operation.release.as_ref().is_some_and(|(_, id)| self.releases.wanted.get(&name) == Some(id));
                if is_own {
                    self.end_trial(&name);
                }
                continue;
            }
            let Some(failed) = service.spec.release.clone() else { continue };
            // One that was stopped, or waits for something that will not come, has not failed.
            let born = service.born;
            let failed_at = |one: &Instance| one.id.generation == born && one.last_failure.is_some();
            if !self.instances_of(&name).any(failed_at) {
                continue;
            }
            let is_wanted = self.releases.wanted.get(&name) == Some(&failed);
            // It is the last one on its way only if it has served since it was wanted.
            let served = self.releases.trails.get(&name).is_some_and(|trail| trail.last() == Some(&failed));
            let Some(before) = self.release_before(&name).filter(|_| is_wanted && !served).map(str::to_owned) else {
                continue;
            };
            *message = format!("{message}; {before} is wanted again");
            let id = self.number_operation();
            let command = Command::Rollback { service: Some(name.clone()), release: Some(before.clone()) };
            let wish = Wish { command, service: name.clone(), release: before, ends: Vec::new() };
            self.want_release(id, wish, true);
            self.add_operation(id, Operation::new(Goal::Release, [name].into(), self.now, None));
            self.read(Purpose::Apply { operation: id, by: Cause::Failure });
        }
    }

    /// A release was rolled back: what serves is wanted again.
    pub(super) fn withdraw_release(&mut self, name: &ServiceName) {
        let Some(service) = self.services.get(name) else { return };
        let failed = service.rejected.as_ref().and_then(|(spec, _)| spec.release.clone());
        // A newer wish stands.
        let is_wanted = failed.is_some() && self.releases.wanted.get(name) == failed.as_ref();
        if let Some(serving) = service.spec.release.clone().filter(|_| is_wanted) {
            self.releases.wanted.insert(name.clone(), serving);
            if name.is_trial() {
                return;
            }
            self.releases.trails.entry(name.clone()).or_default().stay();
        }
    }

    /// Reports the release that has taken over, once it has.
    pub(super) fn settle_release(&mut self, name: &ServiceName) {
        let service = self.services.get(name).filter(|service| service.rollout.is_none() && !name.is_trial());
        let Some(service) = service else { return };
        // The word of a development server is no release.
        let Some(release) = service.spec.release.as_ref().filter(|release| !release.is_empty()) else { return };
        let is_live = self.instances_of(name).any(|one| one.id.generation == service.born && one.is_ready());
        if !is_live {
            return;
        }
        let release = &release.clone();
        // One that serves on until another takes over is where the service comes from.
        if self.releases.wanted.get(name).is_none_or(|wanted| wanted == release) {
            self.save |= self.releases.trails.entry(name.clone()).or_default().serves(release);
        }
        let is_named =
            matches!(self.releases.live.get(name), Some(Mark::Asked(one) | Mark::Done(one)) if one == release);
        if !is_named {
            self.releases.live.insert(name.clone(), Mark::Asked(release.clone()));
            self.actions.push(Action::MarkLive { service: name.clone(), release: release.clone() });
        }
    }

    /// A live release was named. The answer about an earlier one says nothing.
    pub(super) fn marked(&mut self, name: &ServiceName, release: &str) {
        if let Some(mark) = self.releases.live.get_mut(name)
            && matches!(mark, Mark::Asked(asked) if asked == release)
        {
            *mark = Mark::Done(release.to_owned());
            self.changed.insert(name.clone());
        }
    }

    /// Whether the live release of a service is being named.
    pub(super) fn is_marking(&self, name: &ServiceName) -> bool {
        matches!(self.releases.live.get(name), Some(Mark::Asked(_)))
    }
}
