//! The promises, as checks of what the engine does against what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_engine::action::{Action, RouteTable, StartOrder, Target};
use core_engine::event::{Answer, Command, Event, Life, Loaded, ProbeKind, Reach};
use core_engine::exit::Exit;
use core_engine::phase::PhaseName;
use core_engine::plan::Change;
use core_engine::{Generation, InstanceId, InvocationId, Time};
use core_manifest::spec::{Check, Condition, Kind, Restart, Strategy};
use core_manifest::{ServiceName, ServiceSpec};

use super::World;

/// What the engine has been told, kept apart from what it made of it.
#[derive(Default)]
pub(crate) struct Promises {
    /// Good answers in a row.
    successes: BTreeMap<InvocationId, u32>,
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
    /// Services that the operator stopped.
    stopped: BTreeSet<ServiceName>,
    /// Services that somebody asked for since their last start.
    asked_for: BTreeSet<ServiceName>,
    /// Invocations that were asked to end.
    asked_to_end: BTreeSet<InvocationId>,
    draining_since: BTreeMap<InstanceId, Time>,
    /// New versions that the edge did not reach when it was last asked.
    astray: BTreeSet<(ServiceName, Generation)>,
    killing: bool,
    /// The manifests were read, or found broken, in this life of the engine.
    heard: bool,
    /// Nothing but probes may happen.
    pub(crate) calm: bool,
}

impl Promises {
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// A new supervisor has a new patience: what it drains it drains from now on.
    pub(crate) fn supervisor_is_new(&mut self) {
        self.draining_since.clear();
        self.astray.clear();
    }

    /// Takes note of what the engine is about to be told.
    pub(crate) fn before(&mut self, world: &World, event: &Event) {
        self.note_unasked(world, event);
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
                self.started.insert(invocation.clone(), world.now);
            }
            Event::Exited { invocation, exit, .. } => {
                self.ended.insert(invocation.clone(), *exit);
            }
            Event::Adopted { instance, invocation, life, .. } => {
                let invocation = InvocationId { instance: instance.clone(), number: *invocation };
                self.found(&invocation, life, world.now);
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
                self.note_changes(world, loaded);
            }
            Event::Rejected(_) => self.heard = true,
            Event::Command { command, .. } => match command {
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
                Command::Scale { service, .. } => self.touch(std::iter::once(service.clone())),
                Command::Settle => {}
                Command::Up { .. } | Command::Down | Command::Kill => {
                    self.killing |= *command == Command::Kill;
                    self.killing &= !matches!(command, Command::Up { .. });
                    self.touch(world.topology.services.keys().cloned());
                    self.touch(
                        world.engine.instances().map(|(id, ..)| id.service().clone()).collect::<Vec<_>>().into_iter(),
                    );
                }
            },
            _ => {}
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
        let plan = world.engine.plan_for(&loaded.topology, loaded.again);
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

    /// Checks what the engine made of an event.
    pub(crate) fn after(&mut self, world: &World, event: &Event, actions: &[Action]) -> Result<(), String> {
        if !self.astray.is_empty() {
            self.forget_astray(world);
        }
        for action in actions {
            match action {
                Action::Start(order) => self.check_start(world, order)?,
                Action::Signal { invocation, .. }
                | Action::ShutdownCommand { invocation, .. }
                | Action::Kill { invocation } => self.check_stop(world, invocation)?,
                Action::Route(table) => self.check_route(world, table)?,
                _ => {}
            }
            if self.calm && !matches!(action, Action::Probe { .. }) {
                let action: String = format!("{action:?}").chars().take(80).collect();
                return Err(format!("calm is over without a cause: {action}"));
            }
        }
        self.check_state(world, event)
    }

    fn check_state(&mut self, world: &World, event: &Event) -> Result<(), String> {
        if world.engine.finished() {
            return Ok(());
        }
        if let Some((id, before)) = self.unasked.take() {
            let after = world.engine.phase(&id);
            if matches!(
                (before, after),
                (PhaseName::Ready, Some(PhaseName::Probing)) | (PhaseName::Probing, Some(PhaseName::Ready))
            ) {
                return Err(format!("{id} was {} and is not any more, because it could not be asked", before.word()));
            }
        }
        if let Some(deadline) = world.engine.deadline()
            && deadline <= world.now
        {
            let event: String = format!("{event:?}").chars().take(80).collect();
            return Err(format!("a deadline of {deadline} is left over at {} after {event}", world.now));
        }
        // What is asked again and again is looked at now and then: nothing leaves the state that it would find.
        let is_frequent = matches!(event, Event::Tick | Event::Probed { .. } | Event::Counted { .. });
        if (!is_frequent || world.steps.is_multiple_of(16))
            && let Some(stuck) = world.engine.stuck()
        {
            return Err(stuck);
        }
        for (id, phase, number) in world.engine.instances() {
            let is_ready = phase == PhaseName::Ready;
            if phase == PhaseName::Draining {
                self.draining_since.entry(id.clone()).or_insert(world.now);
            } else if matches!(phase, PhaseName::Ready | PhaseName::Probing) && !self.draining_since.is_empty() {
                self.draining_since.remove(id);
            }
            if !is_ready && phase != PhaseName::GaveUp {
                continue;
            }
            let Some(spec) = world.engine.spec(id) else { continue };
            let has_basis = || self.good_probe.contains(&InvocationId { instance: id.clone(), number });
            if is_ready && spec.readiness.is_some() && !has_basis() && !self.was_refreshed(id) {
                return Err(format!("{id}.{number} counts as ready and no probe of it succeeded"));
            }
            let availability = &spec.availability;
            let never = availability.max_restarts == 0
                && matches!(availability.restart, Restart::Always | Restart::OnFailure)
                && !self.asked_for.contains(id.service());
            if phase == PhaseName::GaveUp && never {
                return Err(format!("{id} was given up although it is to be restarted for ever"));
            }
        }
        if !world.engine.is_stopping() {
            let touched = std::mem::take(&mut self.touched);
            self.touched = touched.into_iter().filter(|service| !self.has_settled(world, service)).collect();
        }
        Ok(())
    }

    /// Whether a service is as it is wanted: from now on nothing of it may be asked to end without a cause.
    fn has_settled(&self, world: &World, service: &ServiceName) -> bool {
        let spec = world.topology.services.get(service);
        if self.stopped.contains(service) || spec.is_none_or(|spec| spec.disabled) {
            return false;
        }
        let mut generation = None;
        let replicas = world.engine.replicas(service).unwrap_or(0);
        world.engine.instances().filter(|(id, ..)| id.service() == service).all(|(id, phase, _)| {
            phase == PhaseName::Ready
                && id.slot.replica < replicas
                && *generation.get_or_insert(id.generation) == id.generation
        })
    }

    /// A service whose probe was edited may be ready by the one it had before.
    fn was_refreshed(&self, id: &InstanceId) -> bool {
        self.asked_for.contains(id.service())
    }

    /// Promise 2: what an instance depends on holds when it is first started. And: no restart against the policy.
    fn check_start(&mut self, world: &World, order: &StartOrder) -> Result<(), String> {
        let id = &order.invocation.instance;
        if !self.heard {
            return Err(format!("{id} is started before anybody has looked whether it is still wanted"));
        }
        let asked_for = self.asked_for.remove(id.service());
        if order.invocation.number == 1 {
            for (service, condition) in &order.spec.depends_on {
                self.check_dependency(world, order, service, *condition)?;
            }
            return Ok(());
        }
        let before = InvocationId { instance: id.clone(), number: order.invocation.number - 1 };
        let Some(exit) = self.ended.get(&before) else { return Ok(()) };
        let succeeded = exit.code().is_some_and(|code| order.spec.is_success(code));
        let allowed = match order.spec.availability.restart {
            Restart::Always => true,
            Restart::OnFailure => !succeeded || self.not_alive.contains(&before) || self.asked_to_end.contains(&before),
            Restart::No | Restart::ExitOnFailure => self.asked_to_end.contains(&before),
        };
        if allowed || asked_for || self.touched.contains(id.service()) {
            return Ok(());
        }
        Err(format!("{} is started although its policy forbids it after {exit}", order.invocation))
    }

    fn check_dependency(
        &self,
        world: &World,
        order: &StartOrder,
        service: &ServiceName,
        condition: Condition,
    ) -> Result<(), String> {
        // An older instance may be started again after what it depended on was taken out of the stack.
        if !world.topology.services.contains_key(service) {
            return Ok(());
        }
        let mut slots: BTreeMap<u32, bool> = BTreeMap::new();
        for (id, phase, number) in world.engine.instances().filter(|(id, ..)| id.service() == service) {
            let of_instance = |all: &BTreeMap<InvocationId, Time>| all.keys().any(|one| &one.instance == id);
            let invocation = InvocationId { instance: id.clone(), number };
            let code = self.ended.get(&invocation).and_then(|exit| exit.code());
            let holds = match condition {
                Condition::ProcessStarted => of_instance(&self.started),
                Condition::ProcessHealthy => {
                    phase == PhaseName::Ready && (self.good_probe.contains(&invocation) || self.was_refreshed(id))
                }
                Condition::ProcessLogReady => self.good_probe.iter().any(|one| &one.instance == id),
                Condition::ProcessCompleted => matches!(phase, PhaseName::Ended | PhaseName::GaveUp),
                Condition::ProcessCompletedSuccessfully => {
                    phase == PhaseName::Ended
                        && world.engine.spec(id).is_some_and(|spec| code.is_some_and(|code| spec.is_success(code)))
                }
            };
            // A slot that is on its way out does not count.
            if world.engine.replicas(service).is_some_and(|replicas| id.slot.replica < replicas) {
                *slots.entry(id.slot.replica).or_default() |= holds;
            }
        }
        if !slots.is_empty() && slots.values().all(|holds| *holds) {
            return Ok(());
        }
        Err(format!("{} is started before {service} is {}", order.invocation, condition.word()))
    }

    /// What a successor of an instance needs and is not there, where nothing but the successor is a reason to end it.
    fn successor_lacks(&self, world: &World, id: &InstanceId) -> Option<String> {
        let name = id.service();
        let spec = world.topology.services.get(name)?;
        let replicas = world.engine.replicas(name).unwrap_or(0);
        let other_reason = world.engine.is_stopping()
            || self.stopped.contains(name)
            || spec.disabled
            || spec.update.strategy != Strategy::Restart
            || id.slot.replica >= replicas
            || self.draining_since.contains_key(id);
        let newest = world.engine.instances().filter(|(other, ..)| other.service() == name).map(|(other, ..)| other);
        let newest = newest.max_by_key(|other| other.generation)?;
        // One between the two was reason enough, and what it needed was there.
        let is_between = |other: &InstanceId| {
            other.service() == name && id.generation < other.generation && other.generation < newest.generation
        };
        let was_condemned = world.engine.instances().any(|(other, ..)| is_between(other));
        if other_reason || was_condemned || newest.generation == id.generation {
            return None;
        }
        let folders = world.engine.spec(newest)?.binaries.values().filter_map(|binary| binary.folder.clone());
        folders.into_iter().find(|folder| !world.present.contains(folder))
    }

    /// Promise 1: nobody is asked to end without a cause. Promise 4: nobody while the edge may send requests, or while
    /// connections are open and there is time. Promise 2: dependents first.
    fn check_stop(&mut self, world: &World, invocation: &InvocationId) -> Result<(), String> {
        let id = &invocation.instance;
        let again = !self.asked_to_end.insert(invocation.clone());
        let Some(spec) = world.engine.spec(id) else { return Ok(()) };
        let has_ended = self.ended.contains_key(invocation);
        let not_alive = self.not_alive.contains(invocation);
        let since = self.started.get(invocation).copied();
        // Time in which it could not be asked is not held against it.
        let spared = self.answered.get(invocation).map_or(Duration::ZERO, |(_, spared)| *spared);
        let patience = spec.update.ready.min(Duration::from_secs(8));
        let never_ready = !self.good_probe.contains(invocation)
            && since.is_none_or(|since| (world.now - since).saturating_sub(spared) >= patience);
        let failed = has_ended || not_alive || never_ready;
        if !failed && !again && !self.touched.contains(id.service()) {
            return Err(format!("{invocation} is asked to end without a cause"));
        }
        if failed || again || self.killing {
            return Ok(());
        }
        if let Some(folder) = self.successor_lacks(world, id) {
            return Err(format!("{id} is asked to end before its successor has {folder}"));
        }
        let patience = self.draining_since.get(id).map(|since| *since + spec.update.drain);
        let over = patience.is_some_and(|until| until <= world.now);
        let edge_lives =
            world.live().iter().any(|id| world.engine.spec(id).is_some_and(|spec| spec.kind == Kind::Caddy));
        let is_routed =
            world.routes.get(id.service()).is_some_and(|all| all.iter().any(|target| &target.instance == id));
        if edge_lives && is_routed && !over {
            return Err(format!("{id} is asked to end while the edge sends requests to it"));
        }
        let served = is_routed || self.draining_since.contains_key(id);
        let candidate = world.engine.phase(id) == Some(PhaseName::Stopping) && !self.draining_since.contains_key(id);
        if edge_lives && served && !over && !candidate && world.is_connected(id) {
            return Err(format!("{id} is asked to end while connections to it are open"));
        }
        if world.engine.is_stopping() {
            let live = world.live();
            let dependent = live.iter().find(|other| {
                let needs = |spec: &std::sync::Arc<ServiceSpec>| spec.depends_on.contains_key(id.service());
                *other != id && world.engine.spec(other).is_some_and(needs)
            });
            if let Some(dependent) = dependent {
                return Err(format!("{id} is asked to end before {dependent}, which depends on it"));
            }
        }
        Ok(())
    }

    /// Promise 4: the edge is only told of instances that are ready.
    fn check_route(&self, world: &World, table: &RouteTable) -> Result<(), String> {
        let before = world.routes.get(&table.service);
        for target in &table.targets {
            let known = before.is_some_and(|all| all.contains(target));
            let ready = world.engine.phase(&target.instance) == Some(PhaseName::Ready);
            if !known && !ready && !world.engine.instances().any(|(id, _, number)| id == &target.instance && number > 1)
            {
                return Err(format!("the edge is sent to {}, which is not ready", target.instance));
            }
        }
        let any_ready =
            table.targets.iter().any(|target| world.engine.phase(&target.instance) == Some(PhaseName::Ready));
        let others_ready = before
            .is_some_and(|all| all.iter().any(|target| world.engine.phase(&target.instance) == Some(PhaseName::Ready)));
        if !any_ready && others_ready && !self.touched.contains(&table.service) {
            return Err(format!("the edge is sent away from every ready instance of {}", table.service));
        }
        self.check_share(world, table)
    }

    /// An edge that is down, or is not to be asked, says nothing; and what was decided then stays decided.
    fn forget_astray(&mut self, world: &World) {
        let is_edge = |id: &InstanceId| world.engine.spec(id).is_some_and(|spec| spec.kind == Kind::Caddy);
        let may_be_asked = |service: &ServiceName| {
            let probe = world.topology.services.get(service).and_then(|spec| spec.readiness.as_ref());
            probe.is_some_and(|probe| matches!(probe.check, Check::Http { .. }))
        };
        let is_there = world.engine.instances().any(|(id, phase, _)| phase == PhaseName::Ready && is_edge(id));
        self.astray.retain(|(service, _)| is_there && may_be_asked(service));
    }

    /// Promise 9: what the edge does not reach gets no more of the requests, as long as what served before is there.
    fn check_share(&self, world: &World, table: &RouteTable) -> Result<(), String> {
        let Some(before) = world.routes.get(&table.service) else { return Ok(()) };
        let of = |generation: Generation, targets: &[Target]| {
            let new = targets.iter().filter(|target| target.instance.generation == generation).count();
            (new, targets.len().max(1))
        };
        for (_, born) in self.astray.iter().filter(|(service, _)| *service == table.service) {
            let ((now, all), (then, all_then)) = (of(*born, &table.targets), of(*born, before));
            let serves = before.iter().any(|target| {
                target.instance.generation < *born && world.engine.phase(&target.instance) == Some(PhaseName::Ready)
            });
            if serves && now * all_then > then * all && then > 0 {
                return Err(format!("the edge gets more of {}@{born}, which it does not reach", table.service));
            }
        }
        Ok(())
    }
}
