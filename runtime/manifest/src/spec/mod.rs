//! A service as it is carried out: every default filled in, every placeholder replaced but those of one instance.

mod faults;
mod holes;
mod ports;
mod probe;
mod resolve;
mod route;
mod seconds;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::manifest::compose::{Condition, Restart};
pub use crate::manifest::{Kind, Protocol, Strategy};
use crate::name::{Identifier, ServiceName};
use crate::origin::Origin;
use crate::template::Template;
pub use probe::{Check, HttpAnswer, Probe};
pub use resolve::{Context, resolve};

/// One service, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its name.
    pub name: ServiceName,
    /// The kind of program.
    pub kind: Kind,
    /// What it is, for people.
    pub description: Option<String>,
    /// Label for grouping.
    pub namespace: Option<String>,
    /// The program, or the shell line.
    pub command: Template,
    /// Its arguments.
    pub args: Vec<Template>,
    /// Variables on top of the environment that `core up` had: `.env`, then the profile's, then the manifest's.
    pub env: BTreeMap<String, Template>,
    /// Working directory.
    pub working_dir: Template,
    /// `command` is a line for `sh -c`.
    pub shell: bool,
    /// Who it runs as, and within which limits.
    pub identity: Identity,
    /// Not started with the stack.
    pub disabled: bool,
    /// Its first process ends with 0 once what it began is up in the background.
    #[serde(default)]
    pub is_daemon: bool,
    /// How many slots.
    pub replicas: u32,
    /// What it waits for.
    pub depends_on: BTreeMap<ServiceName, Condition>,
    /// What happens when it ends.
    pub availability: Availability,
    /// Exit codes besides 0 that are a good end.
    pub success_exit_codes: BTreeSet<u8>,
    /// When it counts as ready.
    pub readiness: Option<Probe>,
    /// When it counts as alive.
    pub liveness: Option<Probe>,
    /// How it is asked to end.
    pub shutdown: Shutdown,
    /// Limits of its logs.
    pub log: LogLimits,
    /// Its ports.
    pub ports: BTreeMap<Identifier, PortSpec>,
    /// What the edge sends to it.
    pub route: Option<Route>,
    /// How a change of it is carried out.
    pub update: Update,
    /// What must have landed before it starts: binary to folder or program.
    pub binaries: BTreeMap<Identifier, BinaryRef>,
    /// Files written into its run folder before each start.
    pub files: Vec<GeneratedFile>,
    /// Its release, where it is an app that was built.
    pub release: Option<String>,
    /// Folder of its data, where no two services may be in it at a time.
    #[serde(default)]
    pub store: Option<String>,
    /// What its variables and secrets are, as digests; `None` in what was saved by a version that had their texts in the
    /// spec.
    #[serde(default)]
    pub values: Option<BTreeMap<Origin, String>>,
    /// Of an edge: the proxies in front of it that are believed, as they are written.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
}

/// Who a service runs as, and within which limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User by name or number.
    pub user: Option<String>,
    /// Group by name or number.
    pub group: Option<String>,
    /// File mode mask.
    pub umask: Option<u32>,
    /// Resource limits by name (`nofile`, `nproc`, `core`, `as`); `None` is unlimited.
    pub limits: BTreeMap<String, Option<u64>>,
    /// Scheduling priority.
    pub nice: Option<i32>,
    /// Readiness to be killed when memory runs out.
    pub oom_score_adj: Option<i32>,
}

/// What happens when a service ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Availability {
    /// When it is started again.
    pub restart: Restart,
    /// First pause; zero is none.
    #[serde(with = "seconds")]
    pub backoff: Duration,
    /// Restarts after which it is given up; 0 is never.
    pub max_restarts: u32,
    /// The stack ends when it has ended for good.
    pub exit_on_end: bool,
    /// The stack ends when it is skipped.
    pub exit_on_skipped: bool,
}

/// How a service is asked to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shutdown {
    /// The signal that asks.
    pub signal: i32,
    /// When KILL follows.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// A shell line that asks instead.
    pub command: Option<Template>,
    /// Ask only the first process.
    pub parent_only: bool,
}

/// Limits of the logs on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Size at which a new segment begins, in bytes.
    pub segment_bytes: u64,
    /// Older segments kept per slot and stream; 0 is all.
    pub keep_segments: u32,
    /// Days after which a segment is deleted; 0 is never.
    pub keep_days: u32,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// Its number; `None` is auto.
    pub number: Option<u16>,
    /// What is spoken.
    pub protocol: Protocol,
    /// Address it is bound to (held) or looked for at.
    pub address: String,
    /// core holds the listening socket.
    pub hold: bool,
}

/// What the edge sends to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Host names; none is any.
    pub hosts: Vec<String>,
    /// Path prefixes.
    pub paths: Vec<String>,
    /// The prefix is taken away.
    pub strip_prefix: bool,
    /// The port that takes the requests.
    pub port: Identifier,
}

/// How a change is carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The way.
    pub strategy: Strategy,
    /// Why that way, where nobody asked for it.
    pub strategy_reason: Option<String>,
    /// Good probes in a row before a new instance takes over.
    pub successes: u32,
    /// How long a start may take.
    #[serde(with = "seconds")]
    pub ready: Duration,
    /// How long the old one stays afterwards.
    #[serde(with = "seconds")]
    pub observe: Duration,
    /// How long it takes until the new ones get all requests.
    #[serde(with = "seconds", default)]
    pub ramp: Duration,
    /// How long open connections get.
    #[serde(with = "seconds")]
    pub drain: Duration,
}

/// A binary that a service uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryRef {
    /// Folder in `.dep/` that must be there; `None` for a program of the machine.
    pub folder: Option<String>,
    /// Absolute path that `${dep.NAME}` stands for.
    pub path: String,
    /// The version, or the first characters of the hash.
    pub version: String,
    /// The source that gives it, such as `pypi`.
    pub source: String,
}

/// A file that a driver generates; written before each start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratedFile {
    /// Where: a path in the run folder.
    pub path: Template,
    /// What.
    pub contents: Template,
}

impl ServiceSpec {
    /// A service with nothing but a name and a command: every default, and never restarted.
    pub fn bare(name: ServiceName, command: &str) -> Self {
        Self {
            name,
            kind: Kind::Process,
            description: None,
            namespace: None,
            command: Template::literal(command),
            args: Vec::new(),
            env: BTreeMap::new(),
            working_dir: Template::literal("/"),
            shell: false,
            identity: Identity::default(),
            disabled: false,
            is_daemon: false,
            replicas: 1,
            depends_on: BTreeMap::new(),
            availability: Availability {
                restart: Restart::No,
                backoff: Duration::from_millis(100),
                max_restarts: 0,
                exit_on_end: false,
                exit_on_skipped: false,
            },
            success_exit_codes: BTreeSet::new(),
            readiness: None,
            liveness: None,
            shutdown: Shutdown { signal: 15, timeout: Duration::from_secs(10), command: None, parent_only: false },
            log: LogLimits { segment_bytes: 16 << 20, keep_segments: 8, keep_days: 0 },
            ports: BTreeMap::new(),
            route: None,
            update: Update {
                strategy: Strategy::Restart,
                strategy_reason: None,
                successes: 3,
                ready: Duration::from_secs(60),
                observe: Duration::from_secs(5),
                ramp: Duration::from_secs(5),
                drain: Duration::from_secs(30),
            },
            binaries: BTreeMap::new(),
            files: Vec::new(),
            release: None,
            store: None,
            values: Some(BTreeMap::new()),
            trusted_proxies: Vec::new(),
        }
    }

    /// Whether it says itself how it is, on `NOTIFY_SOCKET`.
    pub fn notifies(&self) -> bool {
        [&self.readiness, &self.liveness].into_iter().flatten().any(|probe| probe.check == Check::Notify)
    }

    /// How often it must say that it lives, where it must.
    pub fn watchdog(&self) -> Option<Duration> {
        self.liveness.as_ref().filter(|probe| probe.check == Check::Notify).map(|probe| probe.period)
    }

    /// The descriptors a service gets for its held ports: 3 and up, in the order of their names.
    pub fn held_ports(&self) -> impl Iterator<Item = (&Identifier, &PortSpec)> {
        self.ports.iter().filter(|(_, port)| port.hold)
    }

    /// Whether an exit code is a good end.
    pub fn is_success(&self, code: i32) -> bool {
        code == 0 || u8::try_from(code).is_ok_and(|code| self.success_exit_codes.contains(&code))
    }
}
