//! The state of one instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_manifest::{Identifier, ServiceSpec};

use super::shim::Shim;
use crate::action::{Role, Target};
use crate::exit::{Exit, Failure};
use crate::ids::{InstanceId, InvocationId};
use crate::phase::{Drain, Phase, Stop, Tally};
use crate::time::Time;

#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) id: InstanceId,
    pub(super) spec: Arc<ServiceSpec>,
    pub(super) phase: Phase,
    /// When the phase started.
    pub(super) since: Time,
    /// Number of the last start; 0 before the first.
    pub(super) invocation: u32,
    /// Automatic restarts so far.
    pub(super) restarts: u32,
    /// Consecutive failures; reset to 0 after ten seconds of being ready.
    pub(super) failures: u32,
    /// The auto ports it was given.
    pub(super) ports: BTreeMap<Identifier, u16>,
    /// It is part of a swap and has not taken over yet.
    pub(super) candidate: bool,
    /// It was created beside a serving instance, and may run beside those that served before.
    pub(super) beside: bool,
    /// The part that it was told it has.
    pub(super) role: Option<Role>,
    /// Its dependencies were met once: later starts do not wait for them again.
    pub(super) admitted: bool,
    /// One of its starts has succeeded.
    pub(super) started_once: bool,
    /// It has been ready before.
    pub(super) ready_once: bool,
    /// When it last became ready in the current invocation.
    pub(super) ready_since: Option<Time>,
    pub(super) last_exit: Option<Exit>,
    pub(super) last_failure: Option<Failure>,
    pub(super) shim: Shim,
    /// Consecutive starts that failed because core lacked a resource.
    pub(super) lacks: u32,
    /// How often its shim did not answer in time during this invocation.
    pub(super) silences: u32,
    /// Number of the connection to its shim; 0 is the one found when the supervisor started.
    pub(super) line: u32,
    pub(super) readiness: Tally,
    pub(super) liveness: Tally,
    /// Its entry in the timers of the engine.
    pub(super) timer: Option<Time>,
}

impl Instance {
    pub(super) fn new(id: InstanceId, spec: Arc<ServiceSpec>, now: Time) -> Self {
        Self {
            id,
            spec,
            phase: Phase::Waiting,
            since: now,
            invocation: 0,
            restarts: 0,
            failures: 0,
            ports: BTreeMap::new(),
            candidate: false,
            beside: false,
            role: None,
            admitted: false,
            started_once: false,
            ready_once: false,
            ready_since: None,
            last_exit: None,
            last_failure: None,
            shim: Shim::None,
            lacks: 0,
            silences: 0,
            line: 0,
            readiness: Tally::default(),
            liveness: Tally::default(),
            timer: None,
        }
    }

    /// The current (or last) invocation.
    pub(super) fn invocation_id(&self) -> InvocationId {
        InvocationId { instance: self.id.clone(), number: self.invocation }
    }

    /// The number of one of its ports; `None` if it has not been assigned yet.
    pub(super) fn port(&self, name: &Identifier) -> Option<u16> {
        self.spec.ports.get(name).and_then(|port| port.number).or_else(|| self.ports.get(name).copied())
    }

    /// Where the edge finds it, if it has a route.
    pub(super) fn target(&self) -> Option<Target> {
        let port = self.port(&self.spec.route.as_ref()?.port)?;
        Some(Target { instance: self.id.clone(), port })
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    /// Whether its last exit was a success.
    pub(super) fn ended_well(&self) -> bool {
        self.last_exit.and_then(Exit::code).is_some_and(|code| self.spec.is_success(code))
    }

    /// Whether it cannot be asked to stop: its shim would do that, and is away.
    pub(super) fn is_out_of_reach(&self) -> bool {
        self.shim.is_away() && self.spec.shutdown.command.is_none()
    }

    /// Until when it must be ready, if there is a limit. The time does not run out while the probe cannot be run; the
    /// next result extends it.
    pub(super) fn must_be_ready_by(&self) -> Option<Time> {
        if let Phase::Probing { by, .. } = self.phase { by.filter(|_| self.readiness.unasked.is_none()) } else { None }
    }

    /// When something is next due.
    pub(super) fn deadline(&self) -> Option<Time> {
        let of_phase = match &self.phase {
            Phase::Starting { by } => Some(*by),
            Phase::Probing { .. } => self.must_be_ready_by(),
            Phase::Draining { until, stage, .. } => match stage {
                Drain::Counting { next: Some(next), .. } => Some((*next).min(*until)),
                _ => Some(*until),
            },
            Phase::Stopping { stage: Stop::Asked { kill_at, ask_at }, .. } => {
                Some(ask_at.map_or(*kill_at, |at| at.min(*kill_at)))
            }
            Phase::Stopping { stage: Stop::Killed { again_at }, .. } => Some(*again_at),
            Phase::Backoff { until } => Some(*until),
            Phase::Waiting | Phase::Ready { .. } | Phase::Ended(_) | Phase::GaveUp => None,
        };
        let probes = match &self.phase {
            Phase::Probing { .. } | Phase::Ready { .. } => [self.readiness.next, self.liveness.next],
            _ => [None, None],
        };
        [of_phase, probes[0], probes[1], self.shim.deadline()].into_iter().flatten().min()
    }
}
