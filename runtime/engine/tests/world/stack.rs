//! Random stacks and random edits of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_engine::Topology;
use core_manifest::spec::{
    BinaryRef, Check, Condition, HttpAnswer, Kind, PortSpec, Probe, Protocol, Restart, Route, ServiceSpec, Strategy,
};
use core_manifest::{Identifier, ServiceName, Template};

use super::rng::Rng;

pub(crate) const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

pub(crate) fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

pub(crate) fn http_port() -> Identifier {
    Identifier::new("http").unwrap()
}

fn probe(rng: &mut Rng) -> Probe {
    Probe {
        check: Check::Http {
            address: Template::literal("127.0.0.1:1"),
            path: Template::literal("/"),
            answer: HttpAnswer { headers: BTreeMap::new(), status: 200, body_contains: None },
        },
        initial_delay: if rng.percent(20) { rng.millis(0, 500) } else { Duration::ZERO },
        period: *rng.pick(&[Duration::from_millis(700), Duration::from_secs(3), Duration::from_secs(5)]),
        timeout: Duration::from_secs(1),
        success_threshold: if rng.percent(20) { 2 } else { 1 },
        failure_threshold: 1 + u32::try_from(rng.below(3)).unwrap_or(0),
    }
}

/// A one-shot is a service that ends by itself.
pub(crate) fn is_one_shot(spec: &ServiceSpec) -> bool {
    spec.command.as_literal() == Some("once")
}

fn service(rng: &mut Rng, at: usize, has_edge: bool) -> ServiceSpec {
    let one_shot = rng.percent(12);
    let mut spec = ServiceSpec::bare(name(NAMES[at]), if one_shot { "once" } else { "serve" });
    spec.args = vec![Template::literal(rng.below(1000).to_string())];
    spec.availability.restart = *rng.pick(&[
        Restart::OnFailure,
        Restart::OnFailure,
        Restart::OnFailure,
        Restart::Always,
        Restart::Always,
        Restart::No,
    ]);
    if one_shot && spec.availability.restart == Restart::Always {
        spec.availability.restart = Restart::OnFailure;
    }
    spec.availability.backoff = *rng.pick(&[Duration::ZERO, Duration::from_millis(100), Duration::from_secs(1)]);
    spec.availability.max_restarts = if rng.percent(15) { 2 } else { 0 };
    spec.shutdown.timeout = *rng.pick(&[Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)]);
    spec.shutdown.command = rng.percent(10).then(|| Template::literal("bye"));
    spec.update.ready = Duration::from_secs(8);
    spec.update.observe = Duration::from_secs(2);
    spec.update.ramp = Duration::from_millis(if rng.percent(50) { 0 } else { 1500 });
    spec.update.drain = Duration::from_secs(3);
    spec.disabled = rng.percent(4);
    if !one_shot {
        spec.readiness = rng.percent(75).then(|| probe(rng));
        spec.liveness = rng.percent(35).then(|| probe(rng));
        if has_edge && rng.percent(45) {
            spec.route = Some(Route { paths: vec![format!("/{}", NAMES[at])], ..Route::bare(http_port()) });
        }
        let auto = spec.route.is_some() || rng.percent(30);
        let number = if auto { None } else { rng.percent(40).then(|| 9000 + u16::try_from(rng.below(4)).unwrap_or(0)) };
        if auto || number.is_some() {
            let port = PortSpec { number, protocol: Protocol::Http, address: "127.0.0.1".into(), hold: false };
            spec.ports.insert(http_port(), port);
        }
        if number.is_none() && (spec.route.is_some() || rng.percent(20)) && rng.percent(80) {
            spec.update.strategy = Strategy::Swap;
        }
        if spec.route.is_some() && spec.update.strategy == Strategy::Swap && rng.percent(60) {
            spec.update.warm = *rng.pick(&[Duration::ZERO, Duration::from_secs(4), Duration::from_secs(9)]);
            release(rng, &mut spec);
        }
        if number.is_none() && rng.percent(25) {
            spec.replicas = 2 + u32::try_from(rng.below(2)).unwrap_or(0);
        }
    }
    if rng.percent(45) {
        fetch(rng, &mut spec);
    }
    spec
}

/// It runs one of a few releases, so that it often goes back to one that it had.
fn release(rng: &mut Rng, spec: &mut ServiceSpec) {
    spec.release = Some(format!("r{}", rng.below(3)));
}

/// Its program is fetched, in one of several versions.
fn fetch(rng: &mut Rng, spec: &mut ServiceSpec) {
    let folder = format!("dep-{}", rng.below(12));
    let binary = BinaryRef { path: folder.clone(), folder: Some(folder), version: "1".into(), source: "url".into() };
    spec.binaries.insert(Identifier::new("dep").unwrap(), binary);
}

fn edge(rng: &mut Rng) -> ServiceSpec {
    let mut spec = ServiceSpec::bare(name("edge"), "serve");
    spec.kind = Kind::Caddy;
    spec.availability.restart = Restart::Always;
    spec.readiness = Some(probe(rng));
    spec.shutdown.timeout = Duration::from_secs(2);
    let port = PortSpec { number: Some(8080), protocol: Protocol::Http, address: "127.0.0.1".into(), hold: true };
    spec.ports.insert(http_port(), port);
    spec
}

fn depend(rng: &mut Rng, spec: &mut ServiceSpec, on: &ServiceSpec) {
    let mut possible = vec![Condition::ProcessStarted];
    if on.readiness.is_some() {
        possible.push(Condition::ProcessHealthy);
        possible.push(Condition::ProcessHealthy);
    }
    if is_one_shot(on) {
        possible =
            vec![Condition::ProcessCompletedSuccessfully, Condition::ProcessCompleted, Condition::ProcessStarted];
    }
    spec.depends_on.insert(on.name.clone(), *rng.pick(&possible));
}

/// A random stack of four to seven services, often with an edge.
pub(crate) fn random(rng: &mut Rng) -> Topology {
    let has_edge = rng.percent(70);
    let count = 4 + usize::try_from(rng.below(4)).unwrap_or(0) - usize::from(has_edge);
    let mut specs: Vec<ServiceSpec> = Vec::new();
    for at in 0..count {
        let mut spec = service(rng, at, has_edge);
        for other in &specs {
            if rng.percent(35) {
                depend(rng, &mut spec, other);
            }
        }
        specs.push(spec);
    }
    if has_edge {
        specs.push(edge(rng));
    }
    sane(specs)
}

/// A random edit of a stack.
pub(crate) fn edit(rng: &mut Rng, old: &Topology) -> Topology {
    let mut specs: Vec<ServiceSpec> = old.services.values().map(|spec| spec.as_ref().clone()).collect();
    let has_edge = specs.iter().any(|spec| spec.kind.is_edge());
    let at = usize::try_from(rng.below(specs.len() as u64)).unwrap_or(0);
    let with_release = specs.iter().position(|spec| spec.release.is_some());
    match rng.below(15) {
        0 if specs.len() > 3 && !specs[at].kind.is_edge() => {
            let gone = specs.remove(at).name;
            for spec in &mut specs {
                spec.depends_on.remove(&gone);
            }
        }
        1 => {
            let free = (0..NAMES.len()).find(|at| !old.services.contains_key(NAMES[*at]));
            if let Some(free) = free {
                let mut spec = service(rng, free, has_edge);
                for other in &specs {
                    if other.name < spec.name && !other.kind.is_edge() && rng.percent(30) {
                        depend(rng, &mut spec, other);
                    }
                }
                specs.push(spec);
            }
        }
        2 if !specs[at].ports.values().any(|port| port.number.is_some()) => {
            specs[at].replicas = 1 + u32::try_from(rng.below(3)).unwrap_or(0);
        }
        3 => specs[at].availability.backoff = rng.millis(0, 500),
        4 if specs[at].readiness.is_some() => specs[at].readiness = Some(probe(rng)),
        5 if specs[at].kind == Kind::Process && !is_one_shot(&specs[at]) => {
            specs[at].liveness = rng.percent(60).then(|| probe(rng));
        }
        6 => specs[at].disabled = rng.percent(30) && specs[at].kind == Kind::Process,
        7 => {}
        10 if specs[at].kind == Kind::Process && rng.percent(50) => {
            let name = Identifier::new("held").unwrap();
            let number = Some(9100 + u16::from(specs[at].name.as_str().as_bytes()[0]));
            let port = PortSpec { number, protocol: Protocol::Http, address: "127.0.0.1".into(), hold: true };
            if specs[at].ports.remove(&name).is_none() {
                specs[at].ports.insert(name, port);
            }
        }
        13 | 14 if with_release.is_some() => release(rng, &mut specs[with_release.unwrap_or(at)]),
        9 if specs[at].kind == Kind::Process => fetch(rng, &mut specs[at]),
        8 => {
            // Two at once.
            for _ in 0..2 {
                let at = usize::try_from(rng.below(specs.len() as u64)).unwrap_or(0);
                specs[at].args = vec![Template::literal(rng.below(1000).to_string())];
            }
        }
        // The same program, told something else.
        _ if rng.percent(50) => {
            specs[at].env.insert("VALUE".into(), Template::literal(rng.below(1000).to_string()));
        }
        _ => specs[at].args = vec![Template::literal(rng.below(1000).to_string())],
    }
    sane(specs)
}

/// Takes away what the build of a topology would refuse.
fn sane(mut specs: Vec<ServiceSpec>) -> Topology {
    let mut taken = BTreeSet::new();
    for spec in &mut specs {
        spec.ports.retain(|_, port| port.number.is_none_or(|number| taken.insert(number)));
    }
    let by_name: BTreeMap<ServiceName, (bool, bool)> = specs
        .iter()
        .map(|spec| (spec.name.clone(), (spec.readiness.is_some(), spec.availability.restart == Restart::Always)))
        .collect();
    for spec in &mut specs {
        for (other, condition) in &mut spec.depends_on {
            let (has_probe, always) = by_name[other];
            let fits = match condition {
                Condition::ProcessHealthy => has_probe,
                Condition::ProcessCompleted | Condition::ProcessCompletedSuccessfully => !always,
                _ => true,
            };
            if !fits {
                *condition = Condition::ProcessStarted;
            }
        }
    }
    let mut out = Vec::new();
    let topology = Topology::build(specs, &BTreeSet::new(), &(), &mut out);
    assert!(out.is_empty(), "a random stack is broken: {out:?}");
    topology.unwrap_or_default()
}
