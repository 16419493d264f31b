//! The promises, as checks of what the engine does against what is true.

mod actions;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_engine::action::{Action, Role, RouteTable, StartOrder, Target};
use core_engine::event::{Answer, Command, Event, Life, Loaded, ProbeKind, Purpose, Reach, Unavailable};
use core_engine::exit::Exit;
use core_engine::phase::PhaseName;
use core_engine::plan::Change;
use core_engine::{Generation, InstanceId, InvocationId, Time};
use core_manifest::spec::{Check, Condition, Restart, Strategy};
use core_manifest::{Identifier, ServiceName, ServiceSpec};

use super::World;

/// What the engine has been told, kept apart from what it made of it.
#[derive(Default)]
pub(crate) struct Promises {
    /// Good answers in a row.
    successes: BTreeMap<InvocationId, u32>,
    /// The trials before the event.
    tried: BTreeSet<ServiceName>,
    /// Invocations that had as many as it takes.
    good_probe: BTreeSet<InvocationId>,
    /// Bad answers about its life in a row, and invocations that had as many as it takes.
    failures: BTreeMap<InvocationId, u32>,
    not_alive: BTreeSet<InvocationId>,
    /// When an invocation last answered whether it is ready, and for how long it could not be asked before.
    answered: BTreeMap<InvocationId, (Time, Duration)>,
    /// An answer that counts for nothing, and the phase in which it comes.
    unasked: Option<(InstanceId, PhaseName)>,
    started: BTreeMap<InvocationId, Time>,
    ended: BTreeMap<InvocationId, Exit>,
    /// Services of which somebody wanted something else, and that have not settled since.
    touched: BTreeSet<ServiceName>,
    /// Previews that sleep.
    asleep: BTreeSet<ServiceName>,
    /// Services that the operator stopped.
    stopped: BTreeSet<ServiceName>,
    /// Instances whose service was taken out of the stack; it may be back, and they are not.
    removed: BTreeSet<InstanceId>,
    /// Services that somebody asked for since their last start.
    asked_for: BTreeSet<ServiceName>,
    /// Invocations that were asked to end.
    asked_to_end: BTreeSet<InvocationId>,
    draining_since: BTreeMap<InstanceId, Time>,
    /// New versions that the edge did not reach when it was last asked.
    astray: BTreeSet<(ServiceName, Generation)>,
    killing: bool,
    /// Sockets that are held open, by service and port.
    held: BTreeSet<(ServiceName, Identifier)>,
    /// Commands that were not accepted or refused yet, by operation.
    unanswered: BTreeMap<u64, Command>,
    /// The binary whose source has just failed, where it has another one.
    has_other_source: Option<String>,
    /// The manifests were read, or found broken, in this life of the engine.
    heard: bool,
    /// Instances that were kept warm, and did not go back to serving since: they end when that is over.
    warm: BTreeSet<InstanceId>,
    /// The part that each instance was last told.
    roles: BTreeMap<InstanceId, Role>,
    /// Nothing but probes may happen.
    pub(crate) calm: bool,
}

/// The socket that a service holds stays open while anything of it lives that was made to hold it.
fn check_held(world: &World, ports: &BTreeSet<(ServiceName, Identifier)>) -> Result<(), String> {
    for id in world.live() {
        let Some(spec) = world.engine.spec(&id) else { continue };
        if let Some((port, _)) =
            spec.held_ports().find(|(port, _)| !ports.contains(&(id.service().clone(), (*port).clone())))
        {
            return Err(format!("the socket of {id} for {port} is closed, and it lives"));
        }
    }
    Ok(())
}

impl Promises {
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// A new supervisor has a new patience: what it drains it drains from now on.
    pub(crate) fn supervisor_is_new(&mut self) {
        self.draining_since.clear();
        self.astray.clear();
        self.unanswered.clear();
    }

    /// Takes note of what the engine is about to be told.
    pub(crate) fn before(&mut self, world: &World, event: &Event) {
        self.note_unasked(world, event);
        self.tried = world.engine.trials().into_keys().collect();
        match event {
            Event::Probed { invocation, probe: ProbeKind::Readiness, answer } => {
                let in_a_row = self.successes.entry(invocation.clone()).or_default();
                match answer {
                    Answer::Good => *in_a_row += 1,
                    Answer::Bad(_) => *in_a_row = 0,
                    Answer::Unasked(_) => {}
                }
                let probe = world.engine.spec(&invocation.instance).and_then(|spec| spec.readiness.as_ref());
                if probe.is_some_and(|probe| *in_a_row >= probe.success_threshold) {
                    self.good_probe.insert(invocation.clone());
                }
            }
            Event::Probed { invocation, probe: ProbeKind::Liveness, answer } => {
                let in_a_row = self.failures.entry(invocation.clone()).or_default();
                match answer {
                    Answer::Good => *in_a_row = 0,
                    Answer::Bad(_) => *in_a_row += 1,
                    Answer::Unasked(_) => {}
                }
                let probe = world.engine.spec(&invocation.instance).and_then(|spec| spec.liveness.as_ref());
                if probe.is_some_and(|probe| *in_a_row >= probe.failure_threshold) {
                    self.not_alive.insert(invocation.clone());
                }
            }
            Event::Started { invocation, .. } => {
                // It may have been found running before its own word came.
                self.started.entry(invocation.clone()).or_insert(world.now);
            }
            Event::Exited { invocation, exit, .. } => {
                self.ended.insert(invocation.clone(), *exit);
            }
            Event::Adopted { instance, invocation, life, .. } => {
                let invocation = InvocationId { instance: instance.clone(), number: *invocation };
                self.found(&invocation, life, world.now);
                // It was asked to end while nobody looked after it; whoever does now passes that on.
                if world.engine.phase(instance) == Some(PhaseName::Stopping) {
                    self.asked_to_end.insert(invocation);
                }
            }
            Event::Restored { found, .. } => {
                self.heard = false;
                for one in found {
                    let invocation = InvocationId { instance: one.instance.clone(), number: one.invocation };
                    self.found(&invocation, &one.life, world.now);
                }
            }
            Event::Verified { service, born, reach } => {
                let version = (service.clone(), *born);
                if matches!(reach, Reach::Astray(_)) {
                    self.astray.insert(version);
                } else {
                    self.astray.remove(&version);
                }
            }
            Event::Loaded(loaded) => {
                self.heard = true;
                if !matches!(world.files.under_way, Some(Purpose::Plan { .. })) {
                    self.note_changes(world, loaded);
                }
                self.note_unanswered(world);
            }
            Event::Rejected(_) => {
                self.heard = true;
                self.note_unanswered(world);
            }
            Event::Prepared { folder, result: Err(Unavailable { is_final: false, .. }) } => {
                let choice = world.sources.get(folder);
                self.has_other_source = choice.filter(|choice| choice.index + 1 < choice.count).map(|_| folder.clone());
            }
            Event::Command { operation, command, .. } => {
                self.unanswered.insert(*operation, command.clone());
                self.note_command(world, command);
            }
            _ => {}
        }
    }

    /// What was asked for before the manifests were read is carried out now.
    fn note_unanswered(&mut self, world: &World) {
        for command in self.unanswered.clone().values() {
            self.note_command(world, command);
        }
    }

    fn note_command(&mut self, world: &World, command: &Command) {
        match command {
            Command::Stop { services } | Command::Restart { services } | Command::Start { services } => {
                let stops = matches!(command, Command::Stop { .. });
                for service in services {
                    if stops {
                        self.stopped.insert(service.clone());
                    } else {
                        self.stopped.remove(service);
                    }
                }
                self.touch(services.iter().cloned());
                let all = world.topology.with_dependencies(services);
                self.touch(all.into_iter());
            }
            Command::Scale { service, .. } | Command::EndTrial { service } => {
                self.touch(std::iter::once(service.clone()));
            }
            // One that was stopped stays so.
            Command::Renew { service } => self.touch(world.topology.with_dependencies([service]).into_iter()),
            // Which instances run, and which of them the edge knows, is the same in maintenance.
            Command::Maintain { .. }
            | Command::Apply
            | Command::Deploy { .. }
            | Command::Rollback { .. }
            | Command::Promote { .. } => {}
            Command::Up { .. } | Command::Down | Command::Kill => {
                self.killing |= *command == Command::Kill;
                self.killing &= !matches!(command, Command::Up { .. });
                self.touch(world.topology.services.keys().cloned());
                self.touch(
                    world.engine.instances().map(|(id, ..)| id.service().clone()).collect::<Vec<_>>().into_iter(),
                );
            }
        }
    }

    /// An answer that counts for nothing: the time before it is none of the service's.
    fn note_unasked(&mut self, world: &World, event: &Event) {
        self.unasked = None;
        let Event::Probed { invocation, probe, answer } = event else { return };
        let is_unasked = matches!(answer, Answer::Unasked(_));
        if is_unasked {
            let phase = world.engine.phase(&invocation.instance);
            self.unasked = phase.map(|phase| (invocation.instance.clone(), phase));
        }
        if *probe == ProbeKind::Readiness {
            let begun = self.started.get(invocation).copied().unwrap_or(world.now);
            let (last, spared) = self.answered.entry(invocation.clone()).or_insert((begun, Duration::ZERO));
            if is_unasked {
                *spared += world.now - *last;
            }
            *last = world.now;
        }
    }

    fn found(&mut self, invocation: &InvocationId, life: &Life, now: Time) {
        match life {
            Life::Running { .. } | Life::Unattended => {
                self.started.entry(invocation.clone()).or_insert(now);
            }
            Life::Exited { exit, .. } | Life::Recorded { exit } => {
                self.started.entry(invocation.clone()).or_insert(now);
                self.ended.insert(invocation.clone(), *exit);
            }
            Life::Idle => {}
        }
    }

    fn touch(&mut self, services: impl Iterator<Item = ServiceName>) {
        for service in services {
            self.touched.insert(service.clone());
            self.asked_for.insert(service);
        }
    }

    fn note_changes(&mut self, world: &World, loaded: &Loaded) {
        let instances = world.engine.instances().map(|(id, ..)| id);
        self.removed.extend(instances.filter(|id| !loaded.topology.services.contains_key(id.service())).cloned());
        let plan =
            world.engine.plan_for(&loaded.topology, world.files.under_way.as_ref().is_some_and(Purpose::is_asked));
        for (name, planned) in plan.services {
            let refreshed =
                planned.reasons.iter().any(|reason| reason.contains("replicas") || reason.contains("disabled"));
            match planned.change {
                Change::Keep => {}
                Change::Refresh if !refreshed => {
                    self.asked_for.insert(name);
                }
                _ => self.touch(std::iter::once(name)),
            }
        }
    }

    /// After chaos: no socket is held that nothing needs.
    pub(crate) fn check_none_held_in_vain(&self, world: &World) -> Result<(), String> {
        let needs = |(service, port): &(ServiceName, Identifier)| {
            let spec = world.topology.services.get(service);
            spec.is_some_and(|spec| spec.held_ports().any(|(held, _)| held == port))
        };
        match self.held.iter().find(|held| !needs(held)) {
            Some((service, port)) => Err(format!("the socket of {service} for {port} is held in vain")),
            None => Ok(()),
        }
    }

    /// Whether every command was answered.
    pub(crate) fn check_answered(&self) -> Result<(), String> {
        match self.unanswered.iter().next() {
            Some((operation, command)) => Err(format!("operation {operation} ({command:?}) is never answered")),
            None => Ok(()),
        }
    }

    /// Checks what the engine made of an event.
    pub(crate) fn after(&mut self, world: &World, event: &Event, actions: &[Action]) -> Result<(), String> {
        if !self.astray.is_empty() {
            self.forget_astray(world);
        }
        // A trial is over, or sleeps: that is a cause.
        let trials = world.engine.trials();
        let over = world.topology.services.keys().filter(|name| name.is_trial() && !trials.contains_key(*name));
        self.touch(over.cloned());
        // Where no edge is, nobody is told by a route that it sleeps: it is one when it falls asleep, and no longer.
        let asleep = trials.keys().filter(|name| world.engine.is_asleep(name)).cloned().collect();
        let before = std::mem::replace(&mut self.asleep, asleep);
        let fell = self.asleep.difference(&before).cloned().collect::<Vec<_>>();
        self.touch(fell.into_iter());
        for action in actions {
            if let Action::Route(table) = action
                && table.trial.as_ref().is_some_and(|trial| !trial.is_open || trial.is_asleep)
            {
                self.touch(std::iter::once(table.service.clone()));
            }
        }
        for action in actions {
            match action {
                Action::Start(order) => self.check_start(world, order)?,
                Action::Signal { invocation, .. }
                | Action::ShutdownCommand { invocation, .. }
                | Action::Kill { invocation } => self.check_stop(world, invocation)?,
                Action::Route(table) => self.check_route(world, table)?,
                Action::Hold { ports } => {
                    check_held(world, ports)?;
                    self.held.clone_from(ports);
                }
                Action::TellRole { instance, role, .. } => {
                    self.roles.insert(instance.clone(), *role);
                }
                Action::Accepted { operation } | Action::Refused { operation, .. } => {
                    self.unanswered.remove(operation);
                }
                _ => {}
            }
            if self.calm && !matches!(action, Action::Probe { .. }) {
                let action: String = format!("{action:?}").chars().take(80).collect();
                return Err(format!("calm is over without a cause: {action}"));
            }
        }
        self.check_state(world, event)
    }
}
