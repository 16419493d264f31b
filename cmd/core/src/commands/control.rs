//! `core start`, `stop`, `restart`, `scale`, `apply`

use std::time::Duration;

use core_engine::engine::OperationState;
use core_host::api::{OperationStatus, ScaleRequest, ServicesRequest};
use core_host::client::ClientError;
use core_host::paths::Paths;
use serde::Serialize;
use tokio::time::Instant;

use super::{ask_operation, ask_status, begin, refuse_moved, tell, tell_failure};
use crate::cli::{ScaleArgs, ServicesArgs, WaitArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::render;
use crate::render::progress::Progress;

/// What takes longer than this is shown while it is waited for.
const QUIET: Duration = Duration::from_secs(2);
/// How many seconds are waited where nobody says how many.
const TIMEOUT: f64 = 120.0;
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) async fn run(context: &Context, verb: &str, args: &ServicesArgs) -> Exit {
    carry_out(context, verb, &ServicesRequest { services: args.services.clone() }, &args.wait).await
}

pub(crate) async fn scale(context: &Context, args: &ScaleArgs) -> Exit {
    let parsed = args.target.split_once('=').and_then(|(service, replicas)| Some((service, replicas.parse().ok()?)));
    let Some((service, replicas)) = parsed else {
        render::error(&format!("`{}` is no SERVICE=REPLICAS", args.target));
        render::help("for example: core scale web=3");
        return Exit::Usage;
    };
    carry_out(context, "scale", &ScaleRequest { service: service.to_owned(), replicas }, &args.wait).await
}

pub(crate) async fn apply(context: &Context, args: &WaitArgs) -> Exit {
    carry_out(context, "apply", &(), args).await
}

async fn carry_out(context: &Context, verb: &str, body: &impl Serialize, wait: &WaitArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    if let Err(exit) = refuse_moved(&paths) {
        return exit;
    }
    // An end takes as long as the manifests say, and is sure to come.
    let seconds = wait.timeout.unwrap_or(if verb == "stop" { f64::INFINITY } else { TIMEOUT });
    let asked = async {
        let accepted = begin(&paths, verb, body).await?;
        wait_in_sight(&paths, accepted.operation, seconds).await
    };
    match asked.await {
        Ok(Some(operation)) => match operation.status {
            OperationState::Failed { message, .. } => {
                tell_failure(&message, &operation.last_lines);
                Exit::Failed
            }
            _ => Exit::Ok,
        },
        Ok(None) => {
            render::error(&format!("not done within {seconds} s"));
            tell_waits(&paths).await;
            render::help("it goes on: `core status` shows it, `core why SERVICE` what keeps it");
            Exit::Failed
        }
        Err(error) => tell(&error),
    }
}

/// Waits until an operation has ended, and shows what it waits for when that takes long. `None` when time is over.
async fn wait_in_sight(paths: &Paths, operation: u64, seconds: f64) -> Result<Option<OperationStatus>, ClientError> {
    let began = Instant::now();
    let mut patience = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let mut progress = None;
    let ended = loop {
        let asked_at = Instant::now();
        let left = patience.saturating_sub(began.elapsed());
        let status = ask_operation(paths, operation, LOOK.min(left).as_secs_f64()).await?;
        status.announcements.iter().for_each(|text| render::note(text));
        if status.status != OperationState::Running {
            break Some(status);
        }
        if began.elapsed() >= patience {
            break None;
        }
        if began.elapsed() >= QUIET
            && let Ok(status) = ask_status(paths).await
        {
            // What is fetched or built takes as long as it takes.
            if !status.jobs.is_empty() {
                patience = patience.saturating_add(asked_at.elapsed());
            }
            progress.get_or_insert_with(Progress::new).show(&status);
        }
    };
    if let Some(progress) = progress {
        progress.end();
    }
    Ok(ended)
}

/// What is not ready yet, and why, in a line each.
async fn tell_waits(paths: &Paths) {
    let Ok(status) = ask_status(paths).await else { return };
    for instance in status.instances.iter().filter(|instance| !instance.ready) {
        for waiting in instance.waiting_on.iter().take(1) {
            render::note(&format!("  {} {}", instance.id, waiting.message));
        }
    }
}
