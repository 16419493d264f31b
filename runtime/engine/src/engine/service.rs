//! One service, as it is wanted.

use std::sync::Arc;

use core_manifest::ServiceSpec;

use crate::ids::Generation;
use crate::maintenance::Maintenance;
use crate::saved::Operator;
use crate::time::Time;

#[derive(Clone, Debug)]
pub(super) struct Service {
    /// The spec that its instances are made from.
    pub(super) spec: Arc<ServiceSpec>,
    /// The generation of the wanted instances.
    pub(super) born: Generation,
    /// The replacement that is under way.
    pub(super) rollout: Option<Rollout>,
    /// What was replaced and is kept, while no replacement is under way.
    pub(super) warm: Option<Warm>,
    pub(super) operator: Operator,
    /// Number of replicas set at run time.
    pub(super) scale: Option<u32>,
    /// Whether the edge answers in its place.
    pub(super) maintenance: Option<Maintenance>,
    /// A spec that failed and was rolled back, and why. It is not tried again automatically.
    pub(super) rejected: Option<(Arc<ServiceSpec>, String)>,
}

/// A replacement: what serves until the new instances have taken over, or can be started in its place.
#[derive(Clone, Debug)]
pub(super) struct Rollout {
    /// The spec that serves, or served until the switch.
    pub(super) spec: Arc<ServiceSpec>,
    pub(super) born: Generation,
    pub(super) stage: Stage,
    /// What takes over was there before, and only gets its requests back.
    pub(super) returns: bool,
}

/// Instances that run and get no requests, so that going back to them takes no boot.
#[derive(Clone, Debug)]
pub(super) struct Warm {
    pub(super) spec: Arc<ServiceSpec>,
    pub(super) born: Generation,
    /// When they end.
    pub(super) until: Time,
}

/// The stage of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Restart: what the new instances need is being downloaded or built; the old ones run until then.
    Fetching,
    /// Swap: the new instances are starting beside the old ones, which still serve.
    Bringing,
    /// The pointers of the new instances' share are being written.
    Switching {
        /// The share of all pointers.
        share: Share,
    },
    /// The edge is asked whether it reaches the new instances through the first pointers that name them, repeatedly as
    /// long as it does not.
    Verifying {
        /// When this ends.
        until: Time,
        /// Whether a question is outstanding.
        asked: bool,
        /// When to ask, or, while a question is outstanding, when its answer counts as lost.
        next: Time,
    },
    /// This share of the pointers names new instances, while they warm up.
    Ramping {
        /// The share of all pointers.
        share: Share,
        /// When this ends.
        until: Time,
    },
    /// The new instances serve; the old ones still run, in case of a rollback.
    Observing {
        /// When this ends.
        until: Time,
    },
}

impl Stage {
    /// Whether the new instances have taken over.
    pub(super) fn is_switched(self) -> bool {
        !matches!(self, Self::Fetching | Self::Bringing)
    }

    /// Whether the edge has confirmed that it reaches the new instances, or could not tell.
    pub(super) fn is_verified(self) -> bool {
        self.is_switched() && !matches!(self, Self::Verifying { .. } | Self::Switching { share: Share::FIRST })
    }

    /// The share of the requests that the new instances get.
    pub(super) fn share(self) -> Share {
        match self {
            Self::Fetching | Self::Bringing => Share::NONE,
            Self::Switching { share } | Self::Ramping { share, .. } => share,
            Self::Verifying { .. } => Share::FIRST,
            Self::Observing { .. } => Share::ALL,
        }
    }

    /// When it has to be looked at again.
    pub(super) fn deadline(self) -> Option<Time> {
        match self {
            Self::Ramping { until, .. } | Self::Observing { until } | Self::Verifying { next: until, .. } => {
                Some(until)
            }
            Self::Fetching | Self::Bringing | Self::Switching { .. } => None,
        }
    }
}

/// A share of the pointers, in sixteenths: there are always at least sixteen pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Share(u32);

impl Share {
    const NONE: Self = Self(0);
    pub(super) const FIRST: Self = Self(1);
    pub(super) const ALL: Self = Self(16);

    /// The next larger share.
    pub(super) fn more(self) -> Self {
        Self(self.0 + 1).min(Self::ALL)
    }

    /// Number of pointers that this share is of `pointers`.
    pub(super) fn of(self, pointers: u32) -> u32 {
        pointers * self.0 / Self::ALL.0
    }
}

impl Service {
    pub(super) fn new(spec: Arc<ServiceSpec>, born: Generation) -> Self {
        Self {
            spec,
            born,
            rollout: None,
            warm: None,
            operator: Operator::Silent,
            scale: None,
            maintenance: None,
            rejected: None,
        }
    }

    /// When it has to be looked at again.
    pub(super) fn deadline(&self) -> Option<Time> {
        let rollout = self.rollout.as_ref().and_then(|rollout| rollout.stage.deadline());
        rollout.or(self.warm.as_ref().map(|warm| warm.until))
    }

    /// The generation whose instances take the requests.
    pub(super) fn serving(&self) -> Generation {
        match &self.rollout {
            Some(rollout) if !rollout.stage.is_switched() => rollout.born,
            _ => self.born,
        }
    }

    /// As the operator ordered, unless the manifest came to name a port since that only one can listen on.
    pub(super) fn replicas(&self) -> u32 {
        let has_fixed_port = || self.spec.ports.values().any(|port| port.number.is_some() && !port.hold);
        self.scale.filter(|_| !has_fixed_port()).unwrap_or(self.spec.replicas)
    }
}
