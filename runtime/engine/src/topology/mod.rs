//! All specs of one generation: without cycles, and with unique resources.

mod cycle;
mod resources;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use core_manifest::spec::{Check, Condition, Restart};
use core_manifest::{Diagnostic, ServiceName, ServiceSpec, Span, name};
use serde::{Deserialize, Serialize};

/// All specs of one generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// The specs by service.
    pub services: BTreeMap<ServiceName, Arc<ServiceSpec>>,
}

/// The range of ports that core may pick from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

impl Default for PortRange {
    fn default() -> Self {
        Self { first: 20000, last: 29999 }
    }
}

impl PortRange {
    /// All ports of the range, both ends included.
    pub fn all(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

/// Where things were written, for diagnostics.
pub trait Places {
    /// The place of `path` in the manifest of `service`.
    fn span(&self, service: &ServiceName, path: &[&str]) -> Option<Span>;

    /// The place of the last key of `path`, instead of its value.
    fn key(&self, service: &ServiceName, path: &[&str]) -> Option<Span>;
}

impl Places for () {
    fn span(&self, _: &ServiceName, _: &[&str]) -> Option<Span> {
        None
    }

    fn key(&self, _: &ServiceName, _: &[&str]) -> Option<Span> {
        None
    }
}

impl Topology {
    /// Combines the specs. Diagnostics go to `out`; returns `None` if there are any errors.
    ///
    /// `left_out` are services that have a manifest but are not part of this topology; they improve the messages.
    pub fn build(
        specs: impl IntoIterator<Item = ServiceSpec>,
        left_out: &BTreeSet<ServiceName>,
        places: &dyn Places,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let before = out.len();
        let services: BTreeMap<ServiceName, Arc<ServiceSpec>> =
            specs.into_iter().map(|spec| (spec.name.clone(), Arc::new(spec))).collect();
        let topology = Self { services };
        topology.check_dependencies(left_out, places, out);
        if let Some(fault) = cycle::find(&topology, places) {
            out.push(fault);
        }
        resources::check(&topology, places, out);
        (out.len() == before).then_some(topology)
    }

    /// The edge, if there is one.
    pub fn edge(&self) -> Option<&Arc<ServiceSpec>> {
        self.services.values().find(|spec| spec.kind.is_edge())
    }

    /// The services in `of` and all their dependencies, direct and indirect.
    pub fn with_dependencies<'a>(&'a self, of: impl IntoIterator<Item = &'a ServiceName>) -> BTreeSet<ServiceName> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&ServiceName> = of.into_iter().collect();
        while let Some(name) = open.pop() {
            if let Some(spec) = self.services.get(name)
                && all.insert(name.clone())
            {
                open.extend(spec.depends_on.keys());
            }
        }
        all
    }

    fn check_dependencies(&self, left_out: &BTreeSet<ServiceName>, places: &dyn Places, out: &mut Vec<Diagnostic>) {
        for spec in self.services.values() {
            for (other, condition) in &spec.depends_on {
                let at = places.key(&spec.name, &["process", "compose", "depends_on", other.as_str()]);
                let complain = |code, message: String, help: String| {
                    Diagnostic::new(code, message).at_opt(at.clone()).help(help).service(spec.name.as_str())
                };
                let Some(dependency) = self.services.get(other) else {
                    let known =
                        self.services.keys().map(ServiceName::as_str).filter(|name| *name != spec.name.as_str());
                    out.push(if left_out.contains(other) {
                        complain(
                            "unknown-service",
                            format!("`{}` depends on `{other}`, which this profile leaves out", spec.name),
                            "leave the dependent out too, or take the dependency away in the profile".into(),
                        )
                    } else {
                        complain(
                            "unknown-service",
                            format!("`{}` depends on `{other}`, which does not exist", spec.name),
                            name::nearest(other.as_str(), known).map_or_else(
                                || format!("add services/{other}/service.json, or take the dependency away"),
                                |guess| format!("did you mean `{guess}`?"),
                            ),
                        )
                    });
                    continue;
                };
                let word = condition.word();
                let never = match condition {
                    Condition::ProcessHealthy if dependency.readiness.is_none() => Some((
                        format!("it has no readiness probe, so `{word}` would never be true"),
                        "give it a readiness_probe, or wait for process_started",
                    )),
                    Condition::ProcessLogReady
                        if !matches!(
                            dependency.readiness.as_ref().map(|probe| &probe.check),
                            Some(Check::LogLine { .. })
                        ) =>
                    {
                        Some((
                            format!("it has no `ready_log_line`, so `{word}` would never be true"),
                            "give it a ready_log_line, or wait for process_healthy",
                        ))
                    }
                    Condition::ProcessCompleted | Condition::ProcessCompletedSuccessfully
                        if dependency.availability.restart == Restart::Always =>
                    {
                        Some((
                            format!("it is always restarted, so `{word}` would never be true"),
                            "set its availability.restart to \"on_failure\" or \"no\"",
                        ))
                    }
                    _ => None,
                };
                if let Some((why, help)) = never {
                    out.push(complain(
                        "bad-condition",
                        format!("`{}` waits for `{other}`: {why}", spec.name),
                        help.to_owned(),
                    ));
                }
            }
        }
    }
}
