//! Stops an instance: takes it out of the edge, asks it to stop, kills it.

use std::time::Duration;

use super::instance::Instance;
use super::want::Want;
use super::{Engine, mutated};
use crate::action::{Action, Scope};
use crate::ids::InstanceId;
use crate::phase::{Drain, Phase, Stop, StopReason};
use crate::time::Time;

/// Pause before a kill is repeated because processes of the tree are left.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for the effect of a request before checking whether the shim is there.
const ASK_AFTER: Duration = Duration::from_secs(1);

impl Engine {
    /// Starts to stop a running instance that is not wanted: after its dependents, and after the edge.
    pub(super) fn begin_end(&mut self, id: &InstanceId, reason: StopReason) {
        if self.down.is_some_and(|down| down.kill) {
            self.kill(id, reason);
            return;
        }
        let instance = &self.instances[id];
        // Until its turn comes, it serves those that still need it and is probed as before. How long it takes to become
        // ready does not matter any more.
        if self.must_end_before(instance).is_some() {
            if let Phase::Probing { process, by: Some(by) } = instance.phase
                && by <= self.now
            {
                self.set_phase(id, Phase::Probing { process, by: None });
            }
            self.ask_probes(id);
            return;
        }
        let Some(process) = instance.phase.process() else { return };
        if self.is_served_by_edge(instance) {
            let until = self.now + instance.spec.update.drain;
            self.set_phase(id, Phase::Draining { process, until, stage: Drain::Routed });
        } else {
            self.ask_to_end(id, reason);
        }
    }

    /// Whether the edge may send requests to it, so that it has to be taken out of the edge before it is asked to stop.
    fn is_served_by_edge(&self, instance: &Instance) -> bool {
        instance.spec.route.is_some() && self.edge_may_send() && !mutated!(self, StopBeforeDrained)
    }

    /// Asks an instance to stop, as its manifest says.
    pub(super) fn ask_to_end(&mut self, id: &InstanceId, why: StopReason) {
        let Some(instance) = self.instances.get(id) else { return };
        let shutdown = instance.spec.shutdown.clone();
        if shutdown.timeout.is_zero() || self.down.is_some_and(|down| down.kill) {
            self.kill(id, why);
            return;
        }
        let kill_at = self.now + shutdown.timeout;
        let is_unwanted = matches!(self.want(instance), Want::Stop(_));
        if let Some(process) = instance.phase.process().filter(|_| is_unwanted && instance.is_out_of_reach()) {
            let drained = matches!(instance.phase, Phase::Draining { .. });
            self.set_phase(id, Phase::Draining { process, until: kill_at, stage: Drain::Untold { drained } });
            return;
        }
        self.send_request(id, why);
        self.asked(id, kill_at, why);
    }

    /// It was to be asked to stop, but could not be reached so far.
    pub(super) fn ask_untold(&mut self, id: &InstanceId, drained: bool, kill_at: Time, why: StopReason) {
        let instance = &self.instances[id];
        if let Some(process) = instance.phase.process().filter(|_| !drained && self.is_served_by_edge(instance)) {
            let until = self.now + instance.spec.update.drain;
            self.set_phase(id, Phase::Draining { process, until, stage: Drain::Routed });
        } else if kill_at <= self.now || self.down.is_some_and(|down| down.kill) {
            self.kill(id, why);
        } else if !self.instances[id].is_out_of_reach() {
            self.send_request(id, why);
            self.asked(id, kill_at, why);
        }
    }

    /// It was asked to stop, and has the time that its manifest gives it.
    fn asked(&mut self, id: &InstanceId, kill_at: Time, why: StopReason) {
        let stage = Stop::Asked { kill_at, ask_at: Some(self.now + ASK_AFTER) };
        self.set_phase(id, Phase::Stopping { stage, why });
    }

    /// Sends the request itself: the shell command of the manifest, or its signal.
    pub(super) fn send_request(&mut self, id: &InstanceId, why: StopReason) {
        let Some(instance) = self.instances.get(id) else { return };
        // The shim that takes over gets the request.
        if instance.is_out_of_reach() {
            return;
        }
        let invocation = instance.invocation_id();
        let shutdown = &instance.spec.shutdown;
        self.actions.push(if shutdown.command.is_some() {
            Action::ShutdownCommand { invocation, spec: instance.spec.clone(), ports: instance.ports.clone(), why }
        } else {
            let scope = if shutdown.parent_only { Scope::Leader } else { Scope::Group };
            Action::Signal { invocation, signal: shutdown.signal, scope }
        });
    }

    /// The first process has exited but others of its tree have not: they are asked to stop, then killed.
    pub(super) fn sweep(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get(id) else { return };
        let (invocation, timeout) = (instance.invocation_id(), instance.spec.shutdown.timeout);
        if timeout.is_zero() {
            self.kill(id, StopReason::Leftovers);
            return;
        }
        self.actions.push(Action::Signal { invocation, signal: instance.spec.shutdown.signal, scope: Scope::Tree });
        self.asked(id, self.now + timeout, StopReason::Leftovers);
    }

    /// The first process has exited as requested. The processes of its tree that did not get the request get it now.
    pub(super) fn ask_the_rest(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get(id) else { return };
        let shutdown = &instance.spec.shutdown;
        let was_group_asked = shutdown.command.is_none() && !shutdown.parent_only;
        let scope = if was_group_asked { Scope::OutsideGroup } else { Scope::Tree };
        let (invocation, signal) = (instance.invocation_id(), shutdown.signal);
        self.actions.push(Action::Signal { invocation, signal, scope });
    }

    /// Kills the whole tree; the kill is repeated until nothing is left.
    pub(super) fn kill(&mut self, id: &InstanceId, why: StopReason) {
        // The shim is checked first: killing a large tree takes time, reading does not.
        self.ask_shim(id);
        let Some(instance) = self.instances.get(id) else { return };
        self.actions.push(Action::Kill { invocation: instance.invocation_id() });
        let stage = Stop::Killed { again_at: self.now + KILL_AGAIN };
        self.set_phase(id, Phase::Stopping { stage, why });
    }
}
