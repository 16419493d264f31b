//! What really runs of an instance.

use std::collections::BTreeMap;
use std::time::Duration;

use core_engine::Time;
use core_engine::action::{Action, StartOrder};
use core_engine::event::Life;
use core_engine::exit::Exit;
use core_manifest::{Identifier, ServiceSpec};

use super::rng::Rng;
use super::stack;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// A shim stands over it.
    pub(crate) shim: bool,
    /// The engine's line to that shim is whole.
    pub(crate) line: bool,
    /// Number of the line that the engine has, or has asked for last.
    pub(crate) number: u32,
    /// The shim stands still.
    pub(crate) stopped: bool,
    /// And nobody has said so.
    pub(crate) untold: bool,
    /// Counts the shims that stood over it: what is meant for one is not for the next.
    pub(crate) shims: u32,
    /// What a shim that stands still was told meanwhile.
    pub(crate) unread: Vec<Action>,
    pub(crate) invocation: u32,
    pub(crate) ports: BTreeMap<Identifier, u16>,
    pub(crate) restarts: u32,
    pub(crate) failures: u32,
    /// An order that has not been carried out yet.
    pub(crate) ordered: Option<u32>,
    pub(crate) leader: Option<u32>,
    pub(crate) leftovers: bool,
    pub(crate) exit: Option<Exit>,
    pub(crate) healthy_from: Time,
    pub(crate) wedged_from: Option<Time>,
    pub(crate) flaps: Option<(Time, Time)>,
    pub(crate) connected_until: Time,
}

/// What an invocation will do.
pub(crate) struct Plan {
    pub(crate) ends: Option<(Duration, Exit)>,
    crashes: bool,
    never_healthy: bool,
    healthy_from: Time,
    wedged_from: Option<Time>,
    flaps: Option<(Time, Time)>,
    connected_until: Time,
}

impl Plan {
    pub(crate) fn new(rng: &mut Rng, chaos: bool, spec: &ServiceSpec, now: Time) -> Self {
        let never = Duration::from_secs(1_000_000);
        let one_shot = stack::is_one_shot(spec);
        let ends = if one_shot {
            let code = if chaos && rng.percent(20) { 3 } else { 0 };
            Some((rng.millis(1, 1500), Exit::Code(code)))
        } else if chaos && rng.percent(18) {
            let code = *rng.pick(&[Exit::Code(1), Exit::Code(0), Exit::Signal(11)]);
            Some((rng.millis(0, 12_000), code))
        } else {
            None
        };
        let never_healthy = chaos && rng.percent(10);
        let healthy_from = now + if never_healthy { never } else { rng.millis(0, 700) };
        let wedged_from = (chaos && rng.percent(10)).then(|| now + rng.millis(500, 9000));
        let flaps = (chaos && rng.percent(15)).then(|| {
            let from = now + rng.millis(500, 6000);
            (from, from + rng.millis(500, 9000))
        });
        let connected_until = now + if spec.route.is_some() { rng.millis(0, 9000) } else { Duration::ZERO };
        let crashes = ends.is_some() && !one_shot;
        Self { ends, crashes, never_healthy, healthy_from, wedged_from, flaps, connected_until }
    }
}

impl Plan {
    /// The faults that it holds.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &'static str> {
        let never = self.never_healthy.then_some("it never gets healthy");
        let stuck = self.wedged_from.map(|_| "it gets stuck");
        let flaps = self.flaps.map(|_| "it flaps");
        let ends = self.crashes.then_some("a process ends by itself");
        [never, stuck, flaps, ends].into_iter().flatten()
    }
}

impl Tree {
    pub(crate) fn prepare(&mut self, order: &StartOrder) {
        if !self.shim {
            self.shims += 1;
        }
        (self.shim, self.line, self.number) = (true, true, order.line);
        self.ordered = Some(order.invocation.number);
        self.ports.clone_from(&order.ports);
        self.restarts = order.restarts;
        self.failures = order.failures;
    }

    pub(crate) fn run(&mut self, pid: u32, plan: Plan) {
        self.invocation = self.ordered.take().unwrap_or(self.invocation);
        self.leader = Some(pid);
        self.leftovers = false;
        self.exit = None;
        self.healthy_from = plan.healthy_from;
        self.wedged_from = plan.wedged_from;
        self.flaps = plan.flaps;
        self.connected_until = plan.connected_until;
    }

    /// From now on it behaves.
    pub(crate) fn mend(&mut self, now: Time) {
        self.healthy_from = self.healthy_from.min(now);
        self.wedged_from = None;
        self.flaps = None;
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.leader.is_some() || self.leftovers
    }

    /// Whether a probe gets a good answer.
    pub(crate) fn answers(&self, liveness: bool, now: Time) -> bool {
        let wedged = self.wedged_from.is_some_and(|from| from <= now);
        let flaps = !liveness && self.flaps.is_some_and(|(from, to)| from <= now && now < to);
        self.leader.is_some() && (liveness || self.healthy_from <= now) && !wedged && !flaps
    }

    /// Its shim dies, and with it whatever it was told and has not done.
    pub(crate) fn lose_shim(&mut self) {
        (self.shim, self.line, self.stopped) = (false, false, false);
        self.ordered = None;
        self.unread.clear();
    }

    /// Whether a shim hears what the engine says.
    pub(crate) fn hears(&self) -> bool {
        self.shim && self.line && !self.stopped
    }

    /// How it stands, as its shim says.
    pub(crate) fn told(&self) -> Life {
        match (self.leader, self.exit) {
            (Some(pid), _) => Life::Running { pid },
            (None, Some(exit)) => Life::Exited { exit, leftovers: self.leftovers },
            (None, None) => Life::Idle,
        }
    }

    /// What a supervisor finds of it.
    pub(crate) fn life(&self) -> Option<Life> {
        match (self.leader, self.exit) {
            _ if self.shim && self.stopped => Some(Life::Unattended),
            _ if self.shim => Some(self.told()),
            (Some(_), _) => Some(Life::Unattended),
            (None, Some(_)) if self.leftovers => Some(Life::Unattended),
            (None, Some(exit)) => Some(Life::Recorded { exit }),
            (None, None) => None,
        }
    }
}
