//! Starts, exits, and what follows an exit.

use std::time::Duration;

use core_manifest::Identifier;
use core_manifest::spec::Restart;

use super::pause::{doubled, pause_of_ours};
use super::shim::Shim;
use super::want::Want;
use super::{Engine, mutated};
use crate::action::{Action, Role, StartOrder};
use crate::exit::{Exit, Failure};
use crate::ids::InstanceId;
use crate::phase::{EndReason, Phase, StopReason, Tally};

/// How long the host may take to report whether a start succeeded.
const START_ANSWER: Duration = Duration::from_secs(30);
/// After being ready for this long, an instance counts as stable and its failures are forgotten.
const PROVEN: Duration = Duration::from_secs(10);
/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Engine {
    pub(super) fn start(&mut self, id: &InstanceId) {
        let ports = self.assign_ports(id);
        let by = self.now + START_ANSWER;
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.ports = ports;
        instance.admitted = true;
        instance.invocation += 1;
        instance.silences = 0;
        // Its environment says so.
        instance.role = Some(Role::Live);
        instance.ready_since = None;
        instance.readiness = Tally::default();
        instance.liveness = Tally::default();
        if instance.shim == Shim::None {
            instance.line += 1;
        }
        let order = StartOrder {
            line: instance.line,
            invocation: instance.invocation_id(),
            spec: instance.spec.clone(),
            ports: instance.ports.clone(),
            restarts: instance.restarts,
            failures: instance.failures,
        };
        instance.shim = Shim::Live;
        self.actions.push(Action::Start(order));
        self.set_phase(id, Phase::Starting { by });
    }

    /// The numbers of its auto ports: those it has, those given by name, else free ones from the range.
    fn assign_ports(&mut self, id: &InstanceId) -> std::collections::BTreeMap<Identifier, u16> {
        let instance = &self.instances[id];
        let mut ports = instance.ports.clone();
        let auto: Vec<Identifier> = instance
            .spec
            .ports
            .iter()
            .filter(|(_, port)| port.number.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        ports.retain(|name, _| auto.contains(name));
        for name in auto {
            let given = self.given_ports.get(&(id.service().clone(), id.slot.replica, name.clone())).copied();
            let number = given.or_else(|| ports.get(&name).copied().filter(|port| !self.foreign_ports.contains(port)));
            let number = number.or_else(|| self.free_port());
            if let Some(number) = number {
                ports.insert(name, number);
            }
        }
        ports
    }

    /// The next port of the range that belongs to no instance and on which no outside process was found. When outside
    /// processes have all the others, what was found is forgotten: they may be gone.
    fn free_port(&mut self) -> Option<u16> {
        let ours: std::collections::BTreeSet<u16> = self
            .instances
            .values()
            .flat_map(|instance| {
                let fixed = instance.spec.ports.values().filter_map(|port| port.number);
                instance.ports.values().copied().chain(fixed).collect::<Vec<_>>()
            })
            .chain(self.given_ports.values().copied())
            .collect();
        for _ in 0..2 {
            let count = u32::from(self.range.last.saturating_sub(self.range.first)) + 1;
            for _ in 0..count {
                let inside = self.range.all().contains(&self.next_port);
                let port = if inside { self.next_port } else { self.range.first };
                self.next_port = port.wrapping_add(1);
                if !ours.contains(&port) && !self.foreign_ports.contains(&port) {
                    return Some(port);
                }
            }
            self.foreign_ports.clear();
        }
        None
    }

    /// The invocation is over: no process of it is alive. `why` is the reason if it was being stopped.
    pub(super) fn ended(&mut self, id: &InstanceId, why: Option<StopReason>) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.ready_since.is_some_and(|since| self.now - since >= PROVEN) {
            instance.failures = 0;
        }
        match self.want(&self.instances[id]) {
            Want::Stop(reason) => self.rest(id, reason),
            Want::Run | Want::Keep if self.is_warm(id) && !mutated!(self, RestartWarm) => {
                self.rest(id, StopReason::Replaced);
            }
            Want::Run | Want::Keep => match why {
                None | Some(StopReason::Leftovers) => self.ended_by_itself(id),
                Some(StopReason::NeverReady | StopReason::NotAlive | StopReason::NoAnswer) => {
                    let failure = self.instances[id].last_failure.clone();
                    self.failed(id, &failure.unwrap_or(Failure::Exit(Exit::Unknown)));
                }
                // It was stopped for a reason that does not apply any more.
                Some(_) => self.set_phase(id, Phase::Waiting),
            },
        }
    }

    fn ended_by_itself(&mut self, id: &InstanceId) {
        let instance = &self.instances[id];
        let exit = instance.last_exit.unwrap_or(Exit::Unknown);
        if !instance.ended_well() {
            self.note_failure(id, Failure::Exit(exit));
            self.failed(id, &Failure::Exit(exit));
            return;
        }
        let availability = self.instances[id].spec.availability.clone();
        // A service with a route must not exit in the middle of taking over.
        if self.instances[id].candidate && self.instances[id].spec.route.is_some() {
            self.candidate_failed(id, &Failure::Exit(exit));
        } else if availability.restart == Restart::Always {
            self.restart(id);
        } else {
            self.end(id);
            if availability.exit_on_end {
                self.begin_down(exit.code().unwrap_or(1), false);
            }
        }
    }

    /// It failed: it exited, did not start, or failed its probes.
    pub(super) fn failed(&mut self, id: &InstanceId, failure: &Failure) {
        if self.instances[id].candidate {
            self.candidate_failed(id, failure);
            return;
        }
        if self.put_back_if_observed(id, failure) {
            return;
        }
        let instance = &self.instances[id];
        let availability = instance.spec.availability.clone();
        let code = instance.last_exit.and_then(Exit::code).filter(|code| *code != 0).unwrap_or(1);
        match availability.restart {
            Restart::Always | Restart::OnFailure => self.restart(id),
            Restart::No | Restart::ExitOnFailure => {
                let by_itself = matches!(failure, Failure::Exit(_));
                if by_itself {
                    self.end(id);
                } else {
                    self.give_up(id);
                }
                if availability.restart == Restart::ExitOnFailure || availability.exit_on_end {
                    self.begin_down(code, false);
                }
            }
        }
    }

    /// Starts it again after a pause, unless that was done too often.
    fn restart(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let availability = &instance.spec.availability;
        if availability.max_restarts > 0 && instance.restarts >= availability.max_restarts {
            let exit_on_end = availability.exit_on_end;
            let code = instance.last_exit.and_then(Exit::code).filter(|code| *code != 0).unwrap_or(1);
            self.give_up(id);
            if exit_on_end {
                self.begin_down(code, false);
            }
            return;
        }
        instance.restarts += 1;
        instance.failures += 1;
        let (first, failures) = (availability.backoff, instance.failures);
        let pause = self.pause(first, failures);
        if mutated!(self, ForgetBackoff) {
            self.set_phase(id, Phase::GaveUp);
            return;
        }
        self.set_phase(id, Phase::Backoff { until: self.now + pause });
    }

    /// The start failed because core lacked a resource. That is not a failure of the service and does not count.
    pub(super) fn start_later(&mut self, id: &InstanceId, failure: Failure) {
        self.note_failure(id, failure);
        let Some(instance) = self.instances.get_mut(id) else { return };
        let pause = pause_of_ours(instance.lacks);
        instance.lacks += 1;
        self.set_phase(id, Phase::Backoff { until: self.now + pause });
    }

    /// The pause before a restart: `first`, doubled with every failure up to 30 seconds, varied by up to a fifth.
    fn pause(&mut self, first: Duration, failures: u32) -> Duration {
        if first.is_zero() {
            return first;
        }
        let doubled = doubled(first, failures.saturating_sub(1), LONGEST_PAUSE.max(first));
        let fifth = u64::try_from(doubled.as_micros() / 5).unwrap_or(u64::MAX);
        let jitter = self.next_random() % (2 * fifth + 1);
        doubled.saturating_sub(Duration::from_micros(fifth)) + Duration::from_micros(jitter)
    }

    /// The generator of Steele, Lea and Flood ("Fast splittable pseudorandom number generators", 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn end(&mut self, id: &InstanceId) {
        self.release(id);
        self.set_phase(id, Phase::Ended(EndReason::Exit));
    }

    pub(super) fn give_up(&mut self, id: &InstanceId) {
        self.release(id);
        self.set_phase(id, Phase::GaveUp);
    }

    pub(super) fn release(&mut self, id: &InstanceId) {
        if let Some(instance) = self.instances.get_mut(id)
            && instance.shim != Shim::None
        {
            instance.shim = Shim::None;
            self.actions.push(Action::Release { instance: id.clone() });
        }
    }

    pub(super) fn note_failure(&mut self, id: &InstanceId, failure: Failure) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.last_failure = Some(failure);
        }
    }
}
