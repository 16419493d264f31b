//! The actions that the engine asks for. The host carries them out and reports; it never decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use core_manifest::spec::{HttpAnswer, LogLimits};
use core_manifest::{Identifier, Problem, ServiceName, ServiceSpec, Template};

use crate::command::{Cause, Deploying};
use crate::event::{FailedSources, ProbeKind, Purpose};
use crate::ids::{Generation, InstanceId, InvocationId};
use crate::maintenance::Maintenance;
use crate::phase::StopReason;
use crate::plan::Plan;
use crate::record::Record;
use crate::trial::Trial;

/// One effect, for the host to carry out.
#[derive(Clone, Debug)]
pub enum Action {
    /// Save [`crate::Engine::saved`] durably, before the actions that follow.
    Save,
    /// Read the manifests. Answer: `Loaded` or `Rejected`; only one reading is under way at a time.
    Read {
        /// What they are read for.
        purpose: Purpose,
        /// Sources that must not be chosen, and why.
        failed_sources: FailedSources,
        /// The wanted releases, by service.
        releases: BTreeMap<ServiceName, String>,
        /// The releases that run beside live ones, by the services that run them.
        trials: BTreeMap<ServiceName, Trial>,
    },
    /// Answer a client that asked what applying the manifests would change.
    Planned {
        /// Number of the question.
        question: u64,
        /// The plan, or the problems of the manifests.
        result: Result<Box<Plan>, Vec<Problem>>,
    },
    /// Tell the client that its operation was accepted, once what it changed is saved.
    Accepted {
        /// Number of the operation.
        operation: u64,
    },
    /// Tell the client that asked for an operation that the manifests are not valid.
    Refused {
        /// Number of the operation.
        operation: u64,
        /// The problems of the manifests.
        problems: Vec<Problem>,
    },
    /// Keep the held sockets of these ports open, and close all others.
    Hold {
        /// Services and the names of their ports.
        ports: BTreeSet<(ServiceName, Identifier)>,
    },
    /// Keep the logs of each service within these limits; services not listed get the default limits.
    KeepLogs {
        /// The limits by service.
        limits: BTreeMap<ServiceName, LogLimits>,
    },
    /// From now on, cut the log of a service's running instances into segments of another size.
    CutLog {
        /// The service whose log it is.
        service: ServiceName,
        /// The size of a segment in bytes.
        segment_bytes: u64,
    },
    /// Download or build the contents of this folder in `.dep/`. Answer: `Prepared`.
    Prepare {
        /// The folder, by name.
        folder: String,
        /// A service that needs it.
        service: ServiceName,
    },
    /// Make a release of a service from its sources as they are now. Answer: `ReleaseMade`.
    MakeRelease {
        /// Number of the operation; comes back in the answer.
        operation: u64,
        /// The service whose app is built.
        service: ServiceName,
        /// What is asked for.
        how: Deploying,
        /// Who deploys.
        by: Cause,
    },
    /// Give up making a release. There is no answer, and no `ReleaseMade` of this operation is heard any more.
    DropRelease {
        /// Number of the operation.
        operation: u64,
        /// The service whose app is built.
        service: ServiceName,
    },
    /// Run what the manifest wants to be run after a deploy or a rollback. There is no answer.
    Hook {
        /// The service.
        service: ServiceName,
        /// Which of its hooks.
        hook: Hook,
        /// The release that it is about, if there is one.
        release: Option<String>,
        /// What failed, if something did.
        message: Option<String>,
    },
    /// A release has taken over: name it as the live one, for people. Answer: `Marked`.
    MarkLive {
        /// The service that runs it.
        service: ServiceName,
        /// The release.
        release: String,
    },
    /// Start an invocation, with a new shim if the instance has none. Answer: `Started` or `StartFailed`.
    Start(StartOrder),
    /// Send a signal to an invocation.
    Signal {
        /// The invocation to signal.
        invocation: InvocationId,
        /// The signal number.
        signal: i32,
        /// Which of its processes get the signal.
        scope: Scope,
    },
    /// Run the shell command that asks the service to stop.
    ShutdownCommand {
        /// The invocation to stop.
        invocation: InvocationId,
        /// The spec that holds the command.
        spec: Arc<ServiceSpec>,
        /// Its auto ports.
        ports: BTreeMap<Identifier, u16>,
        /// Why it is stopped.
        why: StopReason,
    },
    /// Kill the whole process tree, repeatedly until it is gone. Answer: `Exited` without leftovers, or `Emptied`.
    Kill {
        /// The invocation to kill.
        invocation: InvocationId,
    },
    /// Let the shim exit; no process of the instance is alive.
    Release {
        /// The instance of the shim.
        instance: InstanceId,
    },
    /// Open a new connection to the shim of the instance. Answer: `Adopted` or `Unreached`.
    Connect {
        /// The instance of the shim.
        instance: InstanceId,
        /// Number of the new connection.
        line: u32,
    },
    /// Start another shim for an instance that has lost its own. Answer: `Adopted`, `Unreached`, or `LineBroken`.
    Adopt {
        /// Number of the connection to the new shim.
        line: u32,
        /// The last invocation of the instance.
        invocation: InvocationId,
        /// The spec of that invocation.
        spec: Arc<ServiceSpec>,
        /// The state of the shim it replaces.
        replaces: Replaces,
    },
    /// Check that a shim answers. No answer comes when it does; else `Unreached`.
    Ask {
        /// The instance of the shim.
        instance: InstanceId,
        /// How long the shim may take to answer.
        within: Duration,
    },
    /// Run a probe. Answer: `Probed`.
    Probe {
        /// The invocation to probe.
        invocation: InvocationId,
        /// Which probe of the spec.
        probe: ProbeKind,
        /// The spec that holds the probe.
        spec: Arc<ServiceSpec>,
        /// Its auto ports.
        ports: BTreeMap<Identifier, u16>,
    },
    /// Count established connections. Answer: `Counted`.
    Count {
        /// The instance whose connections are counted.
        instance: InstanceId,
        /// The ports of that instance.
        ports: Vec<u16>,
    },
    /// Write the edge's pointers of a service. Answer: `Routed`.
    Route(RouteTable),
    /// Ask the edge whether it reaches the instances that the pointers of a service name. Answer: `Verified`.
    Verify(Verification),
    /// Give new connections to the held ports of a service to this instance, where each has a socket of its own. There is no
    /// answer.
    Direct {
        /// The instance.
        instance: InstanceId,
    },
    /// Lower the CPU priority of a process and its session, or restore it. There is no answer.
    Yield {
        /// PID of the first process of an instance.
        pid: u32,
        /// `true` lowers the priority, `false` restores it.
        yields: bool,
    },
    /// Tell an instance of a release which part it has from now on. There is no answer.
    TellRole {
        /// The instance.
        instance: InstanceId,
        /// PID of its first process; 0 if it is not known.
        pid: u32,
        /// Its part.
        role: Role,
    },
    /// Write an entry to the history: an operation started or ended. There is no answer.
    Record(Record),
    /// No process of the stack is left: the supervisor exits.
    Exit {
        /// Exit code of the stack.
        code: i32,
    },
}

/// What a manifest may have run after a deploy or a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// The release serves, and did so as long as it is observed.
    AfterSwitch,
    /// The deploy failed, at whatever step.
    OnFailure,
    /// The service went back to a release.
    OnRollback,
}

impl Hook {
    /// Its name in a manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::AfterSwitch => "after_switch",
            Self::OnFailure => "on_failure",
            Self::OnRollback => "on_rollback",
        }
    }
}

/// The part of an instance of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It serves, or is about to.
    Live,
    /// It was replaced, gets no requests, and is kept so that going back takes no boot.
    Warm,
    /// It runs beside the live release, under host names of its own.
    Preview,
    /// It runs beside the live release, and gets a share of the clients.
    Canary,
}

impl Role {
    /// The word that the instance is told, and that people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Warm => "warm",
            Self::Preview => "preview",
            Self::Canary => "canary",
        }
    }
}

/// The state of the shim that a new one replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// The old shim is known to be dead.
    Dead,
    /// The old shim did not answer, and is killed first.
    Silent,
}

/// Which processes of an invocation get a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The first process only.
    Leader,
    /// The process group of the first process.
    Group,
    /// Every process of the tree.
    Tree,
    /// Every process of the tree outside that process group.
    OutsideGroup,
}

/// Everything the host needs to start an invocation.
#[derive(Clone, Debug)]
pub struct StartOrder {
    /// Number of the connection to its shim; the shim is started too if there is none.
    pub line: u32,
    /// The invocation to start.
    pub invocation: InvocationId,
    /// The spec to start it from.
    pub spec: Arc<ServiceSpec>,
    /// Its auto ports.
    pub ports: BTreeMap<Identifier, u16>,
    /// Automatic restarts so far; comes back in [`crate::event::Found`].
    pub restarts: u32,
    /// Consecutive failures; comes back in [`crate::event::Found`].
    pub failures: u32,
}

/// Where the edge sends the requests of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    /// The service that has the route.
    pub service: ServiceName,
    /// Version of the table; an answer to an older version is dropped.
    pub version: u64,
    /// Number of pointer files: a power of two, at least twice the replicas of the manifest. It never shrinks.
    pub pointers: u32,
    /// Ready instances and their ports: pointer i names the one at i mod n. Empty: requests are refused.
    pub targets: Vec<Target>,
    /// Where requests go that name another release: pages that were opened before a deploy.
    pub former: Option<Former>,
    /// Of a trial: which requests are meant for it.
    pub trial: Option<TrialRoute>,
    /// Whether releases of it may be tried: the edge looks for them at each request.
    pub may_try: bool,
    /// The release that all targets run, if it is one. While they run two, each of them answers for its own files, as it does
    /// for its pages.
    pub release: Option<String>,
    /// Whether the edge answers in the place of the service, and how.
    pub maintenance: Option<Maintenance>,
}

/// Which requests are meant for a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialRoute {
    /// What is tried: its set of pointers.
    pub trial: Trial,
    /// Its release.
    pub release: String,
    /// Whether it is to get any.
    pub is_open: bool,
    /// Whether nothing of it runs until somebody asks for it.
    pub is_asleep: bool,
}

/// A release that has been replaced, and whose instances are still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Its ID, as requests name it.
    pub release: String,
    /// Its ready instances: at least one.
    pub targets: Vec<Target>,
}

/// An instance that takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name of the instance.
    pub instance: InstanceId,
    /// The port it takes them on.
    pub port: u16,
}

/// A question to the edge: does each pointer lead to the instance that it names?
#[derive(Clone, Debug)]
pub struct Verification {
    /// The service of the pointers.
    pub service: ServiceName,
    /// Generation of its new instances; comes back in the answer.
    pub born: Generation,
    /// Path and query of the request.
    pub path: Template,
    /// The answer that counts as good.
    pub answer: HttpAnswer,
    /// The edge instance that is asked.
    pub edge: InstanceId,
    /// The new instances, each with the index of the first pointer that names it.
    pub targets: Vec<(u32, Target)>,
}

/// The smallest number of pointer files of a service.
const LEAST_POINTERS: u32 = 16;

/// Number of pointer files that the edge reads for a service with this many replicas: a power of two, at least twice
/// the replicas. One slot more or less then changes what pointers name, but not how many there are.
pub fn pointers(replicas: u32) -> u32 {
    (2 * replicas).next_power_of_two().max(LEAST_POINTERS)
}
