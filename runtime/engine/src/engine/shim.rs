//! Who stands over an instance: one shim, or nobody for now.
//!
//! A line that breaks is made anew: its end says nothing of the shim. Another shim takes over only from one that is
//! known to be dead, or that did not answer in time and is killed for it. Making a line and taking over are effects like
//! all others: they succeed, fail, or run out of time, and are tried again.

use std::time::Duration;

use super::pause::{doubled, pause_of_ours};
use super::{Engine, mutated};
use crate::action::{Action, Replaces};
use crate::event::{Life, Unreached};
use crate::exit::{Exit, Failure};
use crate::ids::InstanceId;
use crate::phase::{Phase, Stop, StopReason};
use crate::time::Time;

/// How long a shim may take to answer on a new line. It has nothing else to do.
const CONNECT_ANSWER: Duration = Duration::from_secs(2);
/// How long it may take to put another one over an instance.
const ADOPT_ANSWER: Duration = Duration::from_secs(5);
/// How long a shim that is known to stand still may do so.
const STOPPED_PATIENCE: Duration = Duration::from_secs(1);
/// How long any other may take to say that it is there; twice as long each time that it did not, up to the longest: where
/// the whole machine is slow, another shim is no faster.
const ASK_PATIENCE: Duration = Duration::from_millis(1500);
const LONGEST_ASK_PATIENCE: Duration = Duration::from_secs(24);

/// Whether a shim stands over the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shim {
    /// There is none, and none is needed.
    None,
    /// It was asked for, or has answered; its line is whole.
    Live,
    /// It is not known to look after anything.
    Away(Away),
}

/// Nobody looks after the instance, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Away {
    /// Since when.
    pub(super) since: Time,
    /// Attempts that failed.
    pub(super) tries: u32,
    /// What was wrong last.
    pub(super) why: String,
    /// What is being done about it.
    pub(super) step: Step,
}

/// What is being done about a shim that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The host was asked for a new line to it.
    Connecting {
        /// When it should have answered.
        by: Time,
    },
    /// The host was asked to put another one in its place.
    Adopting {
        /// When that one should have answered.
        by: Time,
    },
    /// An attempt failed.
    Pausing {
        /// When the next one begins.
        until: Time,
    },
}

impl Shim {
    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self {
            Self::Away(Away { step, .. }) => match step {
                Step::Connecting { by: at } | Step::Adopting { by: at } | Step::Pausing { until: at } => Some(*at),
            },
            Self::None | Self::Live => None,
        }
    }

    /// Whether nobody looks after the instance who should.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

impl Engine {
    /// The line to a shim has ended.
    pub(super) fn line_broken(&mut self, id: &InstanceId, line: u32) {
        if !self.is_present_line(id, line) {
            return;
        }
        match self.instances.get(id).map(|instance| &instance.shim) {
            Some(Shim::Live) => self.connect(id, "its line broke"),
            // That was the line to the one that was to take over.
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

    /// No line to a shim could be had, or the one there is leads to nobody.
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
            // It was to be forked for this start, and nothing was begun.
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

    /// Nothing has come of what was asked for: is its shim there at all?
    pub(super) fn ask_shim(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get(id).filter(|instance| instance.shim == Shim::Live) else { return };
        if !mutated!(self, TrustSilence) {
            let within = doubled(ASK_PATIENCE, instance.silences, LONGEST_ASK_PATIENCE);
            self.actions.push(Action::Ask { instance: id.clone(), within });
        }
    }

    /// Its keeper says that a shim stands still.
    pub(super) fn shim_stopped(&mut self, id: &InstanceId) {
        if self.instances.get(id).is_some_and(|instance| instance.shim == Shim::Live) {
            self.actions.push(Action::Ask { instance: id.clone(), within: STOPPED_PATIENCE });
        }
    }

    /// The next thing about a shim that is away, when it is due.
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

    /// Asks for a new line to whoever stands over the instance.
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

    /// Something is being done about it, on a new line. Returns the number of that.
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

    /// A shim stands over the instance and says how it is: the one that was there, or one that took over.
    pub(super) fn adopted(&mut self, id: &InstanceId, line: u32, begun: u32, life: &Life) {
        let Some(instance) = self.instances.get(id) else { return };
        if instance.shim == Shim::None || instance.line != line {
            return;
        }
        let was_away = instance.shim.is_away();
        self.set_shim(id, Shim::Live);
        let Some(instance) = self.instances.get(id) else { return };
        if !was_away {
            // A daemon that took the place of the process that began it.
            if let (Life::Running { pid }, true) = (life, begun == instance.invocation) {
                let phase = instance.phase.clone().with_pid(*pid);
                self.set_phase_if_other(id, phase);
            }
            return;
        }
        // It had ended meanwhile, and was waiting for nothing but this.
        if instance.phase.is_final() {
            self.release(id);
            return;
        }
        let invocation = instance.invocation_id();
        let lives = matches!(life, Life::Running { .. } | Life::Unattended | Life::Exited { leftovers: true, .. });
        if !instance.phase.is_live() {
            // Nobody counts on what lives there; it must be gone before anything is started.
            if lives {
                self.kill(id, StopReason::Leftovers);
            }
            return;
        }
        // What had begun has ended, and its record is lost.
        if begun < invocation.number && !lives && !matches!(instance.phase, Phase::Starting { .. }) {
            self.exited(&invocation, Exit::Unknown, false);
            return;
        }
        if begun < invocation.number && !lives {
            self.start_failed(&invocation, &Failure::Lack("the order did not reach its shim".into()));
            return;
        }
        if begun < invocation.number {
            // What lives is of an earlier start, which counted as ended.
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
            // Whoever found it without a shim could not tell its process.
            (phase, Life::Running { pid }) => self.set_phase(id, phase.with_pid(*pid)),
            (_, Life::Unattended) => {}
            (_, Life::Exited { exit, leftovers }) => self.exited(&invocation, *exit, *leftovers),
            (_, Life::Recorded { exit }) => self.exited(&invocation, *exit, false),
            (_, Life::Idle) => self.exited(&invocation, Exit::Unknown, false),
        }
    }
}
