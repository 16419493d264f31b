//! The phases of one instance.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A process as its shim reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// PID, for people; signals go through the shim, which is the parent.
    pub pid: u32,
    /// When the process was started.
    pub started: Time,
}

/// The phase of one instance. Every phase that is not final holds a deadline, an outstanding effect, or a typed reason
/// to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing runs; it waits for something. Set when the instance is created, and after a stop if it is wanted again.
    /// Left by a start, or for `Ended` when what it waits for cannot happen.
    Waiting,
    /// The host was asked to start it. Left by the host's report, or at the deadline by a kill.
    Starting {
        /// Until when the host has to answer.
        by: Time,
    },
    /// It runs and is not ready. Left by successful probes, by its exit, or at the deadline by a stop.
    Probing {
        /// The process that is probed.
        process: Process,
        /// Until when it must be ready; `None` when it was ready before.
        by: Option<Time>,
    },
    /// It runs and is ready.
    Ready {
        /// The process that is ready.
        process: Process,
    },
    /// It runs, is not wanted any more, and took requests: the edge is updated, and open connections get time to end.
    Draining {
        /// The process that drains.
        process: Process,
        /// When the drain time ends.
        until: Time,
        /// How far the drain has got.
        stage: Drain,
    },
    /// It was asked to stop. Left when its whole process tree is gone.
    Stopping {
        /// How far the stop has got.
        stage: Stop,
        /// Why it is stopped.
        why: StopReason,
    },
    /// It failed and will be started again after a pause.
    Backoff {
        /// When the pause ends.
        until: Time,
    },
    /// Nothing runs, and nothing will start by itself.
    Ended(EndReason),
    /// It failed too often. Left by an operator's command or an edit.
    GaveUp,
}

/// How far a drain has got.
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
    /// It is to be asked to stop, but its shim is away and cannot pass that on. The shutdown timeout already runs.
    /// Until it has been asked, it may still be kept.
    Untold {
        /// Whether the edge has let go of it. If not, there was no edge; one that comes back meanwhile lets go first.
        drained: bool,
    },
}

/// How far a stop has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was asked to stop.
    Asked {
        /// When SIGKILL follows.
        kill_at: Time,
        /// When its shim is checked because nothing has happened; `None` once that was done.
        ask_at: Option<Time>,
    },
    /// It was killed, with its whole process tree.
    Killed {
        /// When the kill is repeated.
        again_at: Time,
    },
}

/// Why an instance is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// An operator asked for it.
    Operator,
    /// It is disabled, or not one of the services that were asked for.
    Disabled,
    /// Nobody has asked for it for a while.
    Idle,
    /// The whole stack is stopped.
    Shutdown,
    /// Its manifest was removed.
    Removed,
    /// A newer instance replaces it.
    Replaced,
    /// The service has fewer replicas now.
    ScaledDown,
    /// Its first process exited and left others behind.
    Leftovers,
    /// It was not ready in time.
    NeverReady,
    /// Its liveness probe failed.
    NotAlive,
    /// The host never reported whether it started.
    NoAnswer,
}

impl StopReason {
    /// The word for this reason that a shutdown command gets.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Disabled => "disabled",
            Self::Idle => "idle",
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

/// Why an instance is in the phase `ended`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// It exited by itself.
    Exit,
    /// It was stopped.
    Stopped,
    /// It is disabled, or not one of the services that were asked for.
    Disabled,
    /// It sleeps until somebody asks for it.
    Idle,
    /// What it waits for cannot happen.
    Skipped,
}

/// The name of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// No process runs; it waits for something.
    Waiting,
    /// The host was asked to start it.
    Starting,
    /// Its process runs and is not ready.
    Probing,
    /// Its process runs and is ready.
    Ready,
    /// It finishes open requests and gets no new ones.
    Draining,
    /// It was replaced and gets no requests, and is kept for a while so that going back takes no boot.
    Warm,
    /// It was asked to stop, or killed.
    Stopping,
    /// It failed and will be started again after a pause.
    Backoff,
    /// It has ended and will not be started again automatically.
    Ended,
    /// It failed too often and will not be started again automatically.
    GaveUp,
}

impl PhaseName {
    /// All phases, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Starting,
        Self::Probing,
        Self::Ready,
        Self::Draining,
        Self::Warm,
        Self::Stopping,
        Self::Backoff,
        Self::Ended,
        Self::GaveUp,
    ];

    /// The word shown to users.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Probing => "probing",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Warm => "warm",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Ended => "ended",
            Self::GaveUp => "gave_up",
        }
    }
}

impl Phase {
    /// The name of the phase, without its data.
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

    /// Whether a process of the instance may exist.
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

    /// Whether the phase is final: nothing happens in it by itself.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::GaveUp)
    }

    /// The process, if one runs and is not being stopped.
    pub fn process(&self) -> Option<Process> {
        match self {
            Self::Probing { process, .. } | Self::Ready { process } | Self::Draining { process, .. } => Some(*process),
            _ => None,
        }
    }

    /// The same phase with another PID, for a process that is known better now.
    #[must_use]
    pub fn with_pid(mut self, pid: u32) -> Self {
        if let Self::Probing { process, .. } | Self::Ready { process } | Self::Draining { process, .. } = &mut self {
            process.pid = pid;
        }
        self
    }
}

/// The results of one probe, and when it runs next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// When the next probe is due; `None` while one is outstanding, or when none will follow.
    pub next: Option<Time>,
    /// Whether a probe is outstanding.
    pub outstanding: bool,
    /// Consecutive successes.
    pub successes: u32,
    /// Consecutive failures.
    pub failures: u32,
    /// The message of the last failure.
    pub last_failure: Option<String>,
    /// Why the last probe could not be run; `None` when it could.
    pub unasked: Option<String>,
    /// When the last result of any kind came; before the first one, when the probe was sent.
    pub seen: Option<Time>,
}

impl Tally {
    /// Why the probe does not succeed, as text for people; `None` when nothing has failed.
    pub fn in_words(&self) -> Option<String> {
        let unasked = self.unasked.as_ref().map(|why| format!("could not be asked: {why}"));
        unasked.or_else(|| self.last_failure.clone())
    }
}

/// The pause before the next probe of a process that has never been ready: short at first, in proportion to how long
/// it has been starting, and at most 250 ms or the period of the probe.
pub fn quick_pause(since_start: Duration, period: Duration) -> Duration {
    (since_start / 20)
        .max(Duration::from_millis(2))
        .min(Duration::from_millis(250))
        .min(period.max(Duration::from_millis(2)))
}
