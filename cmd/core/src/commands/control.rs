//! `core start`, `stop`, `restart`, `scale`, `apply`

use std::time::Duration;

use core_engine::engine::OperationState;
use core_host::api::{ScaleRequest, ServicesRequest};
use core_host::paths::Paths;
use serde::Serialize;

use super::sight::{self, Sight};
use super::{ask_status, begin, refuse_moved, tell, tell_failure};
use crate::cli::{ScaleArgs, ServicesArgs, WaitArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

/// An operation that takes longer than this shows its progress.
const QUIET: Duration = Duration::from_secs(2);
/// The default of `--timeout` in seconds, except for `stop`.
const TIMEOUT: f64 = 120.0;

pub(crate) async fn run(context: &Context, verb: &str, args: &ServicesArgs) -> Exit {
    carry_out(context, verb, &ServicesRequest { services: args.services.clone() }, &args.wait).await
}

pub(crate) async fn scale(context: &Context, args: &ScaleArgs) -> Exit {
    let parsed = args.target.split_once('=').and_then(|(service, replicas)| Some((service, replicas.parse().ok()?)));
    let Some((service, replicas)) = parsed else {
        render::error(&format!("`{}` is not SERVICE=REPLICAS", args.target));
        render::help("for example: core scale web=3");
        return Exit::Usage;
    };
    carry_out(context, "scale", &ScaleRequest { service: service.to_owned(), replicas }, &args.wait).await
}

pub(crate) async fn apply(context: &Context, args: &WaitArgs) -> Exit {
    carry_out(context, "apply", &(), args).await
}

/// Carries out what takes a moment.
pub(crate) async fn carry_out_soon(context: &Context, verb: &str, body: &impl Serialize) -> Exit {
    carry_out(context, verb, body, &WaitArgs { timeout: None }).await
}

async fn carry_out(context: &Context, verb: &str, body: &impl Serialize, wait: &WaitArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    if let Err(exit) = refuse_moved(&paths) {
        return exit;
    }
    // A stop takes as long as the manifests allow, and always completes.
    let seconds = wait.timeout.unwrap_or(if verb == "stop" { f64::INFINITY } else { TIMEOUT });
    let asked = async {
        let accepted = begin(&paths, verb, body).await?;
        let most = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        sight::wait(&paths, accepted.operation, &Sight { quiet: QUIET, most, silence: Duration::ZERO }).await
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

/// Prints what is not ready yet and why, one line each.
async fn tell_waits(paths: &Paths) {
    let Ok(status) = ask_status(paths).await else { return };
    for instance in status.instances.iter().filter(|instance| !instance.ready) {
        for waiting in instance.waiting_on.iter().take(1) {
            render::note(&format!("  {} {}", instance.id, waiting.message));
        }
    }
}
