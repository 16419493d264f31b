//! Entries of the history: what was asked for and by whom, what it changed, and how it ended.

use std::collections::BTreeMap;

use core_manifest::ServiceName;

pub use crate::command::Cause;
use crate::command::Command;
use crate::ids::{Generation, InvocationId};
use crate::plan::Planned;

/// One of the two entries that are written for an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The operation was started.
    Begun(Box<Begun>),
    /// The operation is over.
    Ended {
        /// Number of the operation.
        operation: u64,
        /// How the operation ended.
        outcome: Outcome,
    },
}

/// The start of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Number of the operation.
    pub operation: u64,
    /// The command that was given.
    pub command: Command,
    /// Who or what gave it.
    pub by: Cause,
    /// The generation before the operation.
    pub from: Generation,
    /// The generation after; the same if the operation made no new one.
    pub to: Generation,
    /// The services that it changed, and why. Services that were kept are not listed.
    pub changes: BTreeMap<ServiceName, Planned>,
}

/// How an operation ended, as the history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It reached its goal.
    Done,
    /// It did not reach its goal.
    Failed {
        /// The reason.
        message: String,
        /// The invocation whose log says more.
        culprit: Option<InvocationId>,
    },
    /// A newer generation changed the same services before the goal was reached.
    Replaced {
        /// That newer generation.
        by: Generation,
    },
}
