//! The events that the engine takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use core_manifest::{Identifier, Problem, ServiceName};

use crate::command::Cause;
pub use crate::command::{Command, Make};
use crate::exit::{Exit, Failure};
use crate::ids::{Generation, InstanceId, InvocationId};
use crate::saved::Saved;
use crate::topology::{PortRange, Topology};

/// Something that happened, as the host reports it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The supervisor has started: the state saved by the previous one, and what is alive. The first event, sent once.
    Restored {
        /// Whether somebody has started the stack since the state was saved: a stop that was under way then is over,
        /// even if its end was never saved, because the disk was stuck or the machine lost its power.
        launched: bool,
        /// The saved state; `None` for a new stack, or when the file could not be read.
        saved: Option<Box<Saved>>,
        /// The instances whose shim, process or exit record was found.
        found: Vec<Found>,
    },
    /// The contents of the manifests have changed.
    Edited {
        /// Fingerprint of everything in them.
        fingerprint: u64,
    },
    /// The manifests were read and are valid.
    Loaded(Loaded),
    /// The manifests were read and are not valid: the last good topology stays.
    Rejected(Rejected),
    /// A client asks what applying the manifests would change. Answer: `Planned`.
    PlanWanted {
        /// Number of the question; comes back in the answer.
        question: u64,
    },
    /// A client, a signal or core itself asks for an operation.
    Command {
        /// Number of the operation.
        operation: u64,
        /// What is to be done.
        command: Command,
        /// Who or what asked for it.
        by: Cause,
    },
    /// A binary was put into `.dep/`, or is not available.
    Prepared {
        /// Its folder in `.dep/`.
        folder: String,
        /// `Ok` when it is there; else why it is not available.
        result: Result<(), Unavailable>,
    },
    /// A release was made and has landed, or was not made.
    ReleaseMade {
        /// Number of the operation that asked for it.
        operation: u64,
        /// The service whose release it is.
        service: ServiceName,
        /// The release; else why there is none.
        result: Result<String, String>,
    },
    /// The host is short of memory: what is kept warm ends first.
    MemoryShort,
    /// What an instance of a service with trials has answered since its process started.
    Answered {
        /// The instance.
        instance: InstanceId,
        /// How many requests it has answered.
        answers: u64,
        /// How many of them with a status of 500 or more.
        errors: u64,
    },
    /// Somebody asks for a preview that sleeps.
    Visited {
        /// The service that runs it.
        service: ServiceName,
    },
    /// The live release is named for people, or could not be: nobody waits for that any longer.
    Marked {
        /// The service that runs it.
        service: ServiceName,
        /// The release.
        release: String,
    },
    /// The first process of an invocation was executed.
    Started {
        /// The invocation that was started.
        invocation: InvocationId,
        /// PID of its first process.
        pid: u32,
    },
    /// A start failed; no process of it is alive.
    StartFailed {
        /// The invocation that was to start.
        invocation: InvocationId,
        /// Why it failed.
        failure: Failure,
    },
    /// The first process of an invocation has exited.
    Exited {
        /// The invocation whose process exited.
        invocation: InvocationId,
        /// How it exited.
        exit: Exit,
        /// Whether other processes of its tree are still alive.
        leftovers: bool,
    },
    /// No process of an invocation is alive any more (after an exit with leftovers).
    Emptied {
        /// The invocation that is gone.
        invocation: InvocationId,
    },
    /// The connection to the shim of an instance was closed. This does not tell whether the shim is alive.
    LineBroken {
        /// The instance of that shim.
        instance: InstanceId,
        /// Number of the connection; reports about an older one are dropped.
        line: u32,
    },
    /// The keeper reports that a shim was stopped (SIGSTOP).
    ShimStopped {
        /// The instance of that shim.
        instance: InstanceId,
    },
    /// Nothing answers at the other end of a connection, or no connection could be made.
    Unreached {
        /// The instance of the shim.
        instance: InstanceId,
        /// Number of the connection.
        line: u32,
        /// What is known about the shim.
        why: Unreached,
    },
    /// A shim looks after the instance: the same one on a new connection, or another one that has taken over.
    Adopted {
        /// The instance of the shim.
        instance: InstanceId,
        /// Number of the connection on which the shim reported this.
        line: u32,
        /// Number of the last invocation that was started; 0 for none.
        invocation: u32,
        /// The state in which the shim found the instance.
        life: Life,
    },
    /// A probe was answered, or could not be run.
    Probed {
        /// The invocation that was probed.
        invocation: InvocationId,
        /// Which of its probes.
        probe: ProbeKind,
        /// The result.
        answer: Answer,
    },
    /// Established connections were counted, as `Count` asked.
    Counted {
        /// The instance whose connections were counted.
        instance: InstanceId,
        /// Number of established connections to its ports.
        established: u32,
    },
    /// The edge's pointers of a service were written, or could not be.
    Routed {
        /// The service of the pointers.
        service: ServiceName,
        /// Version of the route table.
        version: u64,
        /// `Ok` when they were written; else why not.
        result: Result<(), String>,
    },
    /// The edge was asked whether it reaches the new instances of a service.
    Verified {
        /// The service of those instances.
        service: ServiceName,
        /// The generation of those instances.
        born: Generation,
        /// The result.
        reach: Reach,
    },
    /// A deadline has passed.
    Tick,
}

/// Valid manifests, and what was looked up when they were read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// All services.
    pub topology: Topology,
    /// Folders that exist in `.dep/`.
    pub present: BTreeSet<String>,
    /// Ports that were given to auto ports by name, per slot.
    pub ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// The range that ports are taken from when an instance is created.
    pub range: PortRange,
    /// Fixed ports of the topology on which a process outside this stack listens; the value describes that process.
    pub strangers: BTreeMap<u16, String>,
    /// The source of each folder in `.dep/`.
    pub sources: BTreeMap<String, SourceChoice>,
    /// The release that the topology has of each service that has releases.
    pub releases: BTreeMap<ServiceName, String>,
    /// Fingerprint of everything in the manifests when they were read.
    pub fingerprint: u64,
    /// Whether edits are applied as they are saved.
    pub follows_edits: bool,
    /// The services a new stack was asked for by name; empty means all. Ignored once something has been started.
    pub select: Vec<ServiceName>,
}

/// Manifests that are not valid.
#[derive(Clone, Debug, Default)]
pub struct Rejected {
    /// The problems found in them.
    pub problems: Vec<Problem>,
    /// Binaries that no source provides, and why.
    pub refused: BTreeMap<String, String>,
    /// Fingerprint of everything in the manifests when they were read.
    pub fingerprint: u64,
}

/// What a reading of the manifests is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To apply them.
    Apply {
        /// Number of the operation.
        operation: u64,
        /// Who or what asked for it.
        by: Cause,
    },
    /// To report what applying them would change.
    Plan {
        /// Number of the question.
        question: u64,
    },
    /// To find another source for a binary.
    OtherSource {
        /// The folder in `.dep/` that was asked for.
        folder: String,
        /// Why the previous source failed.
        reason: String,
    },
}

impl Purpose {
    /// Whether a user asked for the manifests to be applied: then whatever failed before is tried again.
    pub fn is_asked(&self) -> bool {
        matches!(self, Self::Apply { by: Cause::User(_), .. })
    }
}

/// Why a binary is not available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The reason, in words.
    pub why: String,
    /// No other source is to be tried: what came was not what is locked.
    pub is_final: bool,
}

impl From<String> for Unavailable {
    fn from(why: String) -> Self {
        Self { why, is_final: false }
    }
}

/// Sources that have failed and why, by the name of the binary and the index of the source in its list.
pub type FailedSources = BTreeMap<(String, usize), String>;

/// The source chosen for a binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceChoice {
    /// Name of the binary.
    pub binary: String,
    /// Index of the source in the binary's list, from 0.
    pub index: usize,
    /// Number of sources in that list.
    pub count: usize,
    /// The kind of source, as manifests call it.
    pub kind: String,
    /// Why each earlier source does not provide the binary, with its kind.
    pub earlier: Vec<String>,
}

/// Why the shim of an instance does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The shim is known to be dead.
    Dead,
    /// The shim is alive and did not answer in time.
    Silent,
    /// The attempt could not be made, or failed; with the reason.
    Failed(String),
}

/// Whether the edge reaches the instances that its pointers name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It reaches them.
    Reached,
    /// It does not reach them; with the reason.
    Astray(String),
    /// It cannot be asked: it is down, or does not answer this kind of request.
    Silent,
}

/// A kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Tests whether the instance is ready.
    Readiness,
    /// Tests whether the instance is alive.
    Liveness,
}

/// The result of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The probe succeeded.
    Good,
    /// The probe failed; with what was wrong.
    Bad(String),
    /// The probe could not be run, and why: the host lacks something, so this says nothing about the service.
    Unasked(String),
}

/// An instance that the supervisor finds when it starts.
#[derive(Clone, Debug)]
pub struct Found {
    /// The name of the instance.
    pub instance: InstanceId,
    /// Number of its last invocation; 0 when it was never started.
    pub invocation: u32,
    /// The auto ports it was given.
    pub ports: BTreeMap<Identifier, u16>,
    /// Automatic restarts so far.
    pub restarts: u32,
    /// Consecutive failures before the last start.
    pub failures: u32,
    /// The state in which it was found.
    pub life: Life,
}

/// The state of an instance as its shim or its exit record shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// Its shim is alive and runs nothing.
    Idle,
    /// The shim and the first process are alive.
    Running {
        /// PID of the first process.
        pid: u32,
    },
    /// The shim is alive; the first process has exited.
    Exited {
        /// How the first process exited.
        exit: Exit,
        /// Whether other processes of its tree are still alive.
        leftovers: bool,
    },
    /// Nothing is alive; the exit record exists.
    Recorded {
        /// The exit in that record.
        exit: Exit,
    },
    /// It runs without a shim.
    Unattended,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("not started yet"),
            Self::Running { pid } => write!(f, "running as process {pid}"),
            Self::Exited { exit, leftovers: false } | Self::Recorded { exit } => exit.fmt(f),
            Self::Exited { exit, .. } => write!(f, "{exit}; other processes of it are still running"),
            Self::Unattended => f.write_str("running without a shim"),
        }
    }
}
