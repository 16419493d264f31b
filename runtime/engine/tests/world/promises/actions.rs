//! The promises about what the engine has done: starts, ends, and where the edge is sent.

use super::*;

impl Promises {
    /// Promise 2: what an instance depends on holds when it is first started. And: no restart against the policy.
    pub(super) fn check_start(&mut self, world: &World, order: &StartOrder) -> Result<(), String> {
        let id = &order.invocation.instance;
        if !self.heard {
            return Err(format!("{id} is started before anybody has looked whether it is still wanted"));
        }
        // It may end in the same step.
        let is_tried = self.tried.contains(id.service()) || world.engine.trials().contains_key(id.service());
        if id.service().is_trial() && !is_tried {
            return Err(format!("{id} is started, and that trial has ended"));
        }
        let asked_for = self.asked_for.remove(id.service());
        if order.invocation.number == 1 {
            for (service, condition) in &order.spec.depends_on {
                self.check_dependency(world, order, service, *condition)?;
            }
            return Ok(());
        }
        if self.warm.contains(id) {
            return Err(format!("{} is started, and {id} was only kept warm", order.invocation));
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
            || self.removed.contains(id)
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
    pub(super) fn check_stop(&mut self, world: &World, invocation: &InvocationId) -> Result<(), String> {
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
        if !failed && !again && !self.touched.contains(id.service()) && !self.warm.contains(id) {
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
        let edge_lives = world.live().iter().any(|id| world.engine.spec(id).is_some_and(|spec| spec.kind.is_edge()));
        let is_routed = world.is_routed(id);
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
    pub(super) fn check_route(&self, world: &World, table: &RouteTable) -> Result<(), String> {
        let before = world.routes.get(&table.service);
        for target in &table.targets {
            if world.engine.phase(&target.instance) == Some(PhaseName::Warm) {
                return Err(format!("the edge is sent to {}, which is only kept warm", target.instance));
            }
            let known = before.is_some_and(|all| all.contains(target));
            let ready = world.engine.phase(&target.instance) == Some(PhaseName::Ready);
            if !known && !ready && !world.engine.instances().any(|(id, _, number)| id == &target.instance && number > 1)
            {
                return Err(format!("the edge is sent to {}, which is not ready", target.instance));
            }
        }
        for target in table.former.iter().flat_map(|former| &former.targets) {
            let phase = world.engine.phase(&target.instance);
            if !matches!(phase, Some(PhaseName::Warm | PhaseName::Ready)) || table.targets.contains(target) {
                return Err(format!("old pages are sent to {}, which is {phase:?}", target.instance));
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
    pub(super) fn forget_astray(&mut self, world: &World) {
        let is_edge = |id: &InstanceId| world.engine.spec(id).is_some_and(|spec| spec.kind.is_edge());
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
