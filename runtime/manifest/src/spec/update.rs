//! Resolves how a service is replaced when it changes.

use std::collections::BTreeMap;

use super::faults::Faults;
use super::{Context, PortSpec, Probe, Update};
use crate::diagnostic::Diagnostic;
use crate::manifest::{Manifest, Strategy};
use crate::name::Identifier;

const NO_OWN_PROBE: &str = "a held port answers for old and new alike; only a probe of one instance (notify, exec, ready_log_line, a unix socket in ${run}) could tell them apart";

/// How long a release is kept warm that another one replaced, in seconds, where that is the default.
const WARM: f64 = 600.0;

/// How long a preview runs while nobody asks for it, in minutes.
const IDLE: f64 = 15.0;
/// How long after its last deploy a preview is kept, in days.
const AGE: f64 = 14.0;

/// The strategy of a service that does not set one, and why.
fn default_strategy(
    has_route: bool,
    ports: impl Iterator<Item = (Option<u16>, bool)> + Clone,
    has_own_probe: bool,
) -> (Strategy, Option<String>) {
    let holds = ports.clone().any(|(_, hold)| hold);
    if !has_route && !holds {
        let why = "it has no route and no held port: two copies side by side must be asked for";
        return (Strategy::Restart, Some(why.into()));
    }
    if let Some(number) = ports.clone().find_map(|(number, hold)| number.filter(|_| !hold)) {
        return (
            Strategy::Restart,
            Some(format!("port {number} is neither auto nor held: two copies could not both listen")),
        );
    }
    if holds && !has_own_probe {
        return (Strategy::Restart, Some(NO_OWN_PROBE.to_owned()));
    }
    (Strategy::Swap, None)
}

/// The settings with their defaults, and the reason for the strategy.
pub(super) fn resolve(
    manifest: &Manifest,
    ports: &BTreeMap<Identifier, PortSpec>,
    readiness: Option<&Probe>,
    context: &Context,
    faults: &mut Faults<'_>,
) -> Update {
    let update = &manifest.update;
    let numbers = ports.values().map(|port| (port.number, port.hold));
    let own_probe = readiness.is_some_and(|probe| probe.check.is_of_one_instance());
    let (default, reason) = default_strategy(manifest.route.is_some(), numbers.clone(), own_probe);
    let (strategy, strategy_reason) = match update.strategy {
        None => (default, reason),
        Some(asked @ (Strategy::Swap | Strategy::Rolling)) => {
            if let Some(number) = numbers.clone().find_map(|(number, hold)| number.filter(|_| !hold)) {
                faults.add(
                    &["update", "strategy"],
                    Diagnostic::new(
                        "bad-strategy",
                        format!("two copies side by side cannot both listen on port {number}, which is neither auto nor held"),
                    )
                    .help("make the port \"auto\", hold it (`\"hold\": true`), or use `\"strategy\": \"restart\"`"),
                );
            }
            if numbers.clone().any(|(_, hold)| hold) && !own_probe {
                (Strategy::Restart, Some(NO_OWN_PROBE.to_owned()))
            } else {
                (asked, None)
            }
        }
        Some(Strategy::Restart) => (Strategy::Restart, None),
    };
    let preview = manifest.config.as_ref().and_then(|config| config.preview.as_ref());
    let (idle, age) = preview.map_or((None, None), |preview| (preview.idle_minutes, preview.keep_days));
    Update {
        strategy,
        strategy_reason,
        successes: update.successes.unwrap_or(3),
        ready: faults.seconds(&["update", "ready_seconds"], update.ready_seconds, 60.0),
        ramp: faults.seconds(&["update", "ramp_seconds"], update.ramp_seconds, 5.0),
        observe: faults.seconds(&["update", "observe_seconds"], update.observe_seconds, 5.0),
        drain: faults.seconds(&["update", "drain_seconds"], update.drain_seconds, 30.0),
        warm: faults.seconds(
            &["update", "warm_minutes"],
            update.warm_minutes.map(|minutes| minutes * 60.0),
            if context.keeps_warm && context.release.is_some() { WARM } else { 0.0 },
        ),
        idle: faults.seconds(&["config", "preview", "idle_minutes"], idle.map(|one| one * 60.0), IDLE * 60.0),
        age: faults.seconds(&["config", "preview", "keep_days"], age.map(|one| one * 86400.0), AGE * 86400.0),
    }
}
