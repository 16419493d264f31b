//! A stack in a few words: `web: probe, route, depends db healthy, swap`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_engine::Topology;
use core_manifest::spec::{
    BinaryRef, Check, Condition, HttpAnswer, Kind, PortSpec, Probe, Protocol, Restart, Route, Strategy,
};
use core_manifest::{Identifier, ServiceName, ServiceSpec, Template};

pub(super) fn read(lines: &[&str]) -> Result<Topology, String> {
    let mut specs = Vec::new();
    for line in lines {
        let (name, rest) = line.split_once(':').ok_or("no `name:`")?;
        let mut spec = ServiceSpec::bare(ServiceName::made(name)?, "serve");
        spec.availability.restart = Restart::OnFailure;
        for word in rest.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            attribute(&mut spec, word)?;
        }
        specs.push(spec);
    }
    let mut out = Vec::new();
    let topology = Topology::build(specs, &BTreeSet::new(), &(), &mut out);
    topology.ok_or_else(|| out.iter().map(|one| one.message.clone()).collect::<Vec<_>>().join("; "))
}

fn attribute(spec: &mut ServiceSpec, word: &str) -> Result<(), String> {
    let words: Vec<&str> = word.split_whitespace().collect();
    let port = |number| PortSpec { number, protocol: Protocol::Http, address: "127.0.0.1".into(), hold: false };
    let http = || Identifier::new("http");
    match words.as_slice() {
        ["probe"] => spec.readiness = Some(probe()),
        ["liveness"] => spec.liveness = Some(probe()),
        ["depends", other, condition] => {
            let condition = match *condition {
                "started" => Condition::ProcessStarted,
                "healthy" => Condition::ProcessHealthy,
                "completed" => Condition::ProcessCompleted,
                "succeeded" => Condition::ProcessCompletedSuccessfully,
                _ => return Err(format!("no condition: {word}")),
            };
            spec.depends_on.insert(ServiceName::new(other)?, condition);
        }
        ["args", value] => spec.args = vec![Template::literal(*value)],
        ["restart", policy] => {
            spec.availability.restart = match *policy {
                "always" => Restart::Always,
                "no" => Restart::No,
                _ => return Err(format!("no policy: {word}")),
            }
        }
        ["backoff", "none"] => spec.availability.backoff = Duration::ZERO,
        ["max", number] => spec.availability.max_restarts = number.parse().map_err(|_| "no number")?,
        ["timeout", seconds] => {
            spec.shutdown.timeout = Duration::from_secs(seconds.parse().map_err(|_| "no number")?);
        }
        ["idle", minutes] => {
            spec.update.idle = 60 * Duration::from_secs(minutes.parse().map_err(|_| "no number")?);
        }
        ["replicas", number] => spec.replicas = number.parse().map_err(|_| "no number")?,
        ["disabled"] => spec.disabled = true,
        ["edge"] => {
            spec.kind = Kind::Caddy;
            spec.ports.insert(http()?, PortSpec { hold: true, ..port(Some(8080)) });
        }
        ["tls", number] => {
            let number = port(Some(number.parse().map_err(|_| "no number")?));
            spec.ports.insert(http()?, PortSpec { hold: true, protocol: Protocol::Https, ..number });
            spec.kind = Kind::Caddy;
            spec.update.strategy = Strategy::Swap;
        }
        ["port", number] => {
            spec.ports.insert(http()?, port(Some(number.parse().map_err(|_| "no number")?)));
        }
        ["hold", number] => {
            let port = port(Some(number.parse().map_err(|_| "no number")?));
            spec.ports.insert(http()?, PortSpec { hold: true, ..port });
        }
        ["log", bytes] => spec.log.segment_bytes = bytes.parse().map_err(|_| "no number")?,
        ["route"] => {
            spec.ports.insert(http()?, port(None));
            spec.route = Some(Route::bare(http()?));
            spec.update.strategy = Strategy::Swap;
            spec.update.ramp = Duration::ZERO;
        }
        ["warm", seconds] => {
            spec.update.warm = Duration::from_secs(seconds.parse().map_err(|_| "no number")?);
        }
        ["no-swap"] => spec.update.strategy = Strategy::Restart,
        ["env", value] => {
            spec.env.insert("VALUE".into(), Template::literal(*value));
        }
        ["ramp", seconds] => {
            spec.update.ramp = Duration::from_secs(seconds.parse().map_err(|_| "no number")?);
        }
        // Its binary stands in a folder of its own, like every release.
        ["release", id] => {
            spec.release = Some((*id).into());
            let folder = core_engine::folder::folder_of(spec.name.as_str(), id);
            attribute(spec, &format!("binary {folder}"))?;
        }
        ["binary", folder] => {
            let binary = BinaryRef {
                folder: Some((*folder).into()),
                path: (*folder).into(),
                version: "1".into(),
                source: "url".into(),
            };
            spec.binaries.insert(Identifier::new("program")?, binary);
        }
        _ => return Err(format!("no attribute: {word}")),
    }
    Ok(())
}

fn probe() -> Probe {
    Probe {
        check: Check::Http {
            address: Template::literal("127.0.0.1:1"),
            path: Template::literal("/"),
            answer: HttpAnswer { headers: BTreeMap::new(), status: 200, body_contains: None },
        },
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
    }
}
