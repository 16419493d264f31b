//! Probes: when they run, and what their results mean for an instance.

use std::time::Duration;

use super::{Engine, mutated};
use crate::action::Action;
use crate::event::{Answer, ProbeKind};
use crate::exit::Failure;
use crate::ids::{InstanceId, InvocationId};
use crate::phase::{Phase, StopReason, quick_pause};

impl Engine {
    /// Sends the probes that are due.
    pub(super) fn ask_probes(&mut self, id: &InstanceId) {
        for kind in [ProbeKind::Readiness, ProbeKind::Liveness] {
            let now = self.now;
            let Some(instance) = self.instances.get_mut(id) else { return };
            let tally = match kind {
                ProbeKind::Readiness => &mut instance.readiness,
                ProbeKind::Liveness => &mut instance.liveness,
            };
            let Some(due) = tally.next.filter(|due| *due <= now && !tally.outstanding) else { continue };
            tally.next = None;
            tally.outstanding = true;
            // Time in which nobody came to ask counts like time in which nobody could.
            tally.seen.get_or_insert(due);
            self.actions.push(Action::Probe {
                invocation: instance.invocation_id(),
                probe: kind,
                spec: instance.spec.clone(),
                ports: instance.ports.clone(),
            });
        }
    }

    /// Starts probing an invocation that runs.
    pub(super) fn begin_probes(&mut self, id: &InstanceId) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(id) else { return };
        if let Some(probe) = &instance.spec.readiness {
            instance.readiness.next = Some(now + probe.initial_delay);
        }
        // Liveness is only probed after the instance was ready: `update.ready_seconds` limits a slow start.
        if instance.spec.readiness.is_none() {
            self.begin_liveness(id);
        }
    }

    pub(super) fn begin_liveness(&mut self, id: &InstanceId) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(id) else { return };
        if let Some(probe) = &instance.spec.liveness
            && instance.liveness.next.is_none()
            && !instance.liveness.outstanding
        {
            instance.liveness.next = Some(now + probe.initial_delay);
        }
    }

    pub(super) fn probed(&mut self, invocation: &InvocationId, kind: ProbeKind, answer: &Answer) {
        let forgetful = mutated!(self, ForgetInvocation);
        let counts_unasked = mutated!(self, CountUnasked);
        let now = self.now;
        let Some(instance) = self.instances.get_mut(&invocation.instance) else { return };
        if instance.invocation != invocation.number && !forgetful {
            return;
        }
        let id = invocation.instance.clone();
        let probe = match kind {
            ProbeKind::Readiness => instance.spec.readiness.clone(),
            ProbeKind::Liveness => instance.spec.liveness.clone(),
        };
        let tally = match kind {
            ProbeKind::Readiness => &mut instance.readiness,
            ProbeKind::Liveness => &mut instance.liveness,
        };
        if !tally.outstanding && !forgetful {
            return;
        }
        tally.outstanding = false;
        let since_last = tally.seen.replace(now).map_or(Duration::ZERO, |seen| now - seen);
        tally.unasked = None;
        match answer {
            Answer::Good => {
                tally.successes = tally.successes.saturating_add(1);
                tally.failures = 0;
            }
            Answer::Unasked(why) if !counts_unasked => tally.unasked = Some(why.clone()),
            Answer::Bad(why) | Answer::Unasked(why) => {
                tally.successes = 0;
                tally.failures = tally.failures.saturating_add(1);
                tally.last_failure = Some(why.clone());
            }
        }
        let (successes, failures, unasked) = (tally.successes, tally.failures, tally.unasked.is_some());
        self.dirty.insert(id.clone());
        // The probe was removed from the manifest while it was outstanding.
        let Some(probe) = probe else { return };
        match (kind, instance.phase.clone()) {
            (ProbeKind::Readiness, Phase::Probing { process, by }) => {
                let needed = if instance.candidate {
                    probe.success_threshold.max(instance.spec.update.successes)
                } else {
                    probe.success_threshold
                };
                let never_ready = instance.ready_since.is_none();
                let is_log = matches!(probe.check, core_manifest::spec::Check::LogLine { .. });
                if !unasked && (successes >= needed || is_log && successes > 0) {
                    self.became_ready(&id);
                    if !is_log && let Some(instance) = self.instances.get_mut(&id) {
                        instance.readiness.next = Some(now + probe.period);
                    }
                } else {
                    let quick = quick_pause(now - process.started, probe.period);
                    instance.readiness.next = Some(now + if never_ready { quick } else { probe.period });
                    // It had no chance to show that it is ready, so this time does not count.
                    if unasked && let Some(by) = by {
                        self.set_phase_if_other(&id, Phase::Probing { process, by: Some(by + since_last) });
                    }
                }
            }
            (ProbeKind::Readiness, Phase::Ready { process }) => {
                instance.readiness.next = Some(now + probe.period);
                if !unasked && failures >= probe.failure_threshold {
                    self.set_phase(&id, Phase::Probing { process, by: None });
                    self.no_longer_ready(&id);
                }
            }
            (ProbeKind::Liveness, Phase::Probing { .. } | Phase::Ready { .. }) => {
                instance.liveness.next = Some(now + probe.period);
                if !unasked && failures >= probe.failure_threshold {
                    let answer = instance.liveness.last_failure.clone().unwrap_or_default();
                    self.note_failure(&id, Failure::NotAlive(answer));
                    self.ask_to_end(&id, StopReason::NotAlive);
                }
            }
            _ => {}
        }
    }

    pub(super) fn became_ready(&mut self, id: &InstanceId) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(id) else { return };
        let Phase::Probing { process, .. } = instance.phase else { return };
        instance.ready_once = true;
        instance.ready_since.get_or_insert(now);
        self.set_phase(id, Phase::Ready { process });
        self.begin_liveness(id);
    }
}
