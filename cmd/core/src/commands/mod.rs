//! One file per command.

mod access;
pub(crate) mod actions_key;
pub(crate) mod analyze;
mod apart;
pub(crate) mod auth;
pub(crate) mod boot;
pub(crate) mod bootstrap;
pub(crate) mod build;
mod build_log;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod ci;
pub(crate) mod completions;
pub(crate) mod control;
pub(crate) mod deploy;
pub(crate) mod doctor;
pub(crate) mod down;
mod downtime;
pub(crate) mod exec;
pub(crate) mod graph;
pub(crate) mod here;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod maintenance;
pub(crate) mod man;
pub(crate) mod nats_cluster;
pub(crate) mod plan;
pub(crate) mod precompress;
pub(crate) mod previews;
pub(crate) mod probe;
pub(crate) mod promote;
pub(crate) mod releases;
mod remote;
pub(crate) mod rollback;
pub(crate) mod schema;
pub(crate) mod serve_files;
pub(crate) mod serve_limits;
pub(crate) mod service;
mod ship;
pub(crate) mod sight;
pub(crate) mod status;
pub(crate) mod supervise;
pub(crate) mod tls;
pub(crate) mod top;
pub(crate) mod trust;
pub(crate) mod up;
pub(crate) mod watch;
pub(crate) mod why;

use core_engine::engine::OperationState;
use core_host::api::{Accepted, OperationStatus, Status};
use core_host::client::{self, ClientError};
use core_host::last_resort;
use core_host::paths::Paths;
use serde::Serialize;

use crate::exit::Exit;
use crate::render;

/// Gets the state of the stack, with the resource usage of its instances.
pub(crate) async fn ask_status(paths: &Paths) -> Result<Status, ClientError> {
    client::get(paths, "/v1/status").await
}

/// A message if the stack still runs as the path that its folder was moved from; otherwise `None`.
pub(crate) fn moved(paths: &Paths) -> Option<String> {
    let from = paths.moved_from.as_ref().filter(|_| last_resort::keeper_lives(paths))?;
    Some(format!("the stack runs as {}, from where its folder was moved here", from.display()))
}

/// Refuses to change a stack whose folder was moved while it runs.
pub(crate) fn refuse_moved(paths: &Paths) -> Result<(), Exit> {
    let Some(moved) = moved(paths) else { return Ok(()) };
    render::error(&format!("{moved}: it cannot be changed"));
    render::help("`core down` ends it, `core up` starts it here");
    Err(Exit::Failed)
}

/// Starts an operation: `verb` is the last part of its path.
pub(crate) async fn begin(paths: &Paths, verb: &str, body: &impl Serialize) -> Result<Accepted, ClientError> {
    client::order(paths, verb, body).await
}

/// Like `ask_status`, without resource usage, which costs a pass over all processes of the host.
pub(crate) async fn ask_progress(paths: &Paths) -> Result<Status, ClientError> {
    client::get(paths, "/v1/status?usage=false").await
}

/// Gets the state of an operation, waiting up to `wait` seconds for a change.
pub(crate) async fn ask_operation(paths: &Paths, operation: u64, wait: f64) -> Result<OperationStatus, ClientError> {
    let path = format!("/v1/operations/{operation}?wait={wait}");
    client::wait(paths, &path).await
}

/// Waits until an operation has ended, and prints its announcements.
pub(crate) async fn wait_for(paths: &Paths, operation: u64) -> Result<OperationStatus, ClientError> {
    loop {
        let status = ask_operation(paths, operation, 30.0).await?;
        status.announcements.iter().for_each(|text| render::note(text));
        if status.status != OperationState::Running {
            return Ok(status);
        }
    }
}

/// Prints the error of a failed operation, and the last log lines of the invocation that caused it.
pub(crate) fn tell_failure(message: &str, last_lines: &[String]) {
    render::error(message);
    for line in last_lines {
        render::note(&format!("  {} {line}", render::styled(render::DIM, "|")));
    }
}

/// Reports that a service that was named does not exist.
pub(crate) fn tell_unknown<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Exit {
    render::error(&format!("there is no service `{unknown}`"));
    if let Some(guess) = core_manifest::name::nearest(unknown, known) {
        render::help(&format!("did you mean `{guess}`?"));
    }
    Exit::Usage
}

/// Reports that signals cannot be received, so that nobody could interrupt this command.
pub(crate) fn tell_no_signals(error: &std::io::Error) -> Exit {
    render::error(&format!("signals cannot be waited for: {error}"));
    Exit::Failed
}

/// Reports an error of a request to the supervisor.
pub(crate) fn tell(error: &ClientError) -> Exit {
    match error {
        ClientError::NoSupervisor => {
            render::error("the stack is not running; start it with `core up`");
            Exit::NoSupervisor
        }
        ClientError::Refused(failure) => {
            render::error(&failure.message);
            failure.problems.iter().for_each(|problem| render::note(&render::diagnostics::problem(problem)));
            if failure.code == "broken-manifests" { Exit::Usage } else { Exit::Failed }
        }
        ClientError::Silent | ClientError::Broken(_) => {
            render::error(&error.to_string());
            render::help("the services keep running; `core down` stops them without it; see `.core-stack/core.log`");
            Exit::Failed
        }
    }
}
