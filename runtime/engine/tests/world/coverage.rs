//! How often each kind of event met each phase.

use std::fmt::Write as _;

use core_engine::event::{Answer, Command, Event, Life, ProbeKind, Reach, Unreached};
use core_engine::phase::PhaseName;
use core_engine::{Engine, InstanceId};

/// Kinds of events, as the table names them.
pub(crate) const EVENTS: [&str; 41] = [
    "restored",
    "loaded",
    "rejected",
    "edited",
    "plan wanted",
    "up",
    "start",
    "stop",
    "restart",
    "scale",
    "down",
    "kill",
    "prepared",
    "prepare failed",
    "started",
    "start failed",
    "exited",
    "exited, leftovers",
    "emptied",
    "line broken",
    "shim stopped",
    "unreached: dead",
    "unreached: silent",
    "unreached: failed",
    "adopted running",
    "adopted ended",
    "ready: yes",
    "ready: no",
    "ready: unasked",
    "alive: yes",
    "alive: no",
    "alive: unasked",
    "counted 0",
    "counted more",
    "routed",
    "route failed",
    "verified",
    "not verified",
    "memory short",
    "tick",
    "late answer",
];

const COLUMNS: usize = PhaseName::ALL.len();

/// What a history is made of. Of everything but services and edits, a fault each.
pub(crate) const PARTS: [&str; 34] = [
    "services",
    "edits",
    "a broken manifest",
    "the supervisor vanishes",
    "a shim dies",
    "a shim stands still",
    "a line breaks",
    "a report is lost with its line",
    "a line is not available",
    "a takeover fails",
    "who takes over dies",
    "a takeover never ends",
    "no process can be made for a shim",
    "the supervisor stands still",
    "a binary is not available",
    "a start is refused",
    "a port is taken",
    "a start is slow",
    "a process ends by itself",
    "it leaves some behind",
    "it never gets healthy",
    "it gets stuck",
    "it flaps",
    "a probe is slow",
    "nothing can be asked",
    "a request to end is ignored",
    "a kill misses",
    "the edge's pointers fail",
    "what comes of the pointers is lost",
    "what the edge reaches is lost",
    "trials",
    "trials promoted",
    "a release is not made",
    "maintenance",
];
/// How many of each there are in ten histories on average, at least.
const AT_LEAST: [u64; PARTS.len()] = [
    40, 30, 10, 10, 10, 8, 5, 0, 1, 1, 1, 0, 1, 3, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 0, 0, 1, 0,
    0, 1,
];

#[derive(Clone)]
pub(crate) struct Coverage {
    pub(crate) counts: Vec<[u64; COLUMNS]>,
    parts: [u64; PARTS.len()],
}

impl Default for Coverage {
    fn default() -> Self {
        Self { counts: vec![[0; COLUMNS]; EVENTS.len()], parts: [0; PARTS.len()] }
    }
}

impl Coverage {
    /// Counts parts of a history.
    pub(crate) fn part(&mut self, name: &str, how_many: usize) {
        let part = PARTS.iter().position(|have| *have == name).expect("a part of the list");
        self.parts[part] += how_many as u64;
    }

    /// What the histories were made of, on average.
    pub(crate) fn averages(&self, histories: u64) -> String {
        let lines = PARTS.iter().zip(self.parts);
        let lines: Vec<String> = lines.map(|(name, count)| format!("{name:<28}{}", tenths(count, histories))).collect();
        lines.join("\n")
    }

    /// Parts of which the histories had too few.
    pub(crate) fn too_few(&self, histories: u64) -> Vec<&'static str> {
        let all = PARTS.into_iter().zip(self.parts.into_iter().zip(AT_LEAST));
        all.filter(|(_, (count, least))| *count * 10 < least * histories).map(|(name, _)| name).collect()
    }

    pub(crate) fn count(&mut self, engine: &Engine, event: &Event) {
        let (kind, of) = kind_of(engine, event);
        let Some(row) = EVENTS.iter().position(|have| *have == kind) else { return };
        match of {
            Of::All => {
                for (_, phase, _) in engine.instances() {
                    self.add(row, phase);
                }
            }
            Of::Service(service) => {
                for (_, phase, _) in engine.instances().filter(|(id, ..)| id.service() == &service) {
                    self.add(row, phase);
                }
            }
            Of::One(id) => {
                if let Some(phase) = engine.phase(&id) {
                    self.add(row, phase);
                }
            }
        }
    }

    fn add(&mut self, row: usize, phase: PhaseName) {
        if let Some(column) = PhaseName::ALL.iter().position(|have| *have == phase) {
            self.counts[row][column] += 1;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
        for (mine, theirs) in self.parts.iter_mut().zip(other.parts) {
            *mine += theirs;
        }
    }

    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<18}", "");
        for phase in PhaseName::ALL {
            let _ = write!(text, "{:>11}", phase.word());
        }
        for (event, row) in EVENTS.iter().zip(&self.counts) {
            let _ = write!(text, "\n{event:<18}");
            for count in row {
                let _ = write!(text, "{count:>11}");
            }
        }
        text
    }

    /// Pairs that may occur and did not.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (event, row) in EVENTS.iter().zip(&self.counts) {
            for (phase, count) in PhaseName::ALL.iter().zip(row) {
                if *count == 0 && may_occur(event, *phase) {
                    all.push(format!("{event} in {}", phase.word()));
                }
            }
        }
        all
    }
}

fn tenths(count: u64, of: u64) -> String {
    let tenths = (count * 10).checked_div(of).unwrap_or(0);
    format!("{:>4}.{}", tenths / 10, tenths % 10)
}

enum Of {
    All,
    Service(core_manifest::ServiceName),
    One(InstanceId),
}

fn kind_of(engine: &Engine, event: &Event) -> (&'static str, Of) {
    let late = |invocation: &core_engine::InvocationId| {
        engine
            .instances()
            .find(|(id, ..)| **id == invocation.instance)
            .is_some_and(|(_, _, number)| number != invocation.number)
    };
    match event {
        Event::Restored { .. } => ("restored", Of::All),
        Event::Loaded(_) => ("loaded", Of::All),
        Event::Rejected(_) => ("rejected", Of::All),
        Event::Edited { .. } => ("edited", Of::All),
        Event::PlanWanted { .. } => ("plan wanted", Of::All),
        Event::Command { command, .. } => match command {
            // The others change nothing by themselves.
            Command::Up { .. }
            | Command::Apply
            | Command::Deploy { .. }
            | Command::Rollback { .. }
            | Command::Promote { .. }
            | Command::EndTrial { .. }
            | Command::Maintain { .. } => ("up", Of::All),
            Command::Start { .. } => ("start", Of::All),
            Command::Stop { services } => ("stop", Of::Service(services[0].clone())),
            Command::Restart { services } => ("restart", Of::Service(services[0].clone())),
            Command::Renew { service } => ("restart", Of::Service(service.clone())),
            Command::Scale { service, .. } => ("scale", Of::Service(service.clone())),
            Command::Down => ("down", Of::All),
            Command::Kill => ("kill", Of::All),
        },
        Event::Prepared { result: Ok(()), .. } => ("prepared", Of::All),
        Event::Prepared { .. } | Event::ReleaseMade { .. } | Event::Marked { .. } => ("prepare failed", Of::All),
        Event::Started { invocation, .. }
        | Event::StartFailed { invocation, .. }
        | Event::Exited { invocation, .. }
        | Event::Emptied { invocation }
        | Event::Probed { invocation, .. }
            if late(invocation) =>
        {
            ("late answer", Of::One(invocation.instance.clone()))
        }
        Event::Started { invocation, .. } => ("started", Of::One(invocation.instance.clone())),
        Event::StartFailed { invocation, .. } => ("start failed", Of::One(invocation.instance.clone())),
        Event::Exited { invocation, leftovers: false, .. } => ("exited", Of::One(invocation.instance.clone())),
        Event::Exited { invocation, .. } => ("exited, leftovers", Of::One(invocation.instance.clone())),
        Event::Emptied { invocation } => ("emptied", Of::One(invocation.instance.clone())),
        Event::LineBroken { instance, .. } => ("line broken", Of::One(instance.clone())),
        Event::ShimStopped { instance } => ("shim stopped", Of::One(instance.clone())),
        Event::Unreached { instance, why, .. } => {
            let word = match why {
                Unreached::Dead => "unreached: dead",
                Unreached::Silent => "unreached: silent",
                Unreached::Failed(_) => "unreached: failed",
            };
            (word, Of::One(instance.clone()))
        }
        Event::Adopted { instance, life: Life::Running { .. } | Life::Unattended, .. } => {
            ("adopted running", Of::One(instance.clone()))
        }
        Event::Adopted { instance, .. } => ("adopted ended", Of::One(instance.clone())),
        Event::Probed { invocation, probe, answer } => {
            let kind = match (probe, answer) {
                (ProbeKind::Readiness, Answer::Good) => "ready: yes",
                (ProbeKind::Readiness, Answer::Bad(_)) => "ready: no",
                (ProbeKind::Readiness, Answer::Unasked(_)) => "ready: unasked",
                (ProbeKind::Liveness, Answer::Good) => "alive: yes",
                (ProbeKind::Liveness, Answer::Bad(_)) => "alive: no",
                (ProbeKind::Liveness, Answer::Unasked(_)) => "alive: unasked",
            };
            (kind, Of::One(invocation.instance.clone()))
        }
        Event::Counted { instance, established: 0 } => ("counted 0", Of::One(instance.clone())),
        Event::Counted { instance, .. } => ("counted more", Of::One(instance.clone())),
        Event::Routed { service, result: Ok(()), .. } => ("routed", Of::Service(service.clone())),
        Event::Routed { service, .. } => ("route failed", Of::Service(service.clone())),
        Event::Verified { service, reach: Reach::Reached, .. } => ("verified", Of::Service(service.clone())),
        Event::Verified { service, .. } => ("not verified", Of::Service(service.clone())),
        Event::MemoryShort => ("memory short", Of::All),
        Event::Answered { instance, .. } => ("answered", Of::One(instance.clone())),
        Event::Visited { service } => ("visited", Of::Service(service.clone())),
        Event::Tick => ("tick", Of::All),
    }
}

/// Whether an event of a kind can reach an instance in a phase at all. What is about the whole stack meets every phase;
/// what a shim says needs a shim, and what a probe says needs a process that was asked.
fn may_occur(event: &str, phase: PhaseName) -> bool {
    use PhaseName::{Backoff, Draining, Ended, GaveUp, Probing, Ready, Starting, Stopping, Waiting, Warm};
    match event {
        // The engine is empty when it begins.
        "restored" => false,
        // Also when a start that was given up on is answered at last; that is too rare to be asked for.
        "started" | "start failed" => matches!(phase, Starting),
        // A shim says that it started before it says that it ended.
        "exited" => matches!(phase, Probing | Ready | Draining | Warm | Stopping),
        "exited, leftovers" => matches!(phase, Probing | Ready | Draining | Warm | Stopping),
        "emptied" => matches!(phase, Stopping),
        "line broken" => !matches!(phase, Ended | GaveUp | Waiting),
        "shim stopped" => matches!(phase, Starting | Probing | Ready | Draining | Warm | Stopping),
        "unreached: dead" | "unreached: silent" => matches!(phase, Probing | Ready | Stopping),
        "unreached: failed" => matches!(phase, Starting | Probing | Ready | Stopping),
        "adopted running" => matches!(phase, Starting | Probing | Ready | Draining | Stopping),
        "adopted ended" => matches!(phase, Starting | Probing | Ready | Stopping | Backoff),
        // A probe of this invocation may still be answered after its end.
        "ready: yes" => matches!(phase, Probing | Ready | Draining | Warm | Stopping),
        "ready: unasked" | "alive: unasked" => matches!(phase, Probing | Ready),
        "ready: no" => !matches!(phase, Starting | Ended),
        "alive: yes" => matches!(phase, Probing | Ready | Draining | Warm | Stopping),
        "alive: no" => matches!(phase, Probing | Ready | Draining | Warm | Stopping | Backoff),
        "counted 0" | "counted more" => matches!(phase, Draining | Stopping | Ended),
        "late answer" => matches!(phase, Starting | Probing | Ready | Backoff | Stopping),
        // What is kept warm is so only when the edge was asked all that there was to ask.
        "verified" | "not verified" => !matches!(phase, Warm),
        _ => true,
    }
}
