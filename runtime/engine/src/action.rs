//! What the engine wants done. An action is carried out by the host, which reports and never decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use core_manifest::spec::{HttpAnswer, LogLimits};
use core_manifest::{Identifier, Problem, ServiceName, ServiceSpec, Template};

use crate::event::{FailedSources, ProbeKind, Purpose};
use crate::ids::{Generation, InstanceId, InvocationId};
use crate::phase::StopReason;
use crate::plan::Plan;
use crate::record::Record;

/// One effect.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write down [`crate::Engine::saved`], durably, before what follows.
    Save,
    /// Read the manifests. Answer: `Loaded` or `Rejected`; there is one reading at a time.
    Read {
        /// What for.
        purpose: Purpose,
        /// Sources that are not to be chosen, and why.
        failed_sources: FailedSources,
    },
    /// Tell who asked what the manifests would change, or what is wrong with them.
    Planned {
        /// The question.
        question: u64,
        /// The answer.
        result: Result<Box<Plan>, Vec<Problem>>,
    },
    /// Tell who asked for an operation that it has begun, when what it changed is written down.
    Accepted {
        /// The operation.
        operation: u64,
    },
    /// Tell who asked for an operation that the manifests are broken.
    Refused {
        /// The operation.
        operation: u64,
        /// What is wrong with them.
        problems: Vec<Problem>,
    },
    /// Keep the held sockets of these ports open, and close all others.
    Hold {
        /// Services and names of their ports.
        ports: BTreeSet<(ServiceName, Identifier)>,
    },
    /// Keep so much of the logs of each service; what a service had that is not among them, by the default limits.
    KeepLogs {
        /// Limits by service.
        limits: BTreeMap<ServiceName, LogLimits>,
    },
    /// Cut the log of what runs of a service at another size from now on.
    CutLog {
        /// The service.
        service: ServiceName,
        /// The size of a segment.
        segment_bytes: u64,
    },
    /// Fetch or build what belongs into this folder of `.dep/`. Answer: `Prepared`.
    Prepare {
        /// The folder.
        folder: String,
        /// A service that needs it.
        service: ServiceName,
    },
    /// Start an invocation, with a new shim where the instance has none. Answer: `Started` or `StartFailed`.
    Start(StartOrder),
    /// Send a signal.
    Signal {
        /// The invocation.
        invocation: InvocationId,
        /// The signal.
        signal: i32,
        /// To whom.
        scope: Scope,
    },
    /// Run the shell line that asks the service to end.
    ShutdownCommand {
        /// The invocation.
        invocation: InvocationId,
        /// Its spec.
        spec: Arc<ServiceSpec>,
        /// Its auto ports.
        ports: BTreeMap<Identifier, u16>,
        /// Why it is to end.
        why: StopReason,
    },
    /// Kill the whole tree, again and again until nothing is left. Answer: `Exited` without leftovers, or `Emptied`.
    Kill {
        /// The invocation.
        invocation: InvocationId,
    },
    /// The shim may go; nothing of the instance lives.
    Release {
        /// The instance.
        instance: InstanceId,
    },
    /// Make a new line to the shim that stands over the instance. Answer: `Adopted` or `Unreached`.
    Connect {
        /// The instance.
        instance: InstanceId,
        /// Number of the new line.
        line: u32,
    },
    /// Put another shim over what one has left. Answer: `Adopted`, `Unreached`, or `LineBroken`.
    Adopt {
        /// Number of the line to the new shim.
        line: u32,
        /// The last invocation.
        invocation: InvocationId,
        /// Its spec.
        spec: Arc<ServiceSpec>,
        /// Whom it replaces.
        replaces: Replaces,
    },
    /// Ask a shim whether it is there. Answer: none when it is, else `Unreached`.
    Ask {
        /// The instance.
        instance: InstanceId,
        /// How long it may take.
        within: Duration,
    },
    /// Ask. Answer: `Probed`.
    Probe {
        /// Whom.
        invocation: InvocationId,
        /// Which probe of the spec.
        probe: ProbeKind,
        /// Its spec.
        spec: Arc<ServiceSpec>,
        /// Its auto ports.
        ports: BTreeMap<Identifier, u16>,
    },
    /// Count established connections. Answer: `Counted`.
    Count {
        /// The instance.
        instance: InstanceId,
        /// Its ports.
        ports: Vec<u16>,
    },
    /// Write the edge's pointers of a service. Answer: `Routed`.
    Route(RouteTable),
    /// Ask the edge whether it reaches what the pointers of a service name. Answer: `Verified`.
    Verify(Verification),
    /// Let a process and its session yield the processor to others, or no longer. Nothing follows from it.
    Yield {
        /// The first process of an instance.
        pid: u32,
        /// Whether.
        yields: bool,
    },
    /// Write down, for people, what was begun, and how it ended. Nothing follows from it.
    Record(Record),
    /// Nothing is left: the supervisor is done.
    Exit {
        /// Exit code of the stack.
        code: i32,
    },
}

/// Whom a new shim replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// One that is known to be dead.
    Dead,
    /// One that did not answer: it is killed first.
    Silent,
}

/// To whom a signal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The first process.
    Leader,
    /// Its process group.
    Group,
    /// Every process of the tree.
    Tree,
    /// Every process of the tree that is not in that group.
    OutsideGroup,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct StartOrder {
    /// Number of the line to its shim, which is made with it where there is none.
    pub line: u32,
    /// The invocation.
    pub invocation: InvocationId,
    /// Its spec.
    pub spec: Arc<ServiceSpec>,
    /// Its auto ports.
    pub ports: BTreeMap<Identifier, u16>,
    /// Automatic restarts so far; comes back in [`crate::event::Found`].
    pub restarts: u32,
    /// Failures in a row; comes back in [`crate::event::Found`].
    pub failures: u32,
}

/// Where the edge sends the requests of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    /// The service.
    pub service: ServiceName,
    /// Version; an answer to an older one is dropped.
    pub version: u64,
    /// How many pointer files there are: a power of two, at least twice the replicas.
    pub pointers: u32,
    /// Ready instances and their ports: pointer i names the one at i mod n. None: requests are refused.
    pub targets: Vec<Target>,
}

/// One instance that takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The instance.
    pub instance: InstanceId,
    /// Its port.
    pub port: u16,
}

/// A question to the edge: does each pointer lead to the instance that it names?
#[derive(Clone, Debug)]
pub struct Verification {
    /// The service.
    pub service: ServiceName,
    /// Generation of its new instances; comes back in the answer.
    pub born: Generation,
    /// What is asked for: path and query.
    pub path: Template,
    /// What the answer must be.
    pub answer: HttpAnswer,
    /// The edge that is asked.
    pub edge: InstanceId,
    /// The new instances, each with the first pointer that names it.
    pub targets: Vec<(u32, Target)>,
}

/// The least number of pointer files of a service.
const LEAST_POINTERS: u32 = 16;

/// How many pointer files the edge reads for a service of so many replicas: a power of two, at least twice the
/// replicas, so that a slot more or less changes what pointers name, and never how many there are.
pub fn pointers(replicas: u32) -> u32 {
    (2 * replicas).next_power_of_two().max(LEAST_POINTERS)
}
