//! `services/<name>/service.json`, as written.
//!
//! These types are the source of the JSON Schema that editors get and that every file is checked with. People read the
//! doc comments here while they type, so each says what the key does, its unit and its default.

pub mod auth;
pub mod binary;
pub mod compose;
pub mod config;
pub mod edge;
pub mod probe;
pub mod rate;
pub mod stack;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::Template;
pub use binary::{Binary, Source};
pub use compose::Compose;
pub use config::Config;
pub use probe::Probe;
pub use stack::StackManifest;

/// One service of the stack: what runs, with which ports, when it counts as ready, how it is replaced.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A service of a core stack")]
pub struct Manifest {
    /// Path of the JSON Schema, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The kind of program; picks the driver that knows it and fills in what is left out here. Default: process, which is
    /// any program.
    #[serde(default)]
    pub kind: Kind,
    /// Programs and builds that the service uses, fetched or made before it starts. `${dep.NAME}` is where one landed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub binaries: Vec<Binary>,
    /// What is executed, and as whom.
    pub process: Process,
    /// Ports the service listens on, by name. `${port.NAME}` is the number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, Port>,
    /// Settings of the service's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// Makes the service reachable through the edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// How a change is carried out.
    #[serde(default)]
    pub update: Update,
}

/// The kind of program a service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Any program; nothing about it is known.
    #[default]
    Process,
    /// The edge: Caddy, configured from the routes of the stack.
    Caddy,
    /// A NATS server.
    Nats,
    /// A PocketBase server.
    Pocketbase,
    /// A Next.js app, built standalone.
    Next,
}

impl Kind {
    /// The kind of the edge.
    pub const EDGE: Self = Self::Caddy;

    /// The word for this kind in a manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Caddy => "caddy",
            Self::Nats => "nats",
            Self::Pocketbase => "pocketbase",
            Self::Next => "next",
        }
    }

    /// Whether a driver knows its program.
    pub fn has_driver(self) -> bool {
        self != Self::Process
    }

    /// Whether it is the edge, which sends requests to the services that have a route.
    pub fn is_edge(self) -> bool {
        self == Self::EDGE
    }

    /// Whether its program listens on the sockets it is given; its driver generates the configuration for that.
    pub fn takes_sockets(self) -> bool {
        self.is_edge()
    }
}

/// What is executed, and as whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The program: a path, or a name looked up in PATH. With `shell`, a line for `sh -c`.
    pub command: Template,
    /// Arguments, one string each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Template>,
    /// Environment variables on top of the inherited ones, of `.env` and of the profile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Template>,
    /// Working directory; relative paths are relative to the stack's root. Default: the stack's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<Template>,
    /// Run `command` by a shell (`sh -c`) instead of directly. Default: false.
    #[serde(default)]
    pub shell: bool,
    /// User to run as, by name or number. Only root can change it. Default: the user of core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Group to run as, by name or number. Default: the user's own group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// File mode mask in octal, such as "022". Default: inherited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<String>,
    /// Resource limits; soft and hard are set alike.
    #[serde(default)]
    pub limits: Limits,
    /// Scheduling priority, -20 (most) to 19 (least). Default: inherited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -20, max = 19))]
    pub nice: Option<i32>,
    /// How readily the kernel kills the service when memory runs out, -1000 (never) to 1000. Default: inherited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = 1000))]
    pub oom_score_adj: Option<i32>,
    /// Fields with the names and the meaning of process-compose.
    #[serde(default)]
    pub compose: Compose,
}

/// Resource limits of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most open files (RLIMIT_NOFILE).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nofile: Option<Limit>,
    /// Most processes of the user (RLIMIT_NPROC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nproc: Option<Limit>,
    /// Largest core file in bytes (RLIMIT_CORE).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<Limit>,
    /// Largest address space in bytes (RLIMIT_AS).
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub address_space: Option<Limit>,
}

/// A limit: a number, or `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Limit {
    /// At most this many.
    Most(u64),
    /// No limit.
    Word(Unlimited),
}

/// The word for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unlimited {
    /// No limit.
    Unlimited,
}

/// A port the service listens on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// A number, or "auto" for a free one of the profile's range.
    pub port: PortNumber,
    /// What is spoken. Default: tcp.
    #[serde(default)]
    pub protocol: Protocol,
    /// Address of a held port's socket, or where a probe of an auto port looks. Default: 127.0.0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// core opens the listening socket, passes it to the service as a descriptor (`${fd.NAME}`, `LISTEN_FDS`), and
    /// keeps it open while the service is replaced or crashed. Default: true for a TCP port with a number of a kind that
    /// listens on descriptors (caddy), else false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<bool>,
}

impl Port {
    /// Whether core holds the socket of this port, for a service of this kind.
    pub fn is_held(&self, kind: Kind) -> bool {
        let can_be = matches!(self.port, PortNumber::Fixed(_)) && self.protocol != Protocol::Udp;
        self.hold.unwrap_or(can_be && kind.takes_sockets())
    }
}

/// A port's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PortNumber {
    /// This one.
    Fixed(#[schemars(range(min = 1, max = 65535))] u16),
    /// A free one.
    Word(Auto),
}

/// The word for a port that core picks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// A free port of the profile's range.
    Auto,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// HTTP over TCP.
    Http,
    /// HTTP over TLS: the edge has certificates there.
    Https,
    /// UDP.
    Udp,
}

/// What the edge sends to the service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Host names. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Path prefixes; the longest that fits wins. Default: all paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub paths: Option<Vec<String>>,
    /// Take the prefix away before the request reaches the service. Default: false.
    #[serde(default)]
    pub strip_prefix: bool,
    /// Path prefixes of a development server that answers pages of this host only: requests of the service's own pages
    /// under other host names are passed on to it as if they came from http://localhost. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local_origin: Vec<String>,
    /// Further host names, whose requests are sent on to the first of `hosts`: "www.example.org" to "example.org". Default:
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_hosts: Vec<String>,
    /// Headers that the edge adds to answers of the service which have none of that name, beside and instead of those that it
    /// adds anyway; false for one that it is not to add. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: edge::Headers,
    /// What clients of the service may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<edge::RouteLimits>,
    /// How many requests each client may send. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<rate::RateLimits>,
    /// Networks whose clients are answered: addresses, networks such as 10.0.0.0/8, `private_ranges`, or "file:PATH" for a
    /// file with one a line, relative to the stack's root; others get 403. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Networks whose clients get 403, written as for `allow`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Who is let in: "basic" for the users of `core auth add`, {"forward": …} for those whom another service lets in, false
    /// for everybody. Default: as the edge says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<auth::Auth>,
    /// Name of the port that takes the requests.
    pub port: String,
}

/// How a change of the service is carried out.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// swap (or rolling): the new instances beside the old ones, then over; restart: stop, then start. Default: swap for a
    /// service with a route or held ports, none of whose ports is fixed, and whose held ports have a readiness probe of
    /// one instance; else restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Good probes in a row before a new instance takes over. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub successes: Option<u32>,
    /// Seconds a start may take until the service is ready. Default: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ready_seconds: Option<f64>,
    /// Seconds the old instance stays after the new one took over. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observe_seconds: Option<f64>,
    /// Seconds until a new instance gets its full share of the requests, from a sixteenth on, step by step. 0: at once, as
    /// where it runs another program or release than the old one. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ramp_seconds: Option<f64>,
    /// Seconds the old instance's open connections get to end. Default: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub drain_seconds: Option<f64>,
    /// Minutes the instances of a release stay that another one replaced by a swap, so that `core rollback` takes no boot.
    /// Default: 10 in the profile production on a host with 2 GiB of memory or more, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub warm_minutes: Option<f64>,
}

/// How instances are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// All new instances beside the old ones, then over.
    Swap,
    /// The same as swap.
    Rolling,
    /// Stop the old one, then start the new one.
    Restart,
}
