//! Reports of the host about processes, shims and binaries.

use super::{Engine, mutated};
use crate::action::Action;
use crate::exit::{Exit, Failure};
use crate::ids::{InstanceId, InvocationId};
use crate::phase::{Drain, Phase, Process, Stop};

impl Engine {
    /// The instance, if the report is about its current invocation and a process of it may be alive.
    fn present(&self, invocation: &InvocationId) -> Option<InstanceId> {
        let instance = self.instances.get(&invocation.instance)?;
        let is_present = instance.invocation == invocation.number || mutated!(self, ForgetInvocation);
        (is_present && instance.phase.is_live()).then(|| invocation.instance.clone())
    }

    pub(super) fn started(&mut self, invocation: &InvocationId, pid: u32) {
        let Some(id) = self.present(invocation) else { return };
        let now = self.now;
        let Some(instance) = self.instances.get_mut(&id) else { return };
        instance.started_once = true;
        instance.lacks = 0;
        self.changed.insert(id.service().clone());
        // The start was given up on; the kill that was sent still reaches it.
        if !matches!(instance.phase, Phase::Starting { .. }) {
            return;
        }
        let process = Process { pid, started: now };
        let by = instance.spec.readiness.as_ref().map(|probe| now + probe.initial_delay + instance.spec.update.ready);
        let has_probe = instance.spec.readiness.is_some();
        // A candidate gets a lower CPU priority than the instances that serve.
        if instance.candidate {
            self.actions.push(Action::Yield { pid, yields: true });
        }
        self.set_phase(&id, Phase::Probing { process, by });
        self.begin_probes(&id);
        if !has_probe {
            self.became_ready(&id);
        }
    }

    pub(super) fn start_failed(&mut self, invocation: &InvocationId, failure: &Failure) {
        let Some(id) = self.present(invocation) else { return };
        self.note_failure(&id, failure.clone());
        if let Failure::PortTaken { port, .. } = failure {
            self.foreign_ports.insert(*port);
            // An instance with an auto port moves to another one; nothing else about it failed.
            let instance = &self.instances[&id];
            let moves = instance.ports.iter().any(|(name, number)| {
                let key = (id.service().clone(), id.slot.replica, name.clone());
                number == port && !self.given_ports.contains_key(&key)
            });
            if moves {
                self.set_phase(&id, Phase::Waiting);
                return;
            }
        }
        match self.want(&self.instances[&id]) {
            super::want::Want::Stop(reason) => self.rest(&id, reason),
            _ if matches!(failure, Failure::Lack(_)) => self.start_later(&id, failure.clone()),
            _ => self.failed(&id, failure),
        }
    }

    pub(super) fn exited(&mut self, invocation: &InvocationId, exit: Exit, leftovers: bool) {
        let Some(id) = self.present(invocation) else { return };
        let Some(instance) = self.instances.get_mut(&id) else { return };
        instance.last_exit = Some(exit);
        let leftovers = leftovers && !mutated!(self, StartOverLeftovers);
        match (self.instances[&id].phase.clone(), leftovers) {
            (Phase::Stopping { why, .. }, false) => self.ended(&id, Some(why)),
            // The kill went to the whole tree; `Emptied` or the next kill follows.
            (Phase::Stopping { stage: Stop::Killed { .. }, .. }, true) => {}
            (Phase::Stopping { stage: Stop::Asked { .. }, .. }, true) => self.ask_the_rest(&id),
            (_, false) => self.ended(&id, None),
            (_, true) => self.sweep(&id),
        }
    }

    pub(super) fn emptied(&mut self, invocation: &InvocationId) {
        let Some(id) = self.present(invocation) else { return };
        if let Phase::Stopping { why, .. } = self.instances[&id].phase {
            self.ended(&id, Some(why));
        }
    }

    pub(super) fn counted(&mut self, id: &InstanceId, established: u32) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(id) else { return };
        if let Phase::Draining { stage: Drain::Counting { zeros, next }, .. } = &mut instance.phase {
            *zeros = if established == 0 { *zeros + 1 } else { 0 };
            *next = Some(now + std::time::Duration::from_millis(100));
            self.dirty.insert(id.clone());
        }
    }
}
