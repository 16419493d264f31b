//! Asks each service with a route, through the edge, whether it answers: for `core top`. It changes nothing of what runs.

use std::path::PathBuf;
use std::time::Duration;

use core_engine::InstanceId;
use core_engine::phase::PhaseName;
use core_manifest::ServiceName;
use core_manifest::spec::{Check, ServiceSpec};
use core_stack::drivers;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::Supervisor;
use crate::probes;
use crate::uptime::{self, Round};

/// How often.
const PAUSE: Duration = Duration::from_secs(30);
/// How long after the start the first time.
const FIRST: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// When to ask.
pub(super) fn turns() -> Interval {
    let mut turns = tokio::time::interval_at(Instant::now() + FIRST, PAUSE);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

/// Where a service is asked; `None` if nothing of it or of the edge is ready.
type Asked = (ServiceName, Option<(PathBuf, String)>);

impl Supervisor {
    /// Asks all of them at once, and writes down what they answered.
    pub(super) fn check_services(&self) {
        let all = self.asked();
        if all.is_empty() {
            return;
        }
        let path = self.paths.uptime();
        tokio::task::spawn_local(async move {
            let mut asking = JoinSet::new();
            for (service, to) in all {
                asking.spawn(async move { (service.to_string(), took(to).await) });
            }
            let took_ms = asking.join_all().await.into_iter().collect();
            let round = Round { at: jiff::Timestamp::now().as_second(), took_ms };
            let written = tokio::task::spawn_blocking(move || uptime::append(&path, &round)).await;
            if let Ok(Err(error)) = written {
                tracing::debug!("uptime.jsonl is not written: {error}");
            }
        });
    }

    /// Those that are to answer now. Whoever is stopped, is in maintenance, sleeps, or is a development server is not.
    fn asked(&self) -> Vec<Asked> {
        let topology = self.engine.topology();
        let Some(edge) = topology.edge() else { return Vec::new() };
        let instances: Vec<(&InstanceId, PhaseName)> =
            self.engine.instances().map(|(id, phase, _)| (id, phase)).collect();
        let ready = instances.iter().filter(|(id, phase)| *id.service() == edge.name && *phase == PhaseName::Ready);
        let ready = ready.map(|(id, _)| *id);
        let socket = ready.max_by_key(|id| id.generation).map(|id| {
            let folder = self.paths.run.join(id.to_string());
            folder.join(drivers::VERIFY)
        });
        let tables = self.engine.route_tables();
        let tables = tables.iter().filter(|table| table.trial.is_none() && table.maintenance.is_none());
        let all = tables.filter_map(|table| {
            let spec = topology.services.get(&table.service)?;
            let is_developed = spec.release.as_ref().is_some_and(String::is_empty);
            let of_service = |id: &InstanceId| *id.service() == table.service;
            let is_wanted = instances.iter().any(|(id, phase)| of_service(id) && *phase != PhaseName::Ended);
            if is_developed || !is_wanted {
                return None;
            }
            let to = socket.clone().zip(table.targets.first()).map(|(socket, target)| {
                (socket, format!("{}{}", drivers::verify_path(&table.service, 0), self.path_of(spec, &target.instance)))
            });
            Some((table.service.clone(), to))
        });
        all.collect()
    }

    /// The path that says whether a service is well, else the one that its clients begin with.
    fn path_of(&self, spec: &ServiceSpec, instance: &InstanceId) -> String {
        if let Some(Check::Http { path, .. }) = spec.readiness.as_ref().map(|probe| &probe.check) {
            return path.fill(&self.shims.environment.fill(&self.paths, instance, &[].into()));
        }
        let first = spec.route.as_ref().and_then(|route| route.paths.first());
        first.map_or_else(|| "/".to_owned(), |path| path.trim_end_matches('*').to_owned())
    }
}

/// How many milliseconds an answer took, if there was a good one.
async fn took(to: Option<(PathBuf, String)>) -> Option<f64> {
    let (socket, path) = to?;
    let began = Instant::now();
    let status = tokio::time::timeout(PATIENCE, probes::status_from(&socket, &path)).await.ok()?.ok()?;
    let millis = began.elapsed().as_secs_f64() * 1e3;
    (status < 500).then_some((millis * 100.0).round() / 100.0)
}
