//! The promises about the state of the engine after each step.

use super::*;

impl Promises {
    pub(super) fn check_state(&mut self, world: &World, event: &Event) -> Result<(), String> {
        if world.engine.finished() {
            return Ok(());
        }
        if let Some(folder) = self.has_other_source.take() {
            let view = world.engine.view();
            let mut waiting = view.instances.iter().flat_map(|one| &one.waiting_on);
            let given_up = format!(".dep/{folder} is not available");
            if waiting.any(|waiting| waiting.message.starts_with(&given_up)) {
                return Err(format!("{folder} is given up, and has another source"));
            }
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
            if phase == PhaseName::Warm {
                self.warm.insert(id.clone());
                if self.roles.get(id) != Some(&Role::Warm) {
                    return Err(format!("{id} is warm, and was not told"));
                }
            } else if is_ready
                && world.routes.get(id.service()).is_some_and(|all| all.iter().any(|one| &one.instance == id))
            {
                self.warm.remove(id);
            }
            if phase == PhaseName::Draining {
                self.draining_since.entry(id.clone()).or_insert(world.now);
            } else if matches!(phase, PhaseName::Ready | PhaseName::Probing | PhaseName::Warm)
                && !self.draining_since.is_empty()
            {
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
        let all = world.engine.instances().filter(|(id, ..)| id.service() == service);
        all.filter(|(_, phase, _)| *phase != PhaseName::Warm).all(|(id, phase, _)| {
            phase == PhaseName::Ready
                && id.slot.replica < replicas
                && *generation.get_or_insert(id.generation) == id.generation
        })
    }

    /// A service whose probe was edited may be ready by the one it had before.
    pub(super) fn was_refreshed(&self, id: &InstanceId) -> bool {
        self.asked_for.contains(id.service())
    }
}
