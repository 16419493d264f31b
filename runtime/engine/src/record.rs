//! What the history holds: what was asked for and by whom, what it changed, and how it ended.

use std::collections::BTreeMap;

use core_manifest::ServiceName;

pub use crate::command::Cause;
use crate::command::Command;
use crate::ids::{Generation, InvocationId};
use crate::plan::Planned;

/// One of the two things that are written down of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// It was begun.
    Begun(Box<Begun>),
    /// It is over.
    Ended {
        /// The operation.
        operation: u64,
        /// How it ended.
        outcome: Outcome,
    },
}

/// What was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The operation.
    pub operation: u64,
    /// What was asked for.
    pub command: Command,
    /// By whom.
    pub by: Cause,
    /// The generation before.
    pub from: Generation,
    /// The generation after; the same when it made none.
    pub to: Generation,
    /// The services that it changed, and why. None that was kept is among them.
    pub changes: BTreeMap<ServiceName, Planned>,
}

/// How an operation ended, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It came true.
    Done,
    /// It did not.
    Failed {
        /// Why.
        message: String,
        /// The invocation whose log says more.
        culprit: Option<InvocationId>,
    },
    /// Before it came true, a newer generation changed the same services.
    Replaced {
        /// The newer one.
        by: Generation,
    },
}
