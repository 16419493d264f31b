//! A resolved service: every default is filled in, and only the placeholders of one instance are left.

mod auth;
mod edge;
mod faults;
mod holes;
mod networks;
mod pages;
mod ports;
mod probe;
mod rate;
mod resolve;
mod route;
mod seconds;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::manifest::compose::{Condition, Restart};
pub use crate::manifest::edge::Tls;
pub use crate::manifest::{Kind, Protocol, Strategy};
use crate::name::{Identifier, ServiceName};
use crate::origin::Origin;
use crate::template::Template;
pub use auth::{Asked, Auth};
pub use edge::{EdgeSpec, OnDemand, OwnCertificate, Terms};
pub use probe::{Check, HttpAnswer, Probe};
pub use rate::{Key, Rate};
pub use resolve::{Context, resolve};

/// One service, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Name of the service.
    pub name: ServiceName,
    /// The kind of program.
    pub kind: Kind,
    /// A description for people.
    pub description: Option<String>,
    /// A label for grouping.
    pub namespace: Option<String>,
    /// The program, or the shell command.
    pub command: Template,
    /// The arguments of the program.
    pub args: Vec<Template>,
    /// Variables on top of the environment of `core up`: those of `.env`, then the profile's, then the manifest's.
    pub env: BTreeMap<String, Template>,
    /// The working directory.
    pub working_dir: Template,
    /// Whether `command` is a command line for `sh -c`.
    pub shell: bool,
    /// The user it runs as, and its limits.
    pub identity: Identity,
    /// Whether it is not started with the stack.
    pub disabled: bool,
    /// Whether its first process exits with 0 once the daemon it started is up in the background.
    #[serde(default)]
    pub is_daemon: bool,
    /// Number of slots.
    pub replicas: u32,
    /// The services that it waits for, each with a condition.
    pub depends_on: BTreeMap<ServiceName, Condition>,
    /// What happens when it exits.
    pub availability: Availability,
    /// Exit codes other than 0 that count as success.
    pub success_exit_codes: BTreeSet<u8>,
    /// The probe that tells whether it is ready.
    pub readiness: Option<Probe>,
    /// The probe that tells whether it is alive.
    pub liveness: Option<Probe>,
    /// How it is asked to stop.
    pub shutdown: Shutdown,
    /// Limits of its logs.
    pub log: LogLimits,
    /// Its ports by name.
    pub ports: BTreeMap<Identifier, PortSpec>,
    /// The requests that the edge sends to it.
    pub route: Option<Route>,
    /// How a change of it is carried out.
    pub update: Update,
    /// The binaries that must be there before it starts.
    pub binaries: BTreeMap<Identifier, BinaryRef>,
    /// Files written into its run folder before each start.
    pub files: Vec<GeneratedFile>,
    /// Its release, if it is an app that core builds.
    pub release: Option<String>,
    /// Its data folder, if only one service at a time may use that.
    #[serde(default)]
    pub store: Option<String>,
    /// Digests of its variables and secrets; `None` in a spec saved by a version that kept the values in the texts of
    /// the spec.
    #[serde(default)]
    pub values: Option<BTreeMap<Origin, String>>,
    /// For an edge: how it meets the world.
    #[serde(default)]
    pub edge: EdgeSpec,
    /// For an app: whether a cookie names the release of its pages.
    #[serde(default)]
    pub skew_cookie: bool,
}

/// The user a service runs as, and its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User, by name or number.
    pub user: Option<String>,
    /// Group, by name or number.
    pub group: Option<String>,
    /// File mode mask.
    pub umask: Option<u32>,
    /// Resource limits by name (`nofile`, `nproc`, `core`, `as`); `None` is unlimited.
    pub limits: BTreeMap<String, Option<u64>>,
    /// The nice value, -20 to 19.
    pub nice: Option<i32>,
    /// The OOM score adjustment, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// What happens when a service exits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Availability {
    /// When it is started again.
    pub restart: Restart,
    /// First pause before a restart; zero means no pause.
    #[serde(with = "seconds")]
    pub backoff: Duration,
    /// Restarts after which it is given up; 0 means never.
    pub max_restarts: u32,
    /// Whether the stack stops when the service has ended for good.
    pub exit_on_end: bool,
    /// Whether the stack stops when the service is skipped.
    pub exit_on_skipped: bool,
}

/// How a service is asked to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shutdown {
    /// Number of the signal that asks.
    pub signal: i32,
    /// Time until SIGKILL follows.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// A shell command that asks instead of the signal.
    pub command: Option<Template>,
    /// Whether only the first process gets the signal.
    pub parent_only: bool,
}

/// Limits of the logs on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Size of a full segment, in bytes.
    pub segment_bytes: u64,
    /// Older segments kept per slot and stream; 0 means all.
    pub keep_segments: u32,
    /// Days after which a segment is deleted; 0 means never.
    pub keep_days: u32,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// The port number; `None` means auto.
    pub number: Option<u16>,
    /// The protocol spoken on it.
    pub protocol: Protocol,
    /// The address that a held port is bound to, or that a probe connects to.
    pub address: String,
    /// Whether core holds the listening socket.
    pub hold: bool,
}

/// The requests that the edge sends to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Host names; empty means any.
    pub hosts: Vec<String>,
    /// Path prefixes.
    pub paths: Vec<String>,
    /// Whether the prefix is removed from the path.
    pub strip_prefix: bool,
    /// Host names of the service alone, with which it gets every path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_hosts: Vec<String>,
    /// Path prefixes whose requests get the origin `http://localhost`, if they are of the service's own pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local_origin: Vec<String>,
    /// On which terms its clients are answered.
    #[serde(default)]
    pub terms: Terms,
    /// Name of the port that takes the requests.
    pub port: Identifier,
}

impl Route {
    /// All requests for any host.
    pub fn bare(port: Identifier) -> Self {
        Self {
            hosts: Vec::new(),
            paths: vec!["/".into()],
            strip_prefix: false,
            own_hosts: Vec::new(),
            local_origin: Vec::new(),
            terms: Terms::default(),
            port,
        }
    }

    /// All host names that people use for it, those that are sent on to another one included.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.hosts.iter().chain(&self.terms.redirect_hosts)
    }
}

/// How a change of a service is carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// How instances are replaced.
    pub strategy: Strategy,
    /// Why this strategy, if the manifest does not set one.
    pub strategy_reason: Option<String>,
    /// Consecutive successful probes before a new instance takes over.
    pub successes: u32,
    /// How long a start may take until the service is ready.
    #[serde(with = "seconds")]
    pub ready: Duration,
    /// How long the old instance stays after the switch.
    #[serde(with = "seconds")]
    pub observe: Duration,
    /// How long it takes until the new instances get all requests.
    #[serde(with = "seconds", default)]
    pub ramp: Duration,
    /// How long open connections have to finish.
    #[serde(with = "seconds")]
    pub drain: Duration,
    /// How long the instances of a release that was replaced by a swap are kept.
    #[serde(with = "seconds", default)]
    pub warm: Duration,
    /// How long a preview runs while nobody asks for it; zero means for ever.
    #[serde(with = "seconds", default)]
    pub idle: Duration,
    /// How long after its last deploy a preview is kept; zero means for ever.
    #[serde(with = "seconds", default)]
    pub age: Duration,
}

/// A binary that a service uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryRef {
    /// The folder in `.dep/` that must exist; `None` for a program of the host.
    pub folder: Option<String>,
    /// The absolute path that `${dep.NAME}` stands for.
    pub path: String,
    /// The version, or the first characters of the hash.
    pub version: String,
    /// The source that provides it, for example `pypi`.
    pub source: String,
}

/// A file that a driver generates; written before each start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratedFile {
    /// Its path in the run folder.
    pub path: Template,
    /// Its contents.
    pub contents: Template,
}

impl ServiceSpec {
    /// A service with only a name and a command: every other field has its default, and it is never restarted.
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
                warm: Duration::ZERO,
                idle: Duration::ZERO,
                age: Duration::ZERO,
            },
            binaries: BTreeMap::new(),
            files: Vec::new(),
            release: None,
            store: None,
            values: Some(BTreeMap::new()),
            edge: EdgeSpec::default(),
            skew_cookie: false,
        }
    }

    /// The cookie that names the release of its pages, if it wants one: several services may have one host.
    pub fn release_cookie(&self) -> Option<String> {
        self.skew_cookie.then(|| format!("core_release_{}", self.name.parent()))
    }

    /// Whether it reports its own state on `NOTIFY_SOCKET`.
    pub fn notifies(&self) -> bool {
        [&self.readiness, &self.liveness].into_iter().flatten().any(|probe| probe.check == Check::Notify)
    }

    /// The longest time between two reports that it is alive, if it has to report that.
    pub fn watchdog(&self) -> Option<Duration> {
        self.liveness.as_ref().filter(|probe| probe.check == Check::Notify).map(|probe| probe.period)
    }

    /// The held ports, in the order of their names. The service gets them as descriptors from 3 on, in this order.
    pub fn held_ports(&self) -> impl Iterator<Item = (&Identifier, &PortSpec)> {
        self.ports.iter().filter(|(_, port)| port.hold)
    }

    /// Whether each instance has a socket of its own for a held port: an edge has two instances while it is replaced, and the
    /// old one must not begin what it cannot finish.
    pub fn has_own_socket(&self, port: &PortSpec) -> bool {
        self.kind.is_edge() && self.replicas == 1 && port.hold
    }

    /// Whether an exit code counts as success.
    pub fn is_success(&self, code: i32) -> bool {
        code == 0 || u8::try_from(code).is_ok_and(|code| self.success_exit_codes.contains(&code))
    }
}
