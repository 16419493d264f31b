//! What the engine is told.

use std::collections::{BTreeMap, BTreeSet};

use core_manifest::{Identifier, Problem, ServiceName};

use crate::command::Cause;
pub use crate::command::Command;
use crate::exit::{Exit, Failure};
use crate::ids::{Generation, InstanceId, InvocationId};
use crate::saved::Saved;
use crate::topology::{PortRange, Topology};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The supervisor begins: what it wrote down before, and what it finds alive. Comes first, once.
    Restored {
        /// What was written down; `None` for a new stack, or when the file could not be read.
        saved: Option<Box<Saved>>,
        /// What is there.
        found: Vec<Found>,
    },
    /// Something else is in the manifests than before.
    Edited {
        /// Stands for all that is in them.
        fingerprint: u64,
    },
    /// The manifests were read and are good.
    Loaded(Loaded),
    /// The manifests were read and are not good: the last good topology stays.
    Rejected(Rejected),
    /// Somebody asks what carrying out the manifests would change. Answer: `Planned`.
    PlanWanted {
        /// Names the question.
        question: u64,
    },
    /// Somebody asks for something.
    Command {
        /// Names the operation.
        operation: u64,
        /// What.
        command: Command,
        /// Who.
        by: Cause,
    },
    /// A binary has landed, or is not available.
    Prepared {
        /// Its folder.
        folder: String,
        /// Why not.
        result: Result<(), String>,
    },
    /// The first process of an invocation was executed.
    Started {
        /// The invocation.
        invocation: InvocationId,
        /// Its number.
        pid: u32,
    },
    /// A start failed; nothing of it lives.
    StartFailed {
        /// The invocation.
        invocation: InvocationId,
        /// Why.
        failure: Failure,
    },
    /// The first process of an invocation ended.
    Exited {
        /// The invocation.
        invocation: InvocationId,
        /// How.
        exit: Exit,
        /// Other processes of its tree still live.
        leftovers: bool,
    },
    /// Nothing of an invocation lives any more (after an exit with leftovers).
    Emptied {
        /// The invocation.
        invocation: InvocationId,
    },
    /// The line to the shim of an instance has ended. Whether the shim lives is not known by that.
    LineBroken {
        /// The instance.
        instance: InstanceId,
        /// Number of the line; what is told of an older one is dropped.
        line: u32,
    },
    /// A shim was stopped (SIGSTOP), says its keeper.
    ShimStopped {
        /// The instance.
        instance: InstanceId,
    },
    /// Nobody is at the other end of a line, or none could be made.
    Unreached {
        /// The instance.
        instance: InstanceId,
        /// Number of the line.
        line: u32,
        /// What is known.
        why: Unreached,
    },
    /// A shim stands over the instance: the one that was there, on a new line, or another one that has taken over.
    Adopted {
        /// The instance.
        instance: InstanceId,
        /// Number of the line on which it says so.
        line: u32,
        /// Number of the last invocation that was begun; 0 for none.
        invocation: u32,
        /// What there is of it.
        life: Life,
    },
    /// A probe was answered.
    Probed {
        /// The invocation that was asked.
        invocation: InvocationId,
        /// Which probe.
        probe: ProbeKind,
        /// The answer.
        answer: Answer,
    },
    /// Connections were counted.
    Counted {
        /// The instance.
        instance: InstanceId,
        /// Established connections to its ports.
        established: u32,
    },
    /// The edge's pointers of a service were written, or not.
    Routed {
        /// The service.
        service: ServiceName,
        /// Version of the table.
        version: u64,
        /// Why not.
        result: Result<(), String>,
    },
    /// The edge was asked whether it reaches the new instances of a service.
    Verified {
        /// The service.
        service: ServiceName,
        /// Their generation.
        born: Generation,
        /// What came of it.
        reach: Reach,
    },
    /// A deadline has come.
    Tick,
}

/// Good manifests.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// All services.
    pub topology: Topology,
    /// Folders of `.dep/` that are there.
    pub present: BTreeSet<String>,
    /// Ports that were given to auto ports by name, per slot.
    pub ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// Range of the ports that are given when an instance is born.
    pub range: PortRange,
    /// Fixed ports of the topology that somebody listens on who is none of ours; who, in words.
    pub strangers: BTreeMap<u16, String>,
    /// Where each folder of `.dep/` is to come from.
    pub sources: BTreeMap<String, SourceChoice>,
    /// Stands for all that was in the manifests when they were read.
    pub fingerprint: u64,
    /// Edits are carried out as they are saved.
    pub follows_edits: bool,
    /// The services a new stack was asked for by name; none is all. Means nothing once something has been started.
    pub select: Vec<ServiceName>,
}

/// Manifests that are not good.
#[derive(Clone, Debug, Default)]
pub struct Rejected {
    /// What is wrong with them.
    pub problems: Vec<Problem>,
    /// Binaries that no source gives, and why.
    pub refused: BTreeMap<String, String>,
    /// Stands for all that was in the manifests when they were read.
    pub fingerprint: u64,
}

/// What the manifests are read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To carry out what they say.
    Apply {
        /// The operation that it is.
        operation: u64,
        /// Who wants it.
        by: Cause,
    },
    /// To say what carrying them out would change.
    Plan {
        /// The question.
        question: u64,
    },
    /// To find another source for a binary.
    OtherSource {
        /// The folder of `.dep/` that was asked for.
        folder: String,
        /// Why the source before did not give it.
        reason: String,
    },
}

impl Purpose {
    /// Whether somebody asked for what the manifests say to be carried out: then what failed is tried again.
    pub fn is_asked(&self) -> bool {
        matches!(self, Self::Apply { by: Cause::User(_), .. })
    }
}

/// Sources that have failed, by the name of the binary and the source's place in its list, and why.
pub type FailedSources = BTreeMap<(String, usize), String>;

/// The source that is to give a binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceChoice {
    /// Name of the binary.
    pub binary: String,
    /// Which of its sources, from 0.
    pub index: usize,
    /// How many it has.
    pub count: usize,
    /// The kind of source, as manifests call it.
    pub kind: String,
    /// Why those before it do not give the binary, each with its kind.
    pub earlier: Vec<String>,
}

/// Why nobody answers who stands over an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// It is known to be dead.
    Dead,
    /// It lives, and did not answer in time.
    Silent,
    /// It could not be tried, or did not succeed, and why.
    Failed(String),
}

/// Whether the edge reaches what its pointers name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It does.
    Reached,
    /// It does not, and why.
    Astray(String),
    /// It cannot be asked: it is down, or not one that answers such questions.
    Silent,
}

/// Which probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Is it ready?
    Readiness,
    /// Is it alive?
    Liveness,
}

/// What a probe was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As it should be.
    Good,
    /// What was wrong with it.
    Bad(String),
    /// The question could not be put, and why: the host lacks something, which says nothing of the service.
    Unasked(String),
}

/// What the supervisor finds when it begins.
#[derive(Clone, Debug)]
pub struct Found {
    /// The instance.
    pub instance: InstanceId,
    /// Number of its last invocation; 0 when none was begun.
    pub invocation: u32,
    /// Ports it was given.
    pub ports: BTreeMap<Identifier, u16>,
    /// Automatic restarts so far.
    pub restarts: u32,
    /// Failures in a row before the last start.
    pub failures: u32,
    /// What there is of it.
    pub life: Life,
}

/// What there is of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// Its shim lives and has nothing to do.
    Idle,
    /// It runs under its shim.
    Running {
        /// Its first process.
        pid: u32,
    },
    /// Its shim lives; its first process has ended.
    Exited {
        /// How.
        exit: Exit,
        /// Other processes of its tree still live.
        leftovers: bool,
    },
    /// Nothing lives; the record of its end is there.
    Recorded {
        /// How it ended.
        exit: Exit,
    },
    /// It runs without a shim.
    Unattended,
}
