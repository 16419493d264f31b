//! One service, as it is wanted.

use std::sync::Arc;

use core_manifest::ServiceSpec;

use crate::ids::Generation;
use crate::saved::Operator;
use crate::time::Time;

#[derive(Clone, Debug)]
pub(super) struct Service {
    /// What its instances are made from.
    pub(super) spec: Arc<ServiceSpec>,
    /// The generation of the instances that are wanted.
    pub(super) born: Generation,
    /// A replacement that is under way.
    pub(super) rollout: Option<Rollout>,
    pub(super) operator: Operator,
    /// Replicas asked for at run time.
    pub(super) scale: Option<u32>,
    /// A spec that was tried and put back, with why. The same spec is not tried again by itself.
    pub(super) rejected: Option<(Arc<ServiceSpec>, String)>,
}

/// A replacement: what serves until the new instances have taken over, or can be started in its place.
#[derive(Clone, Debug)]
pub(super) struct Rollout {
    /// What serves, or served until the switch.
    pub(super) spec: Arc<ServiceSpec>,
    pub(super) born: Generation,
    pub(super) stage: Stage,
}

/// How far a replacement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// One after the other: what the new ones need is being fetched or built; the old ones run until it is there.
    Fetching,
    /// Side by side: new instances are on their way; the old ones serve.
    Bringing,
    /// So many pointers are being written for the new ones.
    Switching {
        /// Of all pointers.
        share: Share,
    },
    /// The edge is asked whether it reaches the new ones by the first pointers that name them, again and again while it
    /// does not.
    Verifying {
        /// Until then.
        until: Time,
        /// It was asked.
        asked: bool,
        /// When to ask; or, once it was asked, when its answer counts as lost.
        next: Time,
    },
    /// So many pointers name new ones, which get used to it.
    Ramping {
        /// Of all pointers.
        share: Share,
        /// Until then.
        until: Time,
    },
    /// The new ones serve; the old ones still run, in case.
    Observing {
        /// Until then.
        until: Time,
    },
}

impl Stage {
    /// Whether the new instances have taken over.
    pub(super) fn is_switched(self) -> bool {
        !matches!(self, Self::Fetching | Self::Bringing)
    }

    /// Whether the edge has said that it reaches the new instances, or had nothing to say of them.
    pub(super) fn is_verified(self) -> bool {
        self.is_switched() && !matches!(self, Self::Verifying { .. } | Self::Switching { share: Share::FIRST })
    }

    /// What the new instances get of the requests.
    pub(super) fn share(self) -> Share {
        match self {
            Self::Fetching | Self::Bringing => Share::NONE,
            Self::Switching { share } | Self::Ramping { share, .. } => share,
            Self::Verifying { .. } => Share::FIRST,
            Self::Observing { .. } => Share::ALL,
        }
    }

    /// When it is to be looked at again.
    pub(super) fn deadline(self) -> Option<Time> {
        match self {
            Self::Ramping { until, .. } | Self::Observing { until } | Self::Verifying { next: until, .. } => {
                Some(until)
            }
            Self::Fetching | Self::Bringing | Self::Switching { .. } => None,
        }
    }
}

/// A share of the pointers, in sixteenths: there are never fewer than sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Share(u32);

impl Share {
    const NONE: Self = Self(0);
    pub(super) const FIRST: Self = Self(1);
    pub(super) const ALL: Self = Self(16);

    /// The next one.
    pub(super) fn more(self) -> Self {
        Self(self.0 + 1).min(Self::ALL)
    }

    /// So many of `pointers`.
    pub(super) fn of(self, pointers: u32) -> u32 {
        pointers * self.0 / Self::ALL.0
    }
}

impl Service {
    pub(super) fn new(spec: Arc<ServiceSpec>, born: Generation) -> Self {
        Self { spec, born, rollout: None, operator: Operator::Silent, scale: None, rejected: None }
    }

    /// The generation whose instances take the requests.
    pub(super) fn serving(&self) -> Generation {
        match &self.rollout {
            Some(rollout) if !rollout.stage.is_switched() => rollout.born,
            _ => self.born,
        }
    }

    pub(super) fn replicas(&self) -> u32 {
        self.scale.unwrap_or(self.spec.replicas)
    }
}
