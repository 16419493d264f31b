//! The state of one instance.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A process we were told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number, for people; signals go through the shim, which is its parent.
    pub pid: u32,
    /// When it was started.
    pub started: Time,
}

/// The state of one instance. Every phase that is not final holds a deadline or an outstanding effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing runs; something must come true first. Set at birth, and after a stop when it is wanted again. Left by a
    /// start, or for `Ended` when what it waits for cannot come true.
    Waiting,
    /// The host was asked to start it. Left by its report, or at the deadline by a kill.
    Starting {
        /// When the host should have answered.
        by: Time,
    },
    /// It runs and is not ready. Left by good probes, by its end, or at the deadline by a stop.
    Probing {
        /// The process.
        process: Process,
        /// When it must be ready; `None` when it was ready before.
        by: Option<Time>,
    },
    /// It runs and is ready.
    Ready {
        /// The process.
        process: Process,
    },
    /// It runs, is not wanted any more, and served: the edge is told, and open connections get time.
    Draining {
        /// The process.
        process: Process,
        /// When patience ends.
        until: Time,
        /// How far.
        stage: Drain,
    },
    /// It was asked to end. Left when nothing of its tree is left.
    Stopping {
        /// How far.
        stage: Stop,
        /// Why.
        why: StopReason,
    },
    /// It failed and will be started again.
    Backoff {
        /// When.
        until: Time,
    },
    /// Nothing runs, and nothing will by itself.
    Ended(EndReason),
    /// It failed too often. Left by the operator, or by an edit.
    GaveUp,
}

/// How far draining is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// The edge may still send requests to it.
    Routed,
    /// Its connections are being counted.
    Counting {
        /// Counts in a row that were zero.
        zeros: u8,
        /// When the next count is due; `None` while one is outstanding.
        next: Option<Time>,
    },
    /// It is to be asked, and its shim is away, so that nobody could tell it. The time that it has to end runs. Until it
    /// was told, it may still be kept.
    Untold {
        /// The edge has let go of it before; else there was no edge, and one that comes back meanwhile lets go first.
        drained: bool,
    },
}

/// How far stopping is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was asked.
    Asked {
        /// When KILL follows.
        kill_at: Time,
        /// When its shim is asked whether it is there, for nothing has come of it; `None` when it was.
        ask_at: Option<Time>,
    },
    /// It was killed, with its whole tree.
    Killed {
        /// When it is killed once more.
        again_at: Time,
    },
}

/// Why an instance is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The operator said so.
    Operator,
    /// It is disabled, or not among the services that were asked for.
    Disabled,
    /// The stack ends.
    Shutdown,
    /// Its manifest is gone.
    Removed,
    /// A newer instance takes its place.
    Replaced,
    /// There are fewer replicas now.
    ScaledDown,
    /// Its first process ended and left others behind.
    Leftovers,
    /// It was not ready in time.
    NeverReady,
    /// Its liveness probe failed.
    NotAlive,
    /// The host never said whether it started.
    NoAnswer,
}

impl StopReason {
    /// The word that a shutdown command is told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Disabled => "disabled",
            Self::Shutdown => "shutdown",
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::ScaledDown => "scaled_down",
            Self::Leftovers => "leftovers",
            Self::NeverReady => "never_ready",
            Self::NotAlive => "not_alive",
            Self::NoAnswer => "no_answer",
        }
    }
}

/// Why an instance has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// By itself.
    Exit,
    /// It was stopped.
    Stopped,
    /// It is disabled, or not among the services that were asked for.
    Disabled,
    /// What it waits for cannot come true.
    Skipped,
}

/// The name of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// Nothing runs yet.
    Waiting,
    /// The host was asked.
    Starting,
    /// Runs, not ready.
    Probing,
    /// Runs, ready.
    Ready,
    /// Serves what is open, takes nothing new.
    Draining,
    /// Was asked to end.
    Stopping,
    /// Will be started again.
    Backoff,
    /// Over.
    Ended,
    /// Failed too often.
    GaveUp,
}

impl PhaseName {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Starting,
        Self::Probing,
        Self::Ready,
        Self::Draining,
        Self::Stopping,
        Self::Backoff,
        Self::Ended,
        Self::GaveUp,
    ];

    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Probing => "probing",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Ended => "ended",
            Self::GaveUp => "gave_up",
        }
    }
}

impl Phase {
    /// Its name.
    pub fn name(&self) -> PhaseName {
        match self {
            Self::Waiting => PhaseName::Waiting,
            Self::Starting { .. } => PhaseName::Starting,
            Self::Probing { .. } => PhaseName::Probing,
            Self::Ready { .. } => PhaseName::Ready,
            Self::Draining { .. } => PhaseName::Draining,
            Self::Stopping { .. } => PhaseName::Stopping,
            Self::Backoff { .. } => PhaseName::Backoff,
            Self::Ended(_) => PhaseName::Ended,
            Self::GaveUp => PhaseName::GaveUp,
        }
    }

    /// Whether a process may exist.
    pub fn is_live(&self) -> bool {
        match self {
            Self::Starting { .. }
            | Self::Probing { .. }
            | Self::Ready { .. }
            | Self::Draining { .. }
            | Self::Stopping { .. } => true,
            Self::Waiting | Self::Backoff { .. } | Self::Ended(_) | Self::GaveUp => false,
        }
    }

    /// Whether nothing happens in it by itself.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::GaveUp)
    }

    /// The process that runs, where one does and is not being stopped.
    pub fn process(&self) -> Option<Process> {
        match self {
            Self::Probing { process, .. } | Self::Ready { process } | Self::Draining { process, .. } => Some(*process),
            _ => None,
        }
    }

    /// The same phase, of a process that is known better now.
    #[must_use]
    pub fn with_pid(mut self, pid: u32) -> Self {
        if let Self::Probing { process, .. } | Self::Ready { process } | Self::Draining { process, .. } = &mut self {
            process.pid = pid;
        }
        self
    }
}

/// Answers of one probe, and when the next question is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// When the next question is due; `None` while one is outstanding, or when none will be asked.
    pub next: Option<Time>,
    /// A question is outstanding.
    pub outstanding: bool,
    /// Good answers in a row.
    pub successes: u32,
    /// Bad answers in a row.
    pub failures: u32,
    /// What the last bad answer said.
    pub last_failure: Option<String>,
    /// Why the last question could not be put, when it could not.
    pub unasked: Option<String>,
    /// When the last answer of any kind came; before the first one, when it was asked.
    pub seen: Option<Time>,
}

impl Tally {
    /// What keeps it from a good answer, in words.
    pub fn in_words(&self) -> Option<String> {
        let unasked = self.unasked.as_ref().map(|why| format!("could not be asked: {why}"));
        unasked.or_else(|| self.last_failure.clone())
    }
}

/// The pause before the next probe of something that was never ready: short at first, in proportion to how long it
/// has been starting, never longer than a quarter of a second or its period.
pub fn quick_pause(since_start: Duration, period: Duration) -> Duration {
    (since_start / 20)
        .max(Duration::from_millis(2))
        .min(Duration::from_millis(250))
        .min(period.max(Duration::from_millis(2)))
}
