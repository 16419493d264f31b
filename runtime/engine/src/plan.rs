//! The difference of two topologies as data.

use std::collections::BTreeMap;

use core_manifest::spec::Strategy;
use core_manifest::{ServiceName, ServiceSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diff::{Class, differences};
use crate::ids::Generation;
use crate::topology::Topology;

/// What happens to one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Nothing changes.
    Keep,
    /// The service is new.
    Start,
    /// The service was removed.
    Stop,
    /// Its instances keep running, with other settings.
    Refresh,
    /// New instances start beside the old ones, then replace them.
    Swap,
    /// Its instances are stopped, then started.
    Restart,
}

impl Change {
    /// The word that is saved and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Refresh => "refresh",
            Self::Swap => "swap",
            Self::Restart => "restart",
        }
    }
}

/// What happens to one service, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// What happens to the service.
    pub change: Change,
    /// The reasons, one line each.
    pub reasons: Vec<String>,
}

/// The difference of two topologies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The present generation.
    pub from: Generation,
    /// The generation after the change; equal to `from` if nothing changes.
    pub to: Generation,
    /// All services of both topologies.
    #[schemars(with = "BTreeMap<String, Planned>")]
    pub services: BTreeMap<ServiceName, Planned>,
}

impl Plan {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.services.values().all(|planned| planned.change == Change::Keep)
    }
}

/// What happens to one service when its spec changes from `old` to `new`; `None` if the service does not exist.
pub fn change_of(old: Option<&ServiceSpec>, new: Option<&ServiceSpec>) -> Planned {
    let planned = |change, reasons| Planned { change, reasons };
    match (old, new) {
        (None, None) => planned(Change::Keep, Vec::new()),
        (None, Some(_)) => planned(Change::Start, vec!["it is new".into()]),
        (Some(_), None) => planned(Change::Stop, vec!["its manifest is gone".into()]),
        (Some(old), Some(new)) => {
            let all = differences(old, new);
            let most = all.iter().map(|one| one.class).max().unwrap_or(Class::None);
            let mut reasons: Vec<String> = all
                .iter()
                .filter(|one| one.class == most && most != Class::None)
                .map(|one| one.reason.clone())
                .collect();
            let change = match most {
                Class::None => Change::Keep,
                Class::Refresh => Change::Refresh,
                Class::Replace if new.update.strategy == Strategy::Restart => {
                    reasons.extend(new.update.strategy_reason.iter().map(|why| format!("by restart: {why}")));
                    Change::Restart
                }
                Class::Replace => Change::Swap,
            };
            planned(change, reasons)
        }
    }
}

/// The plan that leads from the `old` topology, of generation `from`, to `new`.
pub fn plan(from: Generation, old: &Topology, new: &Topology) -> Plan {
    let names = old.services.keys().chain(new.services.keys());
    let services: BTreeMap<ServiceName, Planned> = names
        .map(|name| {
            let (old, new) = (old.services.get(name), new.services.get(name));
            (name.clone(), change_of(old.map(AsRef::as_ref), new.map(AsRef::as_ref)))
        })
        .collect();
    let mut plan = Plan { from, to: from, services };
    if !plan.is_empty() {
        plan.to = from.next();
    }
    plan
}
