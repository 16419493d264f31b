//! Asks each service with a route, through the edge, whether it answers: for `core top`. It changes nothing of what runs.

use std::path::PathBuf;
use std::time::Duration;

use core_engine::check::ServiceCheck;
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

impl Supervisor {
    /// Asks all of them at once, and writes down what they answered.
    pub(super) fn check_services(&self) {
        let all: Vec<_> =
            self.engine.checks().into_iter().map(|one| (one.service.to_string(), self.place(&one))).collect();
        if all.is_empty() {
            return;
        }
        let path = self.paths.uptime();
        tokio::task::spawn_local(async move {
            let mut asking = JoinSet::new();
            for (service, to) in all {
                asking.spawn(async move { (service, took(to).await) });
            }
            let took_ms = asking.join_all().await.into_iter().collect();
            let round = Round { at: jiff::Timestamp::now().as_second(), took_ms };
            let written = tokio::task::spawn_blocking(move || uptime::append(&path, &round)).await;
            if let Ok(Err(error)) = written {
                tracing::debug!("uptime.jsonl is not written: {error}");
            }
        });
    }

    /// The socket of the edge and the path on it.
    fn place(&self, check: &ServiceCheck) -> Option<(PathBuf, String)> {
        let (edge, target) = check.to.as_ref()?;
        let fill = self.shims.environment.fill(&self.paths, &target.instance, &[].into());
        let path = format!("{}{}", drivers::verify_path(&check.service, 0), check.path.fill(&fill));
        Some((self.paths.run.join(edge.to_string()).join(drivers::VERIFY), path))
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
