//! The state as clients see it. The CLI and the API render this.

use std::collections::{BTreeMap, BTreeSet};

use core_manifest::{Identifier, Problem, ServiceName};

use super::instance::Instance;
use super::service::Service;
use super::waiting::WaitingOn;
use super::want::Want;
use super::{Binary, Engine};
use crate::action::Role;
use crate::exit::{Exit, Failure};
use crate::ids::{Generation, InstanceId, InvocationId};
use crate::phase::{EndReason, Phase, PhaseName, StopReason, Tally};
use crate::time::Time;

/// The state of the stack.
#[derive(Clone, Debug)]
pub struct View {
    /// The newest generation.
    pub generation: Generation,
    /// The state of the stack as a whole.
    pub state: StackState,
    /// Problems of the manifests, and rollbacks.
    pub problems: Vec<Problem>,
    /// All instances, ordered by service, slot and generation.
    pub instances: Vec<InstanceView>,
    /// Folders in `.dep/` that are being downloaded or built.
    pub preparing: Vec<String>,
}

/// The state of the stack as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StackState {
    /// Some service that should run has not been ready yet.
    Starting,
    /// Every service that should run is ready.
    Running,
    /// A service that should run does not, or there were never valid manifests.
    Degraded,
    /// The stack is being stopped.
    Stopping,
    /// The stack has stopped.
    Stopped,
}

/// The state of a service, over all its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceState {
    /// Everything is as wanted.
    Good,
    /// It is starting, or it is not known yet whether it is alive.
    OnTheWay,
    /// It failed, and may be tried again.
    Bad,
}

/// One instance.
#[derive(Clone, Debug)]
pub struct InstanceView {
    /// The name of the instance.
    pub id: InstanceId,
    /// Its current or last invocation.
    pub invocation: InvocationId,
    /// The name of its phase.
    pub phase: PhaseName,
    /// Why it is in this phase, if there is something to say.
    pub reason: Option<String>,
    /// Why it has ended.
    pub end: Option<EndReason>,
    /// PID of its first process.
    pub pid: Option<u32>,
    /// Whether it is ready (a one-shot that exited with success is).
    pub ready: bool,
    /// Automatic restarts so far.
    pub restarts: u32,
    /// How it last exited.
    pub exit: Option<Exit>,
    /// Its ports by name.
    pub ports: BTreeMap<Identifier, u16>,
    /// Since when it has been in its phase.
    pub since: Time,
    /// When the current process was started.
    pub started: Option<Time>,
    /// What it waits for.
    pub waiting_on: Vec<WaitingView>,
    /// The message of the last failed probe.
    pub last_probe: Option<String>,
    /// The release that it runs, if its service has releases.
    pub release: Option<String>,
    /// Its part, if its service has releases.
    pub role: Option<Role>,
    /// The description of its service.
    pub description: Option<String>,
}

/// Something an instance waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingView {
    /// The service that it waits for, if it waits for one.
    pub service: Option<ServiceName>,
    /// The condition, if it is a dependency.
    pub condition: Option<&'static str>,
    /// A stable code for programs.
    pub code: &'static str,
    /// A message for people.
    pub message: String,
}

impl Engine {
    /// The state as clients see it.
    pub fn view(&self) -> View {
        let mut problems = self.problems.clone();
        for (name, service) in &self.services {
            if let Some((_, why)) = &service.rejected {
                let message = format!("the new version was rolled back; the old one is still serving: {why}");
                problems.push(Problem::of_service(name.as_str(), "rollout-failed", message));
            }
        }
        for (name, message) in &self.trials.undone {
            problems.push(Problem::of_service(name.as_str(), "canary-undone", message.clone()));
        }
        for (name, routing) in &self.routings {
            if let Some(message) = &routing.failure {
                let message = format!("the edge's pointers could not be written: {message}");
                problems.push(Problem::of_service(name.as_str(), "route-failed", message));
            }
        }
        View {
            generation: self.generation,
            state: self.state(),
            problems,
            instances: self.instances.values().map(|instance| self.view_of(instance)).collect(),
            preparing: self
                .binaries
                .iter()
                .filter(|(_, binary)| **binary == Binary::Asked)
                .map(|(folder, _)| folder.clone())
                .collect(),
        }
    }

    /// Whether the port belongs to this stack: an instance has it, or a spec names it.
    pub fn has_port(&self, port: u16) -> bool {
        let is_wanted = |service: &Service| service.spec.ports.values().any(|one| one.number == Some(port));
        let is_there = |instance: &Instance| instance.spec.ports.keys().any(|name| instance.port(name) == Some(port));
        self.services.values().any(is_wanted) || self.instances.values().any(is_there)
    }

    /// The ports of all instances that were started: their sockets may be held though nothing of them is alive.
    pub fn ports_in_use(&self) -> BTreeSet<u16> {
        let started = self.instances.values().filter(|instance| instance.invocation > 0 || instance.phase.is_live());
        started.flat_map(|instance| instance.spec.ports.keys().filter_map(|name| instance.port(name))).collect()
    }

    /// All instances with their phase and the number of their last invocation.
    pub fn instances(&self) -> impl Iterator<Item = (&InstanceId, PhaseName, u32)> {
        self.instances.values().map(|instance| (&instance.id, self.phase_name(instance), instance.invocation))
    }

    /// Number of replicas that a service should have; `None` if there is no such service.
    pub fn replicas(&self, service: &ServiceName) -> Option<u32> {
        self.services.get(service).map(Service::replicas)
    }

    /// The phase of an instance.
    pub fn phase(&self, id: &InstanceId) -> Option<PhaseName> {
        self.instances.get(id).map(|instance| self.phase_name(instance))
    }

    /// The spec of an instance, including what was refreshed since it was created.
    pub fn spec(&self, id: &InstanceId) -> Option<&std::sync::Arc<core_manifest::ServiceSpec>> {
        self.instances.get(id).map(|instance| &instance.spec)
    }

    /// Whether the stack is being stopped.
    pub fn is_stopping(&self) -> bool {
        self.down.is_some()
    }

    /// The state of the stack as a whole.
    pub fn state(&self) -> StackState {
        if self.finished {
            return StackState::Stopped;
        }
        if self.down.is_some() {
            return StackState::Stopping;
        }
        if self.generation == Generation(0) {
            // No topology has been loaded. If the manifests are not valid, waiting does not help.
            return if self.problems.is_empty() { StackState::Starting } else { StackState::Degraded };
        }
        let mut state = ServiceState::Good;
        for (name, service) in &self.services {
            // A service that should not run is not missing, whatever the reason.
            if self.held_back(name, service).is_some() {
                continue;
            }
            state = state.max(self.service_state(name));
        }
        match state {
            ServiceState::Good => StackState::Running,
            ServiceState::OnTheWay => StackState::Starting,
            ServiceState::Bad => StackState::Degraded,
        }
    }

    /// The state of a service. During a swap, the serving instances count.
    pub fn service_state(&self, name: &ServiceName) -> ServiceState {
        let Some(service) = self.services.get(name) else { return ServiceState::Bad };
        let serving = service.serving();
        let mut state = ServiceState::Good;
        for instance in self.instances_of(name).filter(|instance| instance.id.generation == serving) {
            state = state.max(match &instance.phase {
                // Only its next shim can tell whether it is alive.
                _ if instance.phase.is_live() && instance.shim.is_away() => ServiceState::OnTheWay,
                Phase::Ready { .. } => ServiceState::Good,
                Phase::Ended(EndReason::Exit) if instance.ended_well() => ServiceState::Good,
                Phase::Ended(_) | Phase::GaveUp | Phase::Backoff { .. } => ServiceState::Bad,
                // An instance that was ready once and is not now is not just starting.
                _ if instance.ready_once || instance.failures > 0 => ServiceState::Bad,
                _ => ServiceState::OnTheWay,
            });
        }
        state
    }

    pub(super) fn view_of(&self, instance: &Instance) -> InstanceView {
        let good_end = instance.phase == Phase::Ended(EndReason::Exit) && instance.ended_well();
        let ports = instance
            .spec
            .ports
            .keys()
            .filter_map(|name| instance.port(name).map(|port| (name.clone(), port)))
            .collect();
        let waiting: Vec<WaitingOn> = match (&instance.phase, self.want(instance)) {
            (Phase::Waiting, _) => self.waiting_on(instance),
            (Phase::Ended(EndReason::Skipped), _) => self.unmet_dependencies(instance),
            (Phase::Probing { .. } | Phase::Ready { .. }, Want::Stop(_)) => {
                self.must_end_before(instance).map(WaitingOn::EndOf).into_iter().collect()
            }
            _ => Vec::new(),
        };
        let shim = if instance.phase == Phase::Waiting { None } else { self.missing_shim(instance) };
        let waiting: Vec<WaitingOn> = waiting.into_iter().chain(shim).collect();
        InstanceView {
            id: instance.id.clone(),
            invocation: instance.invocation_id(),
            phase: self.phase_name(instance),
            reason: self.reason(instance),
            end: if let Phase::Ended(reason) = instance.phase { Some(reason) } else { None },
            pid: instance.phase.process().map(|process| process.pid).filter(|pid| *pid > 0),
            ready: instance.is_ready() && !instance.shim.is_away() || good_end,
            restarts: instance.restarts,
            exit: instance.last_exit,
            ports,
            since: instance.since,
            started: instance.phase.process().map(|process| process.started),
            waiting_on: waiting.iter().map(waiting_view).collect(),
            last_probe: instance.readiness.last_failure.clone(),
            release: instance.spec.release.clone(),
            role: instance.role.filter(|_| instance.spec.release.is_some() && instance.phase.is_live()),
            description: instance.spec.description.clone(),
        }
    }

    fn reason(&self, instance: &Instance) -> Option<String> {
        let failure = || instance.last_failure.as_ref().map(Failure::to_string);
        match &instance.phase {
            Phase::Waiting | Phase::Starting { .. } => None,
            Phase::Ready { .. } | Phase::Probing { .. } if self.is_warm(&instance.id) => {
                Some("replaced, and kept for `core rollback`".into())
            }
            // Clients rely on the probes, so they are told when one could not be run.
            Phase::Ready { .. } => {
                let unasked = |tally: &Tally| tally.unasked.is_some().then(|| tally.in_words()).flatten();
                unasked(&instance.readiness).or_else(|| unasked(&instance.liveness))
            }
            Phase::Probing { .. } => instance.readiness.in_words(),
            Phase::Draining { .. } => match self.want(instance) {
                Want::Stop(reason) => Some(stop_words(reason).to_owned()),
                _ => None,
            },
            Phase::Stopping { why, .. } => Some(stop_words(*why).to_owned()),
            Phase::Backoff { .. } | Phase::GaveUp => failure(),
            Phase::Ended(EndReason::Exit) => instance.last_exit.map(|exit| exit.to_string()),
            Phase::Ended(EndReason::Stopped) => Some("stopped".into()),
            Phase::Ended(EndReason::Disabled) => Some("disabled".into()),
            Phase::Ended(EndReason::Idle) => Some("asleep; a request wakes it".into()),
            Phase::Ended(EndReason::Skipped) => {
                self.unmet_dependencies(instance).first().map(WaitingOn::message).or_else(|| Some("skipped".into()))
            }
        }
    }
}

fn waiting_view(waiting: &WaitingOn) -> WaitingView {
    let condition = if let WaitingOn::Dependency { condition, .. } = waiting { Some(condition.word()) } else { None };
    WaitingView { service: waiting.service().cloned(), condition, code: waiting.code(), message: waiting.message() }
}

fn stop_words(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Operator => "stopped by the operator",
        StopReason::Disabled => "disabled",
        StopReason::Idle => "nobody asks for it",
        StopReason::Shutdown => "the stack ends",
        StopReason::Removed => "its manifest is gone",
        StopReason::Replaced => "replaced by a newer instance",
        StopReason::ScaledDown => "fewer replicas",
        StopReason::Leftovers => "its first process ended, others of it have not",
        StopReason::NeverReady => "was not ready in time",
        StopReason::NotAlive => "failed its liveness probe",
        StopReason::NoAnswer => "the host did not say whether it started",
    }
}
