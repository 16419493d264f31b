//! Commands, and who or what causes them.

use std::fmt;

use core_manifest::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::maintenance::Maintenance;
use crate::trial::TrialWish;

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
    /// Make a release of an app, and switch to it.
    Deploy {
        /// The service; `None` means the only one that has releases.
        service: Option<ServiceName>,
        /// What is asked for.
        how: Deploying,
    },
    /// Switch to a release that has landed; it is not built again.
    Rollback {
        /// The service; `None` means the only one that has releases.
        service: Option<ServiceName>,
        /// The release; `None` means the one before.
        release: Option<String>,
    },
    /// Make a release that is tried the live one; it is not built again.
    Promote {
        /// The service; `None` means any.
        service: Option<ServiceName>,
        /// The name of the trial; `None` means the canary, else the only one.
        name: Option<String>,
        /// Whether it may have other values of variables than the service has.
        as_built: bool,
    },
    /// End a release that runs beside the live one.
    EndTrial {
        /// The service that runs it.
        service: ServiceName,
    },
    /// Replace the instances of a service that have read files which are others by now. One that does not run reads them when it
    /// is started, and stays as it is.
    Renew {
        /// The service.
        service: ServiceName,
    },
    /// Have the edge answer in the place of services, or no longer.
    Maintain {
        /// The services; empty means all that have a route.
        services: Vec<ServiceName>,
        /// How it answers; `None` ends it.
        how: Option<Maintenance>,
    },
    /// Read the manifests and apply them.
    Apply,
    /// Stop the stack.
    Down,
    /// Kill the stack without asking the services to stop.
    Kill,
}

/// What is asked for by a deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deploying {
    /// Where the release comes from.
    pub make: Make,
    /// Whether nothing is made if nothing has changed that the manifest has watched.
    pub if_changed: bool,
    /// What it is for, in the words of who deploys.
    pub message: Option<String>,
    /// Whether the service switches to the release once it is there.
    pub switch: bool,
    /// Whether this takes the place of deploys of the same service whose releases are not there yet.
    pub supersede: bool,
    /// Whether the release is only tried, beside the one that serves.
    pub trial: Option<TrialWish>,
}

impl Default for Deploying {
    fn default() -> Self {
        Self { make: Make::default(), if_changed: false, message: None, switch: true, supersede: false, trial: None }
    }
}

/// Where a release comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Make {
    /// From the sources as they are, unless one of the same sources is there.
    #[default]
    IfChanged,
    /// From the sources as they are, with nothing that earlier builds have left.
    Afresh,
    /// From an archive: its absolute path.
    Archive(String),
    /// It has landed, and was tried.
    Landed {
        /// The release.
        release: String,
        /// The service that runs it beside the live one, which ends when it is live itself.
        trial: ServiceName,
        /// Whether it may have other values of variables than the service has.
        as_built: bool,
    },
}

impl Deploying {
    /// Whether its release is only seen under host names of its own.
    pub fn is_preview(&self) -> bool {
        matches!(self.trial, Some(TrialWish::Preview { .. }))
    }

    /// The name of the trial that it makes or replaces, if it is not for the live release.
    pub fn trial_name(&self) -> Option<&str> {
        self.trial.as_ref().map(TrialWish::name)
    }

    /// Whether what has to be run before a release serves is run: for one that gets live requests.
    pub fn prepares(&self) -> bool {
        match &self.trial {
            Some(trial) => matches!(trial, TrialWish::Canary { .. }),
            None => self.switch,
        }
    }
}

impl Command {
    /// The verb as it is typed after `core`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Up { .. } => "up",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Scale { .. } => "scale",
            Self::Deploy { .. } => "deploy",
            Self::Rollback { .. } => "rollback",
            Self::Promote { .. } => "promote",
            Self::EndTrial { .. } => "previews remove",
            Self::Renew { .. } => "renew",
            Self::Maintain { how: Some(_), .. } => "maintenance on",
            Self::Maintain { how: None, .. } => "maintenance off",
            Self::Apply => "apply",
            Self::Down => "down",
            Self::Kill => "kill",
        }
    }

    /// The services that it names; none means all, for the commands that may name some.
    pub fn services(&self) -> &[ServiceName] {
        match self {
            Self::Up { services, .. }
            | Self::Start { services }
            | Self::Stop { services }
            | Self::Restart { services }
            | Self::Maintain { services, .. } => services,
            Self::Scale { service, .. } | Self::EndTrial { service } | Self::Renew { service } => {
                std::slice::from_ref(service)
            }
            Self::Deploy { service, .. } | Self::Rollback { service, .. } | Self::Promote { service, .. } => {
                service.as_slice()
            }
            Self::Apply | Self::Down | Self::Kill => &[],
        }
    }

    /// The release that it names.
    pub fn release(&self) -> Option<&str> {
        if let Self::Rollback { release, .. } = self { release.as_deref() } else { None }
    }

    /// What it is for, in the words of who gave it.
    pub fn message(&self) -> Option<&str> {
        if let Self::Deploy { how, .. } = self { how.message.as_deref() } else { None }
    }

    /// The number of replicas that it asks for.
    pub fn replicas(&self) -> Option<u32> {
        if let Self::Scale { replicas, .. } = self { Some(*replicas) } else { None }
    }
}

impl fmt::Display for Command {
    /// As it is typed after `core`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())?;
        self.services().iter().try_for_each(|service| write!(f, " {service}"))?;
        self.replicas().map_or(Ok(()), |replicas| write!(f, "={replicas}"))
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
    /// A release failed, and there is one before it.
    Failure,
    /// A preview was not deployed for long.
    Age,
    /// The file of a certificate was replaced.
    Certificate,
    /// A signal to the supervisor.
    Signal,
}
