//! Commands, and who or what causes them.

use std::fmt;

use core_manifest::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A command to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start these services, or all of them, with their dependencies.
    Up {
        /// The services; empty means all.
        services: Vec<ServiceName>,
        /// How long it may take, not counting downloads and builds.
        timeout: Option<std::time::Duration>,
    },
    /// Start these services with their dependencies.
    Start {
        /// The services to start.
        services: Vec<ServiceName>,
    },
    /// Stop these services.
    Stop {
        /// The services to stop.
        services: Vec<ServiceName>,
    },
    /// Replace the instances of these services, by the strategy of each.
    Restart {
        /// The services to restart.
        services: Vec<ServiceName>,
    },
    /// Run this many replicas of a service.
    Scale {
        /// The service to scale.
        service: ServiceName,
        /// Number of replicas.
        replicas: u32,
    },
    /// Read the manifests and apply them.
    Apply,
    /// Stop the stack.
    Down,
    /// Kill the stack without asking the services to stop.
    Kill,
}

impl fmt::Display for Command {
    /// As it is typed after `core`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, services) = match self {
            Self::Up { services, .. } => ("up", services.as_slice()),
            Self::Start { services } => ("start", services.as_slice()),
            Self::Stop { services } => ("stop", services.as_slice()),
            Self::Restart { services } => ("restart", services.as_slice()),
            Self::Scale { service, replicas } => return write!(f, "scale {service}={replicas}"),
            Self::Apply => ("apply", [].as_slice()),
            Self::Down => ("down", [].as_slice()),
            Self::Kill => ("kill", [].as_slice()),
        };
        f.write_str(verb)?;
        services.iter().try_for_each(|service| write!(f, " {service}"))
    }
}

/// Who or what caused a generation or an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A user at the control socket, with the UID if the kernel reported it.
    User(Option<u32>),
    /// The start of the stack, which read its manifests.
    Start,
    /// A new supervisor, which took over running services and read the manifests again.
    Supervisor,
    /// A binary was not available from one source, and the manifests were read again to use the next source.
    Source,
    /// A manifest was saved while edits are followed.
    Edit,
    /// A signal to the supervisor.
    Signal,
}
