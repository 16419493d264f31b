//! The state of the engine, and the one function that changes it.
//!
//! [`Engine::step`] takes the time and an event and returns the actions to carry out. It is total: it handles any event
//! in any state, and drops an event about something that the state does not hold. After the event has been applied,
//! everything that it may have affected is looked at again: what is wanted is compared with what is, and what is
//! missing is requested (`advance`). So a first start, an edit, a crash of the supervisor and a command work the same way.

mod advance;
mod canary;
mod chronicle;
mod command;
mod compared;
mod deploys;
mod ending;
mod instance;
mod lifecycle;
mod load;
mod maintenance;
mod operation;
mod pause;
mod probing;
mod reading;
mod releases;
mod report;
mod restore;
mod rollout;
mod routing;
pub(crate) mod service;
mod shim;
mod sources;
mod stopping;
mod trials;
mod upkeep;
mod view;
mod waiting;
mod want;
mod warm;
mod why;

use std::collections::{BTreeMap, BTreeSet};

use core_manifest::{Identifier, Problem, ServiceName};

use crate::action::Action;
use crate::event::{Event, Purpose};
use crate::ids::{Generation, InstanceId};
#[cfg(feature = "mutations")]
use crate::mutation::Mutation;
use crate::phase::Phase;
use crate::time::Time;
use crate::topology::PortRange;
use chronicle::Untold;
use instance::Instance;
pub use operation::{Operation, OperationState};
use reading::Reading;
use releases::Releases;
use routing::Routing;
use service::Service;
use sources::Sources;
use trials::Trials;
use upkeep::Upkeep;
pub use view::{InstanceView, ServiceState, StackState, View, WaitingView};
pub use waiting::WaitingOn;
pub use why::WhyStep;

/// The state of a binary's folder in `.dep/`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Binary {
    /// The host was asked to prepare it.
    Asked,
    /// The folder exists.
    Present,
    /// It is not available, and why.
    Failed(String),
}

/// The stack is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Down {
    code: i32,
    /// Whether everything is killed instead of being asked to stop.
    kill: bool,
}

/// The source of what is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Basis {
    /// Nothing is known yet: running instances are left alone.
    #[default]
    Nothing,
    /// The state saved by an earlier engine, which may be outdated: running instances are kept, and nothing is
    /// started.
    Memory,
    /// The manifests were read, or are not valid; in that case the saved state counts.
    Manifests,
}

/// The state of the engine.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    now: Time,
    generation: Generation,
    basis: Basis,
    services: BTreeMap<ServiceName, Service>,
    instances: BTreeMap<InstanceId, Instance>,
    /// The dependents of each service, from every spec that counts. May list more than is true now.
    dependents: BTreeMap<ServiceName, BTreeSet<ServiceName>>,
    selected: Option<BTreeSet<ServiceName>>,
    routings: BTreeMap<ServiceName, Routing>,
    binaries: BTreeMap<String, Binary>,
    given_ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// Ports on which processes outside this stack were found.
    foreign_ports: BTreeSet<u16>,
    range: PortRange,
    next_port: u16,
    operations: BTreeMap<u64, Operation>,
    /// Number of the newest operation.
    last_operation: u64,
    reading: Reading,
    sources: Sources,
    releases: Releases,
    trials: Trials,
    upkeep: Upkeep,
    untold: Untold,
    problems: Vec<Problem>,
    down: Option<Down>,
    finished: bool,
    timers: BTreeSet<(Time, InstanceId)>,
    /// Instances to look at before the step ends.
    dirty: BTreeSet<InstanceId>,
    /// Services in which something changed during this step.
    changed: BTreeSet<ServiceName>,
    actions: Vec<Action>,
    save: bool,
    random: u64,
    #[cfg(feature = "mutations")]
    mutation: Option<Mutation>,
}

impl Engine {
    /// A new engine; `seed` feeds the random variation of backoff pauses.
    pub fn new(seed: u64) -> Self {
        Self { random: seed, ..Self::default() }
    }

    /// A new engine with a bug switched on.
    #[cfg(feature = "mutations")]
    pub fn with_mutation(seed: u64, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..Self::new(seed) }
    }

    /// Applies `event` at the time `now`, and returns the actions to carry out, in this order.
    pub fn step(&mut self, now: Time, event: &Event) -> Vec<Action> {
        self.now = self.now.max(now);
        self.take(event);
        self.fire_timers();
        self.settle();
        self.settle_held();
        self.settle_operations();
        self.changed.clear();
        self.finish();
        let mut actions = std::mem::take(&mut self.actions);
        if std::mem::take(&mut self.save) {
            actions.insert(0, Action::Save);
        }
        actions
    }

    /// Whether it is known well enough what is wanted to start anything.
    fn may_start(&self) -> bool {
        self.basis == Basis::Manifests || (self.basis == Basis::Memory && mutated!(self, StartUnheard))
    }

    /// The latest time at which `step` has to be called with a `Tick`.
    pub fn deadline(&self) -> Option<Time> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let routing = self.routings.values().filter_map(Routing::deadline).min();
        let services = self.services.values().filter_map(Service::deadline).min();
        let operation = self.operations.values().filter_map(Operation::deadline).min();
        [timer, routing, services, operation, self.trial_deadline()].into_iter().flatten().min()
    }

    /// Names an instance that neither holds a deadline nor waits for an answer although its phase is not final. There
    /// must not be one; the tests check this after every step.
    pub fn stuck(&self) -> Option<String> {
        let is_stuck = |instance: &&Instance| {
            let asked = |probe: &Option<core_manifest::spec::Probe>, tally: &crate::phase::Tally| {
                let once = |probe: &core_manifest::spec::Probe| {
                    matches!(probe.check, core_manifest::spec::Check::LogLine { .. }) && tally.successes > 0
                };
                probe.as_ref().is_none_or(|probe| tally.outstanding || tally.next.is_some() || once(probe))
            };
            match &instance.phase {
                Phase::Waiting => self.waiting_on(instance).is_empty(),
                Phase::Probing { .. } => !asked(&instance.spec.readiness, &instance.readiness),
                Phase::Ready { .. } => {
                    !asked(&instance.spec.readiness, &instance.readiness)
                        || !asked(&instance.spec.liveness, &instance.liveness)
                }
                _ => !instance.phase.is_final() && instance.deadline().is_none(),
            }
        };
        self.instances
            .values()
            .find(is_stuck)
            .map(|instance| format!("{} is stuck in {:?}", instance.id, instance.phase))
    }

    /// Whether the stack has stopped.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// The newest generation.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Restored { launched, saved, found } => self.restored(*launched, saved.as_deref(), found),
            Event::Edited { fingerprint } => self.edited(*fingerprint),
            Event::Loaded(loaded) => self.read_good(loaded),
            Event::Rejected(rejected) => self.read_bad(rejected),
            Event::PlanWanted { question } => self.read(Purpose::Plan { question: *question }),
            Event::Command { operation, command, by } => self.command(*operation, command, *by),
            Event::Prepared { folder, result } => self.prepared(folder, result),
            Event::ReleaseMade { operation, service, result } => self.release_made(*operation, service, result),
            Event::Marked { service, release } => self.marked(service, release),
            Event::Started { invocation, pid } => self.started(invocation, *pid),
            Event::StartFailed { invocation, failure } => self.start_failed(invocation, failure),
            Event::Exited { invocation, exit, leftovers } => self.exited(invocation, *exit, *leftovers),
            Event::Emptied { invocation } => self.emptied(invocation),
            Event::LineBroken { instance, line } => self.line_broken(instance, *line),
            Event::ShimStopped { instance } => self.shim_stopped(instance),
            Event::Unreached { instance, line, why } => self.unreached_by(instance, *line, why),
            Event::Adopted { instance, line, invocation, life } => {
                self.adopted(instance, *line, *invocation, life);
            }
            Event::Probed { invocation, probe, answer } => self.probed(invocation, *probe, answer),
            Event::Counted { instance, established } => self.counted(instance, *established),
            Event::Routed { service, version, result } => self.routed(service, *version, result),
            Event::Verified { service, born, reach } => self.verified(service, *born, reach),
            Event::MemoryShort => self.end_oldest_warm(),
            Event::Answered { instance, answers, errors } => self.answered(instance, *answers, *errors),
            Event::Visited { service } => self.visited(service),
            Event::Tick => {}
        }
    }

    /// Marks everything whose deadline has passed.
    fn fire_timers(&mut self) {
        while let Some((at, id)) = self.timers.first() {
            if *at > self.now {
                break;
            }
            let id = id.clone();
            self.timers.pop_first();
            if let Some(instance) = self.instances.get_mut(&id) {
                instance.timer = None;
            }
            self.dirty.insert(id);
        }
        let due = self.routings.iter().filter(|(_, routing)| routing.deadline().is_some_and(|at| at <= self.now));
        let due: Vec<ServiceName> = due.map(|(name, _)| name.clone()).collect();
        self.changed.extend(due);
        let due = self.services.iter().filter(|(_, one)| one.deadline().is_some_and(|at| at <= self.now));
        let due: Vec<ServiceName> = due.map(|(name, _)| name.clone()).collect();
        self.changed.extend(due);
        self.fire_trials();
    }

    /// Looks at everything that may have been affected, until nothing changes any more.
    fn settle(&mut self) {
        let mut settled: BTreeSet<ServiceName> = BTreeSet::new();
        let mut spread: BTreeSet<ServiceName> = std::mem::take(&mut self.changed);
        loop {
            for name in &spread {
                self.spread(name);
            }
            settled.append(&mut spread);
            while let Some(id) = self.dirty.pop_first() {
                self.advance(&id);
            }
            for name in settled.iter().chain(&self.changed).cloned().collect::<Vec<_>>() {
                self.settle_trial(&name);
                self.settle_canary_of(&name);
                self.settle_rollout(&name);
                self.settle_warm(&name);
                self.settle_roles(&name);
                self.settle_route(&name);
                self.settle_release(&name);
            }
            spread = std::mem::take(&mut self.changed);
            if spread.is_empty() && self.dirty.is_empty() {
                break;
            }
        }
        self.changed = settled;
    }

    /// Marks what depends on the state of the service: its own instances, its dependents, and its dependencies.
    fn spread(&mut self, name: &ServiceName) {
        let mut services: BTreeSet<ServiceName> = BTreeSet::from([name.clone()]);
        services.extend(self.dependents.get(name).into_iter().flatten().cloned());
        for id in self.ids_of(name) {
            services.extend(self.instances[&id].spec.depends_on.keys().cloned());
        }
        if self.is_edge(name) {
            services.extend(self.routings.keys().cloned());
        }
        for service in services {
            self.dirty.extend(self.ids_of(&service));
        }
    }

    fn finish(&mut self) {
        let Some(down) = self.down else { return };
        if self.finished || self.instances.values().any(|instance| instance.phase.is_live()) {
            return;
        }
        self.finished = true;
        self.finish_operations_of_down();
        self.save = true;
        self.actions.push(Action::Exit { code: down.code });
    }

    /// The instances of a service, ordered by slot and generation.
    fn ids_of(&self, service: &ServiceName) -> Vec<InstanceId> {
        let first = InstanceId::new(service.clone(), 0, Generation(0));
        self.instances.range(first..).take_while(|(id, _)| id.service() == service).map(|(id, _)| id.clone()).collect()
    }

    fn instances_of<'a>(&'a self, service: &'a ServiceName) -> impl Iterator<Item = &'a Instance> {
        let first = InstanceId::new(service.clone(), 0, Generation(0));
        self.instances.range(first..).take_while(move |(id, _)| id.service() == service).map(|(_, instance)| instance)
    }

    fn set_phase(&mut self, id: &InstanceId, phase: Phase) {
        let now = self.now;
        if let Some(instance) = self.instances.get_mut(id) {
            if instance.phase.name() != phase.name() {
                instance.since = now;
            }
            instance.phase = phase;
            self.dirty.insert(id.clone());
            self.changed.insert(id.service().clone());
        }
    }

    /// Updates the timer of an instance after it changed.
    fn retime(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let deadline = instance.deadline();
        if deadline == instance.timer {
            return;
        }
        if let Some(before) = instance.timer {
            self.timers.remove(&(before, id.clone()));
        }
        instance.timer = deadline;
        if let Some(at) = deadline {
            self.timers.insert((at, id.clone()));
        }
    }

    fn remove_instance(&mut self, id: &InstanceId) {
        if let Some(instance) = self.instances.remove(id) {
            if let Some(at) = instance.timer {
                self.timers.remove(&(at, id.clone()));
            }
            self.changed.insert(id.service().clone());
            // The instances that waited for its slot, its port or its exit.
            let waiting: Vec<InstanceId> =
                instance.spec.depends_on.keys().flat_map(|service| self.ids_of(service)).collect();
            self.dirty.extend(waiting);
            if instance.spec.ports.values().any(|port| port.number.is_some() && !port.hold) {
                let waiting = self.instances.values().filter(|other| other.phase == Phase::Waiting);
                self.dirty.extend(waiting.map(|other| other.id.clone()).collect::<Vec<_>>());
            }
        }
    }

    #[cfg(feature = "mutations")]
    fn mutated(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// Whether a named bug is switched on. Always false without the feature.
macro_rules! mutated {
    ($engine:expr, $name:ident) => {{
        #[cfg(feature = "mutations")]
        let is_on = $engine.mutated($crate::mutation::Mutation::$name);
        #[cfg(not(feature = "mutations"))]
        let is_on = false;
        is_on
    }};
}
use mutated;
