//! What somebody asks for, and who.

use core_manifest::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bring these services up, or all; with what they depend on.
    Up {
        /// Services; none is all.
        services: Vec<ServiceName>,
        /// How long it may take; downloads and builds are not counted.
        timeout: Option<std::time::Duration>,
    },
    /// Start these, with what they depend on.
    Start {
        /// Services.
        services: Vec<ServiceName>,
    },
    /// Stop these.
    Stop {
        /// Services.
        services: Vec<ServiceName>,
    },
    /// Replace the instances of these, by their strategy.
    Restart {
        /// Services.
        services: Vec<ServiceName>,
    },
    /// Run this many replicas.
    Scale {
        /// The service.
        service: ServiceName,
        /// How many.
        replicas: u32,
    },
    /// Read the manifests and carry out what they say.
    Apply,
    /// End the stack.
    Down,
    /// End the stack without asking the services.
    Kill,
}

/// Who, or what, has caused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody at the control socket: the number of the user, where the kernel told it.
    User(Option<u32>),
    /// The stack was started: its manifests were read.
    Start,
    /// A supervisor came back to what was running: it read the manifests again.
    Supervisor,
    /// A binary is not available from one source, and the manifests were read again for another one.
    Source,
    /// Manifests were edited, and are followed as they are saved.
    Edit,
    /// A signal.
    Signal,
}
