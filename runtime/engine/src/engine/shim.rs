//! The shim of an instance: each instance has one, or none for now.
//!
//! A broken connection is opened again: its end says nothing about the shim. Another shim takes over only from one
//! that is known to be dead, or that did not answer in time and is killed for it. Connecting and taking over are
//! effects like all others: they succeed, fail or time out, and are tried again.

use std::time::Duration;

use super::pause::{doubled, pause_of_ours};
use super::{Engine, mutated};
use crate::action::{Action, Replaces};
use crate::event::{Life, Unreached};
use crate::exit::{Exit, Failure};
use crate::ids::InstanceId;
use crate::phase::{Phase, Stop, StopReason};
use crate::time::Time;

/// How long a shim may take to answer on a new connection. It has nothing else to do.
const CONNECT_ANSWER: Duration = Duration::from_secs(2);
/// How long the host may take to put another shim over an instance.
const ADOPT_ANSWER: Duration = Duration::from_secs(5);
/// How long a shim that is known to be stopped may take to answer.
const STOPPED_PATIENCE: Duration = Duration::from_secs(1);
/// How long any other shim may take to answer; doubled each time it does not, up to the longest: if the whole machine
/// is slow, another shim is not faster.
const ASK_PATIENCE: Duration = Duration::from_millis(1500);
const LONGEST_ASK_PATIENCE: Duration = Duration::from_secs(24);

/// Whether an instance has a shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shim {
    /// There is none, and none is needed.
    None,
    /// It was requested, or has answered; its connection works.
    Live,
    /// It is not known whether it looks after the instance.
    Away(Away),
}

/// As far as is known, no shim looks after the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Away {
    /// Since when it has been away.
    pub(super) since: Time,
    /// Number of failed attempts.
    pub(super) tries: u32,
    /// The last error.
    pub(super) why: String,
    /// The step that is under way or due next.
    pub(super) step: Step,
}

/// What is being done about a shim that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The host was asked for a new connection to it.
    Connecting {
        /// When the shim should have answered.
        by: Time,
    },
    /// The host was asked to put another shim in its place.
    Adopting {
        /// When the new shim should have answered.
        by: Time,
    },
    /// An attempt failed; the next one waits.
    Pausing {
        /// When the next one starts.
        until: Time,
    },
}

impl Shim {
    /// When the next step is due; `None` if the shim is not away.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self {
            Self::Away(Away { step, .. }) => match step {
                Step::Connecting { by: at } | Step::Adopting { by: at } | Step::Pausing { until: at } => Some(*at),
            },
            Self::None | Self::Live => None,
        }
    }

    /// Whether the instance should have a shim, and it is not known to be there.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

impl Engine {
    /// The connection to a shim was closed.
    pub(super) fn line_broken(&mut self, id: &InstanceId, line: u32) {
        if !self.is_present_line(id, line) {
            return;
        }
        match self.instances.get(id).map(|instance| &instance.shim) {
            Some(Shim::Live) => self.connect(id, "its line broke"),
            // It was the connection to the shim that was to take over.
            Some(Shim::Away(Away { step: Step::Adopting { .. }, .. })) => {
                self.attempt_failed(id, "the shim that took over is gone");
            }
            Some(Shim::Away(Away { step: Step::Connecting { .. }, .. })) => {
                self.attempt_failed(id, "its new line broke, too");
            }
            _ => {}
        }
    }

    fn is_present_line(&self, id: &InstanceId, line: u32) -> bool {
        self.instances.get(id).is_some_and(|instance| instance.line == line)
    }

    /// No connection to a shim could be opened, or nothing answers on the one there is.
    pub(super) fn unreached_by(&mut self, id: &InstanceId, line: u32, why: &Unreached) {
        if self.is_present_line(id, line) {
            self.unreached(id, why);
        }
    }

    fn unreached(&mut self, id: &InstanceId, why: &Unreached) {
        let Some(instance) = self.instances.get(id) else { return };
        let is_new = instance.shim == Shim::Live && matches!(instance.phase, Phase::Starting { .. });
        let step = match &instance.shim {
            Shim::None => return,
            Shim::Live => None,
            Shim::Away(away) => Some(away.step),
        };
        match (step, why) {
            // The shim was to be forked for this start, and nothing was started.
            (None, Unreached::Failed(why)) if is_new => {
                self.set_shim(id, Shim::None);
                self.start_later(id, Failure::Lack(why.clone()));
            }
            (None, Unreached::Failed(why)) => self.connect(id, why),
            (None | Some(Step::Connecting { .. }), Unreached::Dead) => self.adopt(id, Replaces::Dead, "its shim died"),
            (None | Some(Step::Connecting { .. }), Unreached::Silent) => {
                if let Some(instance) = self.instances.get_mut(id) {
                    instance.silences += 1;
                }
                self.adopt(id, Replaces::Silent, "its shim did not answer");
            }
            (Some(Step::Connecting { .. } | Step::Adopting { .. }), Unreached::Failed(why)) => {
                self.attempt_failed(id, why);
            }
            (Some(Step::Adopting { .. }), Unreached::Dead) => self.attempt_failed(id, "the shim that took over died"),
            (Some(Step::Adopting { .. }), Unreached::Silent) => {
                self.attempt_failed(id, "its shim does not answer, and does not die either");
            }
            (Some(Step::Pausing { .. }), _) => {}
        }
    }

    /// A request had no effect: checks whether the shim is there at all.
    pub(super) fn ask_shim(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get(id).filter(|instance| instance.shim == Shim::Live) else { return };
        if !mutated!(self, TrustSilence) {
            let within = doubled(ASK_PATIENCE, instance.silences, LONGEST_ASK_PATIENCE);
            self.actions.push(Action::Ask { instance: id.clone(), within });
        }
    }

    /// The keeper reports that a shim is stopped.
    pub(super) fn shim_stopped(&mut self, id: &InstanceId) {
        if self.instances.get(id).is_some_and(|instance| instance.shim == Shim::Live) {
            self.actions.push(Action::Ask { instance: id.clone(), within: STOPPED_PATIENCE });
        }
    }

    /// The next step for a shim that is away, if it is due.
    pub(super) fn shim_due(&mut self, id: &InstanceId) {
        let Some(Shim::Away(away)) = self.instances.get(id).map(|instance| &instance.shim) else { return };
        match away.step {
            Step::Connecting { by } if by <= self.now => self.unreached(id, &Unreached::Silent),
            Step::Adopting { by } if by <= self.now && !mutated!(self, WaitForTakeover) => {
                self.attempt_failed(id, "the shim that was to take over did not answer");
            }
            Step::Pausing { until } if until <= self.now => {
                let why = away.why.clone();
                self.connect(id, &why);
            }
            _ => {}
        }
    }

    /// Requests a new connection to the shim of the instance.
    pub(super) fn connect(&mut self, id: &InstanceId, why: &str) {
        if mutated!(self, ReplaceLivingShim) {
            self.adopt(id, Replaces::Dead, why);
            return;
        }
        let by = self.now + CONNECT_ANSWER;
        let line = self.away(id, Step::Connecting { by }, why);
        self.actions.push(Action::Connect { instance: id.clone(), line });
    }

    fn adopt(&mut self, id: &InstanceId, replaces: Replaces, why: &str) {
        let by = self.now + ADOPT_ANSWER;
        let line = self.away(id, Step::Adopting { by }, why);
        let Some(instance) = self.instances.get(id) else { return };
        self.actions.push(Action::Adopt {
            line,
            invocation: instance.invocation_id(),
            spec: instance.spec.clone(),
            replaces,
        });
    }

    fn attempt_failed(&mut self, id: &InstanceId, why: &str) {
        if mutated!(self, ForgetTakeover) {
            self.set_shim(id, Shim::Live);
            return;
        }
        let Some(Shim::Away(away)) = self.instances.get(id).map(|instance| &instance.shim) else { return };
        let tries = away.tries + 1;
        let pause = pause_of_ours(away.tries);
        let (since, why) = (away.since, why.to_owned());
        let step = Step::Pausing { until: self.now + pause };
        self.set_shim(id, Shim::Away(Away { since, tries, why, step }));
    }

    /// Something is being done about the shim, on a new connection. Returns the number of that connection.
    fn away(&mut self, id: &InstanceId, step: Step, why: &str) -> u32 {
        let Some(instance) = self.instances.get_mut(id) else { return 0 };
        instance.line += 1;
        let line = instance.line;
        let (since, tries) = match &instance.shim {
            Shim::Away(away) => (away.since, away.tries),
            _ => (self.now, 0),
        };
        self.set_shim(id, Shim::Away(Away { since, tries, why: why.to_owned(), step }));
        line
    }

    fn set_shim(&mut self, id: &InstanceId, shim: Shim) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.shim = shim;
            self.dirty.insert(id.clone());
            self.changed.insert(id.service().clone());
        }
    }

    /// A shim reports the state of the instance: the same shim as before, or one that has taken over.
    pub(super) fn adopted(&mut self, id: &InstanceId, line: u32, begun: u32, life: &Life) {
        let Some(instance) = self.instances.get(id) else { return };
        if instance.shim == Shim::None || instance.line != line {
            return;
        }
        let was_away = instance.shim.is_away();
        self.set_shim(id, Shim::Live);
        let Some(instance) = self.instances.get(id) else { return };
        if !was_away {
            // A daemon replaced the process that started it.
            if let (Life::Running { pid }, true) = (life, begun == instance.invocation) {
                let phase = instance.phase.clone().with_pid(*pid);
                self.set_phase_if_other(id, phase);
            }
            return;
        }
        // It had ended in the meantime, and only waited for its shim.
        if instance.phase.is_final() {
            self.release(id);
            return;
        }
        let invocation = instance.invocation_id();
        let lives = matches!(life, Life::Running { .. } | Life::Unattended | Life::Exited { leftovers: true, .. });
        if !instance.phase.is_live() {
            // Nothing relies on what is alive there; it must be gone before anything is started.
            if lives {
                self.kill(id, StopReason::Leftovers);
            }
            return;
        }
        // The invocation that had been started is over, and its record is lost.
        if begun < invocation.number && !lives && !matches!(instance.phase, Phase::Starting { .. }) {
            self.exited(&invocation, Exit::Unknown, false);
            return;
        }
        if begun < invocation.number && !lives {
            self.start_failed(&invocation, &Failure::Lack("the order did not reach its shim".into()));
            return;
        }
        if begun < invocation.number {
            // What is alive belongs to an earlier start, which counted as over.
            self.kill(id, StopReason::Leftovers);
            return;
        }
        let phase = instance.phase.clone();
        if let Some(instance) = self.instances.get_mut(id) {
            instance.started_once = true;
        }
        match (phase, life) {
            (Phase::Starting { .. }, Life::Running { pid }) => self.started(&invocation, *pid),
            (Phase::Stopping { stage, why }, Life::Running { .. }) => match stage {
                Stop::Asked { .. } => self.send_request(id, why),
                Stop::Killed { .. } => self.kill(id, why),
            },
            // A supervisor that found it without a shim did not know its process.
            (phase, Life::Running { pid }) => self.set_phase(id, phase.with_pid(*pid)),
            (_, Life::Unattended) => {}
            (_, Life::Exited { exit, leftovers }) => self.exited(&invocation, *exit, *leftovers),
            (_, Life::Recorded { exit }) => self.exited(&invocation, *exit, false),
            (_, Life::Idle) => self.exited(&invocation, Exit::Unknown, false),
        }
    }
}
