//! Operations: what was asked for, until it has been reached or cannot be.

use std::collections::BTreeSet;
use std::time::Duration;

use core_manifest::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::instance::Instance;
use super::waiting::WaitingOn;
use super::{Binary, Engine};
use crate::ids::InvocationId;
use crate::phase::{EndReason, Phase};
use crate::time::Time;

/// Consecutive failed starts after which an operation fails.
const PATIENCE: u32 = 5;
/// Number of finished operations that are remembered.
const REMEMBERED: usize = 100;

/// The goal of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// The services are ready, or have exited with success.
    Ready,
    /// A release of the service was made.
    Release,
    /// That release serves, and did so as long as it is observed.
    Deployed,
    /// The service has gone back to a release: one that still ran takes the requests, any other serves.
    Back,
    /// The edge answers as is wanted of it.
    Maintained,
    /// No process of the services runs.
    Stopped,
    /// No process of the stack runs.
    Down,
}

/// An operation that was asked for, and its progress.
#[derive(Clone, Debug)]
pub struct Operation {
    pub(super) goal: Goal,
    /// Services that have not reached the goal.
    pub(super) pending: BTreeSet<ServiceName>,
    /// Of a deploy or rollback: the service, and the release that is to serve.
    pub(super) release: Option<(ServiceName, String)>,
    /// The trials that end when it is done, if they still have these releases.
    pub(super) ends: Vec<(ServiceName, String)>,
    /// When its time started to run: builds and downloads do not count.
    pub(super) counted_from: Time,
    /// Whether something was being downloaded or built when it was last looked at.
    pub(super) preparing: bool,
    pub(super) timeout: Option<Duration>,
    /// Whether it has changed a service.
    pub(super) has_changed: bool,
    /// What the history still has to get; `None` when it has everything, or gets nothing.
    pub(super) telling: Option<Telling>,
    /// The state of the operation.
    pub state: OperationState,
}

/// What the history still has to get about a running operation.
#[derive(Clone, Debug)]
pub(super) struct Telling {
    /// The services that it changed; empty when it made no new generation.
    pub(super) changed: BTreeSet<ServiceName>,
}

/// The state of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum OperationState {
    /// The goal has not been reached yet.
    Running,
    /// The goal was reached.
    Done,
    /// The goal cannot be reached, or was not reached in time.
    Failed {
        /// Why, as text for people.
        message: String,
        /// The invocation whose log says more, if there is one.
        #[schemars(with = "Option<String>")]
        culprit: Option<InvocationId>,
    },
}

impl Operation {
    pub(super) fn new(goal: Goal, pending: BTreeSet<ServiceName>, now: Time, timeout: Option<Duration>) -> Self {
        let state = OperationState::Running;
        Self {
            goal,
            pending,
            release: None,
            ends: Vec::new(),
            counted_from: now,
            preparing: false,
            timeout,
            has_changed: false,
            telling: None,
            state,
        }
    }

    pub(super) fn failed(message: String) -> Self {
        let state = OperationState::Failed { message, culprit: None };
        Self {
            goal: Goal::Ready,
            pending: BTreeSet::new(),
            release: None,
            ends: Vec::new(),
            counted_from: Time(0),
            preparing: false,
            timeout: None,
            has_changed: false,
            telling: None,
            state,
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match (&self.state, self.timeout) {
            (OperationState::Running, Some(timeout)) => Some(self.counted_from + timeout),
            _ => None,
        }
    }
}

/// How far one service is from being ready.
enum Standing {
    There,
    OnTheWay,
    Hopeless(String, Option<InvocationId>),
}

impl Engine {
    /// The operation with this number; `None` when it is unknown or was forgotten.
    pub fn operation(&self, id: u64) -> Option<&Operation> {
        self.operations.get(&id)
    }

    pub(super) fn add_operation(&mut self, id: u64, operation: Operation) {
        self.changed.extend(operation.pending.iter().cloned());
        self.operations.insert(id, operation);
        while self.operations.len() > REMEMBERED {
            let finished = self.operations.iter().find(|(_, one)| one.state != OperationState::Running);
            let Some(oldest) = finished.map(|(id, _)| *id) else { break };
            self.operations.remove(&oldest);
        }
    }

    pub(super) fn settle_operations(&mut self) {
        let running: Vec<u64> =
            self.operations.iter().filter(|(_, one)| one.state == OperationState::Running).map(|(id, _)| *id).collect();
        for id in running {
            let Some(mut operation) = self.operations.remove(&id) else { continue };
            self.settle_operation(&mut operation);
            if operation.goal == Goal::Deployed {
                self.fall_back(&mut operation);
            }
            self.run_hooks(&operation);
            if operation.state != OperationState::Running {
                self.end_what_it_ends(&mut operation);
            }
            Self::tell_ended(&mut self.actions, id, &mut operation);
            self.operations.insert(id, operation);
        }
    }

    fn settle_operation(&self, operation: &mut Operation) {
        let touched: Vec<ServiceName> = operation.pending.intersection(&self.changed).cloned().collect();
        for name in touched {
            let standing = match operation.goal {
                Goal::Deployed | Goal::Back if let Some(why) = self.not_wanted(operation.release.as_ref()) => {
                    Standing::Hopeless(why, None)
                }
                // What is not wanted any more after this is not tried again.
                Goal::Deployed => self.standing(&name, 1),
                Goal::Back if self.has_returned(&name) => Standing::There,
                Goal::Ready | Goal::Back => self.standing(&name, PATIENCE),
                Goal::Stopped if self.instances_of(&name).any(|instance| instance.phase.is_live()) => {
                    Standing::OnTheWay
                }
                Goal::Maintained if !self.is_maintained(&name) => Standing::OnTheWay,
                Goal::Stopped | Goal::Maintained => Standing::There,
                Goal::Release | Goal::Down => Standing::OnTheWay,
            };
            match standing {
                Standing::There => {
                    operation.pending.remove(&name);
                }
                Standing::OnTheWay => {}
                Standing::Hopeless(message, culprit) => {
                    operation.state = OperationState::Failed { message, culprit };
                    return;
                }
            }
        }
        if operation.pending.is_empty() && operation.goal != Goal::Down {
            operation.state = OperationState::Done;
            return;
        }
        let is_preparing = operation.pending.iter().any(|name| {
            self.instances_of(name).flat_map(|instance| instance.spec.binaries.values()).any(|binary| {
                binary.folder.as_ref().is_some_and(|folder| self.binaries.get(folder) == Some(&Binary::Asked))
            })
        });
        if std::mem::replace(&mut operation.preparing, is_preparing) || is_preparing {
            operation.counted_from = self.now;
        } else if operation.deadline().is_some_and(|at| at <= self.now) {
            operation.state = self.timed_out(operation);
        }
    }

    fn timed_out(&self, operation: &Operation) -> OperationState {
        let late: Vec<String> = operation.pending.iter().map(|name| self.in_words(name)).collect();
        let culprit = operation.pending.iter().find_map(|name| {
            self.instances_of(name).find(|instance| instance.phase.is_live()).map(Instance::invocation_id)
        });
        let seconds = operation.timeout.unwrap_or_default().as_secs_f64();
        OperationState::Failed { message: format!("not ready after {seconds} s: {}", late.join("; ")), culprit }
    }

    fn in_words(&self, name: &ServiceName) -> String {
        let Some(instance) = self.instances_of(name).find(|instance| !instance.is_ready()) else {
            return format!("{name} does not exist");
        };
        let waiting: Vec<String> = match instance.phase {
            Phase::Waiting => self.waiting_on(instance).iter().map(WaitingOn::message).collect(),
            Phase::Probing { .. } => instance.readiness.in_words().into_iter().collect(),
            _ => instance.last_failure.iter().map(ToString::to_string).collect(),
        };
        let more = if waiting.is_empty() { String::new() } else { format!(" ({})", waiting.join(", ")) };
        format!("{} is {}{more}", instance.id, instance.phase.name().word())
    }

    /// How far a service is from being ready, if so many failed starts in a row are hopeless.
    fn standing(&self, name: &ServiceName, patience: u32) -> Standing {
        let Some(service) = self.services.get(name) else {
            return Standing::Hopeless(format!("there is no service `{name}` any more"), None);
        };
        if let Some((_, why)) = &service.rejected {
            return Standing::Hopeless(format!("the new version of {name} was rolled back: {why}"), None);
        }
        // Requests find a trial once its pointers are written.
        let is_found = !name.is_trial() || self.is_written(name);
        let mut all_there = service.rollout.is_none() && !self.is_marking(name) && is_found;
        for instance in self.instances_of(name).filter(|instance| instance.id.generation == service.born) {
            let id = &instance.id;
            let culprit = (instance.invocation > 0).then(|| instance.invocation_id());
            let why =
                || instance.last_failure.as_ref().map_or_else(String::new, |failure| format!(": {}", failure.of_it()));
            let good_end =
                instance.last_exit.is_some_and(|exit| exit.code().is_some_and(|code| instance.spec.is_success(code)));
            match &instance.phase {
                // The shim is away, and only the next one can tell whether the instance is alive.
                Phase::Ready { .. } if instance.shim.is_away() => all_there = false,
                Phase::Ready { .. } | Phase::Ended(EndReason::Disabled | EndReason::Idle) => {}
                Phase::Ended(EndReason::Exit) if good_end => {}
                Phase::Ended(EndReason::Exit) => {
                    return Standing::Hopeless(format!("{id} has ended{}", why()), culprit);
                }
                Phase::Ended(EndReason::Stopped) => return Standing::Hopeless(format!("{id} was stopped"), None),
                Phase::Ended(EndReason::Skipped) => {
                    let unmet: Vec<String> = self.unmet_dependencies(instance).iter().map(WaitingOn::message).collect();
                    return Standing::Hopeless(format!("{id} was skipped: it {}", unmet.join(", ")), None);
                }
                Phase::GaveUp => return Standing::Hopeless(format!("{id} was given up{}", why()), culprit),
                _ if instance.failures >= patience => {
                    let often = match instance.failures {
                        1 => String::new(),
                        often => format!(" {often} times in a row"),
                    };
                    let message = format!("{id} failed{often}{}", why());
                    return Standing::Hopeless(message, culprit);
                }
                Phase::Waiting => {
                    for missing in self.missing_binaries(instance) {
                        if let WaitingOn::Binary { failed: Some(_), .. } = missing {
                            return Standing::Hopeless(format!("{id}: {}", missing.message()), None);
                        }
                    }
                    all_there = false;
                }
                _ => all_there = false,
            }
        }
        if all_there { Standing::There } else { Standing::OnTheWay }
    }

    pub(super) fn finish_operations_of_down(&mut self) {
        for (id, operation) in &mut self.operations {
            if operation.state == OperationState::Running {
                operation.state = match operation.goal {
                    Goal::Down | Goal::Stopped => OperationState::Done,
                    Goal::Ready | Goal::Release | Goal::Deployed | Goal::Back | Goal::Maintained => {
                        OperationState::Failed { message: "the stack was ended meanwhile".into(), culprit: None }
                    }
                };
                Self::tell_ended(&mut self.actions, *id, operation);
            }
        }
    }
}
