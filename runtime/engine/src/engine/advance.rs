//! Advances one instance: compares what is wanted with what is.

use super::shim::Shim;
use super::waiting::WaitingOn;
use super::want::Want;
use super::{Engine, mutated};
use crate::action::Action;
use crate::exit::Failure;
use crate::ids::InstanceId;
use crate::phase::{Drain, EndReason, Phase, Process, Stop, StopReason};

impl Engine {
    /// Advances an instance as far as it can go now.
    pub(super) fn advance(&mut self, id: &InstanceId) {
        // One phase leads to only a few others at once; the bound only guards against a bug in the engine.
        self.shim_due(id);
        for _ in 0..16 {
            let Some(before) = self.instances.get(id).map(|instance| instance.phase.clone()) else { return };
            self.advance_once(id, &before);
            if self.instances.get(id).is_none_or(|instance| instance.phase == before) {
                break;
            }
        }
        self.retime(id);
    }

    fn advance_once(&mut self, id: &InstanceId, phase: &Phase) {
        let want = self.want(&self.instances[id]);
        match (phase, want) {
            (Phase::Waiting | Phase::Backoff { .. }, Want::Stop(reason)) => self.rest(id, reason),
            (Phase::Waiting, Want::Run | Want::Keep) => self.try_start(id),
            (Phase::Backoff { until }, Want::Run | Want::Keep) => {
                // The pause is over. What else it may wait for is checked in `Waiting`.
                if *until <= self.now {
                    self.set_phase(id, Phase::Waiting);
                }
            }
            (Phase::Starting { by }, _) => {
                if *by <= self.now {
                    self.kill(id, StopReason::NoAnswer);
                }
            }
            (Phase::Probing { .. } | Phase::Ready { .. }, Want::Stop(reason)) => self.begin_end(id, reason),
            (Phase::Probing { .. }, _) if self.instances[id].must_be_ready_by().is_some_and(|by| by <= self.now) => {
                let answer = self.instances[id].readiness.last_failure.clone().unwrap_or_default();
                self.note_failure(id, Failure::NeverReady(answer));
                self.ask_to_end(id, StopReason::NeverReady);
            }
            (Phase::Probing { .. } | Phase::Ready { .. }, _) => self.ask_probes(id),
            (Phase::Draining { process, .. }, want) => match want {
                // An instance that needs it has to stop first now.
                Want::Stop(_) if self.must_end_before(&self.instances[id]).is_some() => self.undrain(id, *process),
                Want::Stop(reason) => self.drain(id, reason),
                Want::Run | Want::Keep => self.undrain(id, *process),
            },
            (Phase::Stopping { stage, .. }, _) => self.insist(id, *stage),
            (Phase::Ended(reason), want) => self.revive(id, *reason, want),
            (Phase::GaveUp, Want::Stop(reason)) => self.forget_if_gone(id, reason),
            (Phase::GaveUp, Want::Run | Want::Keep) => {}
        }
    }

    fn try_start(&mut self, id: &InstanceId) {
        if !self.may_start() {
            return;
        }
        let instance = &self.instances[id];
        let needed: Vec<(String, bool)> = self
            .missing_binaries(instance)
            .into_iter()
            .filter_map(|missing| match missing {
                WaitingOn::Binary { folder, failed } => Some((folder, failed.is_some())),
                _ => None,
            })
            .collect();
        for (folder, failed) in &needed {
            if !failed && !self.binaries.contains_key(folder) {
                self.binaries.insert(folder.clone(), super::Binary::Asked);
                self.actions.push(Action::Prepare { folder: folder.clone(), service: id.service().clone() });
            }
        }
        if let Some(message) = self.failed_binary(id)
            && (self.instances[id].candidate || self.is_fetching(id))
        {
            self.candidate_failed(id, &Failure::Binary(message));
            return;
        }
        let instance = &self.instances[id];
        if !instance.admitted {
            let unmet = self.unmet_dependencies(instance);
            if unmet.iter().any(|one| matches!(one, WaitingOn::Dependency { never: true, .. })) {
                self.skip(id);
                return;
            }
            if !unmet.is_empty() {
                return;
            }
        }
        if !needed.is_empty() {
            return;
        }
        if self.waiting_on(&self.instances[id]).is_empty() {
            self.start(id);
        }
    }

    fn failed_binary(&self, id: &InstanceId) -> Option<String> {
        self.missing_binaries(&self.instances[id]).into_iter().find_map(|missing| match missing {
            WaitingOn::Binary { failed, .. } => failed,
            _ => None,
        })
    }

    pub(super) fn set_phase_if_other(&mut self, id: &InstanceId, phase: Phase) {
        if self.instances.get(id).is_some_and(|instance| instance.phase != phase) {
            self.set_phase(id, phase);
        }
    }

    fn skip(&mut self, id: &InstanceId) {
        let exit_on_skipped = self.instances[id].spec.availability.exit_on_skipped;
        self.set_phase(id, Phase::Ended(EndReason::Skipped));
        if exit_on_skipped {
            self.begin_down(1, false);
        }
    }

    /// An instance that has ended stays so until what is wanted, or what it waits for, changes.
    fn revive(&mut self, id: &InstanceId, reason: EndReason, want: Want) {
        match (reason, want) {
            (_, Want::Stop(why)) => self.forget_if_gone(id, why),
            (EndReason::Stopped | EndReason::Disabled | EndReason::Idle, Want::Run | Want::Keep) => {
                self.set_phase(id, Phase::Waiting);
            }
            (EndReason::Skipped, Want::Run | Want::Keep) => {
                let unmet = self.unmet_dependencies(&self.instances[id]);
                if !unmet.iter().any(|one| matches!(one, WaitingOn::Dependency { never: true, .. })) {
                    self.set_phase(id, Phase::Waiting);
                }
            }
            (EndReason::Exit, Want::Run | Want::Keep) => {
                if mutated!(self, RestartAnyway) {
                    self.set_phase(id, Phase::Waiting);
                }
            }
        }
    }

    fn forget_if_gone(&mut self, id: &InstanceId, why: StopReason) {
        match why {
            StopReason::Removed | StopReason::Replaced | StopReason::ScaledDown => self.rest(id, why),
            _ => {}
        }
    }

    /// Nothing of the instance runs, and nothing should.
    pub(super) fn rest(&mut self, id: &InstanceId, reason: StopReason) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.shim != Shim::None {
            instance.shim = Shim::None;
            self.actions.push(Action::Release { instance: id.clone() });
        }
        match reason {
            StopReason::Removed | StopReason::Replaced | StopReason::ScaledDown => self.remove_instance(id),
            StopReason::Disabled => self.set_phase_if_other(id, Phase::Ended(EndReason::Disabled)),
            StopReason::Idle => self.set_phase_if_other(id, Phase::Ended(EndReason::Idle)),
            _ => self.set_phase_if_other(id, Phase::Ended(EndReason::Stopped)),
        }
    }

    /// It is needed a while longer: its probe tells whether it is ready.
    fn undrain(&mut self, id: &InstanceId, process: Process) {
        let was_ready = self.instances[id].ready_since.is_some();
        let phase = if was_ready { Phase::Ready { process } } else { Phase::Probing { process, by: None } };
        let now = self.now;
        if let Some(instance) = self.instances.get_mut(id)
            && instance.spec.readiness.is_some()
            && !instance.readiness.outstanding
        {
            instance.readiness.next = Some(now);
        }
        self.set_phase(id, phase);
        if was_ready {
            self.begin_liveness(id);
        }
    }

    /// Drains: first until the edge has let go, then until no connection is open, both within the drain time.
    fn drain(&mut self, id: &InstanceId, reason: StopReason) {
        let is_routed = self.is_routed(id);
        let instance = &self.instances[id];
        let Phase::Draining { process, until, stage } = instance.phase.clone() else { return };
        let patience_over = until <= self.now;
        match stage {
            Drain::Routed if !is_routed => {
                let stage = Drain::Counting { zeros: 0, next: Some(self.now) };
                self.set_phase(id, Phase::Draining { process, until, stage });
            }
            // A replaced instance keeps serving while the edge cannot be updated. One that goes for good is stopped.
            Drain::Routed => {
                if patience_over && !matches!(reason, StopReason::Replaced | StopReason::ScaledDown) {
                    self.ask_to_end(id, reason);
                } else if patience_over {
                    let until = self.now + instance.spec.update.drain.max(std::time::Duration::from_secs(1));
                    self.set_phase(id, Phase::Draining { process, until, stage });
                }
            }
            Drain::Untold { drained } => self.ask_untold(id, drained, until, reason),
            Drain::Counting { zeros: 2.., .. } => self.ask_to_end(id, reason),
            Drain::Counting { .. } if patience_over => self.ask_to_end(id, reason),
            Drain::Counting { zeros, next: Some(next) } if next <= self.now => {
                let ports = instance.spec.ports.keys().filter_map(|name| instance.port(name)).collect();
                self.actions.push(Action::Count { instance: id.clone(), ports });
                self.set_phase(id, Phase::Draining { process, until, stage: Drain::Counting { zeros, next: None } });
            }
            Drain::Counting { .. } => {}
        }
    }

    /// Sends SIGKILL when the timeout is over or the stack is being killed, and again while anything is left.
    fn insist(&mut self, id: &InstanceId, stage: Stop) {
        if let Stop::Asked { kill_at, ask_at: Some(ask_at) } = stage
            && ask_at <= self.now
            && kill_at > self.now
            && let Some(Phase::Stopping { why, .. }) = self.instances.get(id).map(|instance| instance.phase.clone())
        {
            self.ask_shim(id);
            let stage = Stop::Asked { kill_at, ask_at: None };
            self.set_phase(id, Phase::Stopping { stage, why });
            return;
        }
        let due = match stage {
            Stop::Asked { kill_at, .. } => {
                let has_waited = kill_at <= self.now || self.down.is_some_and(|down| down.kill);
                has_waited && !mutated!(self, ForgetKill)
            }
            Stop::Killed { again_at } => again_at <= self.now,
        };
        if due && let Some(Phase::Stopping { why, .. }) = self.instances.get(id).map(|instance| instance.phase.clone())
        {
            self.kill(id, why);
        }
    }
}
