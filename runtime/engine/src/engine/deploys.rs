//! Deploys: releases that are being made. One of a service is made at a time; what comes of it is wanted then, or tried.

use std::collections::VecDeque;

use core_manifest::ServiceName;

use super::operation::{Goal, Operation, OperationState};
use super::{Binary, Engine};
use crate::action::{Action, Hook};
use crate::command::{Cause, Command, Deploying, Make};
use crate::event::Purpose;
use crate::folder::folder_of;

/// A release that is to serve, and the command that asked for it.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) command: Command,
    pub(super) service: ServiceName,
    pub(super) release: String,
    /// The trials that end when it serves, if they still have these releases.
    pub(super) ends: Vec<(ServiceName, String)>,
}

/// A deploy whose release is not there yet.
#[derive(Clone, Debug)]
pub(super) struct Deploy {
    operation: u64,
    by: Cause,
    how: Deploying,
}

impl Deploy {
    /// The request to make its release.
    fn action(&self, service: &ServiceName) -> Action {
        let Self { operation, by, how } = self.clone();
        Action::MakeRelease { operation, service: service.clone(), how, by }
    }

    /// The command that asked for it.
    fn command(self, service: &ServiceName) -> Command {
        let service = Some(service.clone());
        match &self.how.make {
            Make::Landed { trial, as_built, .. } => {
                let name = trial.of_trial().map(|(_, name)| name.to_owned());
                Command::Promote { service, name, as_built: *as_built }
            }
            _ => Command::Deploy { service, how: self.how },
        }
    }
}

impl Engine {
    /// Begins to make a release, or waits until the deploys before it have.
    pub(super) fn deploy(&mut self, id: u64, service: Option<&ServiceName>, how: &Deploying, by: Cause) -> Operation {
        let name = match self.deployed(service) {
            Ok(name) => name,
            Err(message) => return Operation::failed(message),
        };
        if how.supersede {
            self.supersede(&name, how, id);
        }
        let queue = self.releases.deploys.entry(name.clone()).or_default();
        let deploy = Deploy { operation: id, by, how: how.clone() };
        if queue.is_empty() {
            self.actions.push(deploy.action(&name));
        }
        queue.push_back(deploy);
        Operation::new(Goal::Release, [name].into(), self.now, None)
    }

    /// A newer deploy takes the place of those whose releases are not there yet: of the service, or of the same trial.
    fn supersede(&mut self, name: &ServiceName, how: &Deploying, by: u64) {
        let queue = self.releases.deploys.remove(name).unwrap_or_default();
        let is_same = |one: &Deploy| one.how.trial_name() == how.trial_name();
        let first = queue.front().filter(|first| is_same(first)).map(|first| first.operation);
        let (dropped, kept): (VecDeque<Deploy>, VecDeque<Deploy>) = queue.into_iter().partition(is_same);
        if let Some(operation) = first {
            self.actions.push(Action::DropRelease { operation, service: name.clone() });
            self.actions.extend(kept.front().map(|next| next.action(name)));
        }
        if !kept.is_empty() {
            self.releases.deploys.insert(name.clone(), kept);
        }
        for deploy in dropped {
            let (id, cause, command) = (deploy.operation, deploy.by, deploy.command(name));
            self.end_early(id, name, &command, cause, format!("a newer deploy, of operation {by}, takes its place"));
        }
    }

    /// A deploy ends before anything of the stack was changed.
    fn end_early(&mut self, id: u64, name: &ServiceName, command: &Command, by: Cause, message: String) {
        let Some(mut operation) = self.operations.remove(&id) else { return };
        let is_preview = matches!(command, Command::Deploy { how, .. } if how.is_preview());
        if !is_preview {
            let (service, hook, failure) = (name.clone(), Hook::OnFailure, Some(message.clone()));
            self.actions.push(Action::Hook { service, hook, release: None, message: failure });
        }
        operation.state = OperationState::Failed { message, culprit: None };
        self.begin_operation(id, command, by, operation);
    }

    /// A release has landed, or was not made.
    pub(super) fn release_made(&mut self, id: u64, name: &ServiceName, result: &Result<String, String>) {
        let Some(queue) = self.releases.deploys.get_mut(name) else { return };
        if queue.front().is_none_or(|first| first.operation != id) {
            return;
        }
        let Some(deploy) = queue.pop_front() else { return };
        if let Some(next) = queue.front() {
            self.actions.push(next.action(name));
        } else {
            self.releases.deploys.remove(name);
        }
        let (by, switches, trial) = (deploy.by, deploy.how.switch, deploy.how.trial.clone());
        let ends = self.ended_by(name, &deploy.how.make);
        let command = deploy.command(name);
        match (result, &trial) {
            (Ok(release), Some(wish)) => match self.begin_trial(name, wish) {
                Ok(service) => {
                    let wish = Wish { command, service, release: release.clone(), ends: Vec::new() };
                    self.want_release(id, wish, false);
                    self.read(Purpose::Apply { operation: id, by });
                }
                Err(message) => self.end_early(id, name, &command, by, message),
            },
            // Whether it may serve, the host says by itself.
            (Ok(_), None) if !switches => {
                let Some(mut operation) = self.operations.remove(&id) else { return };
                operation.state = OperationState::Done;
                self.begin_operation(id, &command, by, operation);
            }
            (Ok(release), None) => {
                self.binaries.insert(folder_of(name.as_str(), release), Binary::Present);
                let wish = Wish { command, service: name.clone(), release: release.clone(), ends };
                self.want_release(id, wish, false);
                self.read(Purpose::Apply { operation: id, by });
            }
            (Err(message), _) => self.end_early(id, name, &command, by, message.clone()),
        }
    }

    /// What a deploy of this release ends when it is done: the canary, which was compared with what is not live then, and
    /// what is promoted.
    pub(super) fn ended_by(&self, parent: &ServiceName, make: &Make) -> Vec<(ServiceName, String)> {
        let promoted = if let Make::Landed { trial, .. } = make { Some(trial.clone()) } else { None };
        let mut all: Vec<ServiceName> = promoted.into_iter().chain(self.canary_of(parent)).collect();
        all.dedup();
        let releases = self.releases();
        all.into_iter().filter_map(|trial| Some((trial.clone(), releases.get(&trial)?.clone()))).collect()
    }

    /// A deploy or promotion is over: what it ends is ended.
    pub(super) fn end_what_it_ends(&mut self, operation: &mut Operation) {
        let is_done = operation.state == OperationState::Done;
        // One that failed goes on as it was.
        if let Some((name, _)) = operation.release.as_ref().filter(|_| !is_done)
            && let Some(one) = self.trials.all.get_mut(name)
        {
            one.next = None;
        }
        for (trial, release) in operation.ends.drain(..).filter(|_| is_done) {
            // It may have been deployed again meanwhile.
            if self.releases().get(&trial) == Some(&release) {
                self.end_trial(&trial);
            }
        }
    }
}
