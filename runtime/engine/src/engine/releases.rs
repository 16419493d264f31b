//! Releases of apps: which one is wanted of each service, and the deploys that make further ones.
//!
//! A deploy makes a release while the live one serves; only then is it wanted, and carried out like an edit: the
//! manifests are read, the plan replaces the service. If the new release does not become ready, the one that serves is
//! wanted again.

use std::collections::{BTreeMap, VecDeque};

use core_manifest::ServiceName;

use super::operation::{Goal, Operation, OperationState};
use super::{Binary, Engine};
use crate::action::Action;
use crate::command::{Cause, Command, Make};
use crate::event::Purpose;
use crate::folder::folder_of;

/// What is known about releases.
#[derive(Clone, Debug, Default)]
pub(super) struct Releases {
    /// The wanted release of each service that has one.
    wanted: BTreeMap<ServiceName, String>,
    /// What each link `current` names.
    live: BTreeMap<ServiceName, Mark>,
    /// Deploys by service, in the order in which they came; the first one is under way.
    deploys: BTreeMap<ServiceName, VecDeque<Deploy>>,
}

/// The naming of a live release, for people. Whoever waits for a deploy finds it done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    Asked(String),
    Done(String),
}

#[derive(Clone, Debug)]
struct Deploy {
    operation: u64,
    by: Cause,
    make: Make,
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

    pub(super) fn remember_releases(&mut self, wanted: &BTreeMap<ServiceName, String>) {
        self.releases.wanted.clone_from(wanted);
    }

    /// A reading has chosen these. What a deploy has made since that reading began stays wanted.
    pub(super) fn choose_releases(&mut self, chosen: &BTreeMap<ServiceName, String>) {
        for (name, release) in chosen {
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

    /// Begins to make a release, or waits until the deploys before it have.
    pub(super) fn deploy(&mut self, id: u64, service: Option<&ServiceName>, make: &Make, by: Cause) -> Operation {
        let name = match self.deployed(service) {
            Ok(name) => name,
            Err(message) => return Operation::failed(message),
        };
        let queue = self.releases.deploys.entry(name.clone()).or_default();
        queue.push_back(Deploy { operation: id, by, make: make.clone() });
        if queue.len() == 1 {
            self.actions.push(Action::MakeRelease { operation: id, service: name.clone(), make: make.clone() });
        }
        Operation::new(Goal::Release, [name].into(), self.now, None)
    }

    /// The service that a deploy is for: the one that it names, or the only one with releases.
    fn deployed(&self, named: Option<&ServiceName>) -> Result<ServiceName, String> {
        let with: Vec<&ServiceName> =
            self.services.iter().filter(|(_, one)| one.spec.release.is_some()).map(|(name, _)| name).collect();
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

    /// A release has landed, or was not made.
    pub(super) fn release_made(&mut self, id: u64, name: &ServiceName, result: &Result<String, String>) {
        let Some(queue) = self.releases.deploys.get_mut(name) else { return };
        let Some(Deploy { by, .. }) = queue.front().cloned().filter(|first| first.operation == id) else { return };
        queue.pop_front();
        if let Some(next) = queue.front() {
            let Deploy { operation, make, .. } = next.clone();
            self.actions.push(Action::MakeRelease { operation, service: name.clone(), make });
        } else {
            self.releases.deploys.remove(name);
        }
        match result {
            Ok(release) => {
                self.binaries.insert(folder_of(name.as_str(), release), Binary::Present);
                self.releases.wanted.insert(name.clone(), release.clone());
                self.save = true;
                self.read(Purpose::Apply { operation: id, by });
            }
            Err(message) => self.deploy_failed(id, name, by, message.clone()),
        }
    }

    /// A deploy ends before anything of the stack was changed.
    pub(super) fn deploy_failed(&mut self, id: u64, name: &ServiceName, by: Cause, message: String) {
        let Some(mut operation) = self.operations.remove(&id) else { return };
        operation.state = OperationState::Failed { message, culprit: None };
        self.begin_operation(id, &Command::deployed(name.clone()), by, operation);
    }

    /// The operation of a deploy whose release has landed, if this is one: from now on its service has to become ready.
    pub(super) fn take_deploy(&mut self, id: u64) -> Option<(ServiceName, Operation)> {
        let operation = self.operations.get_mut(&id).filter(|operation| operation.goal == Goal::Release)?;
        let name = operation.pending.first()?.clone();
        let operation = self.operations.remove(&id)?;
        Some((name, Operation { goal: Goal::Ready, ..operation }))
    }

    /// A release was rolled back: what serves is wanted again.
    pub(super) fn withdraw_release(&mut self, name: &ServiceName) {
        let serving = self.services.get(name).and_then(|service| service.spec.release.clone());
        if let Some(serving) = serving.filter(|_| self.releases.wanted.contains_key(name)) {
            self.releases.wanted.insert(name.clone(), serving);
        }
    }

    /// Reports the release that has taken over, once it has.
    pub(super) fn settle_release(&mut self, name: &ServiceName) {
        let Some(service) = self.services.get(name).filter(|service| service.rollout.is_none()) else { return };
        let Some(release) = &service.spec.release else { return };
        let is_live = self.instances_of(name).any(|one| one.id.generation == service.born && one.is_ready());
        let is_named =
            matches!(self.releases.live.get(name), Some(Mark::Asked(one) | Mark::Done(one)) if one == release);
        if is_live && !is_named {
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
