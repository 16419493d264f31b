//! One file per command.

mod apart;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod control;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod graph;
pub(crate) mod history;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod nats_cluster;
pub(crate) mod plan;
pub(crate) mod probe;
pub(crate) mod schema;
pub(crate) mod service;
pub(crate) mod sight;
pub(crate) mod status;
pub(crate) mod supervise;
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

/// Asks for the state.
pub(crate) async fn ask_status(paths: &Paths) -> Result<Status, ClientError> {
    client::get(paths, "/v1/status").await
}

/// That a stack runs from where its folder stood before. `None` where it stands where it stood, or nothing runs.
pub(crate) fn moved(paths: &Paths) -> Option<String> {
    let from = paths.moved_from.as_ref().filter(|_| last_resort::keeper_lives(paths))?;
    Some(format!("the stack runs as {}, from where its folder was moved here", from.display()))
}

/// Refuses to go on with a stack whose folder was moved under it.
pub(crate) fn refuse_moved(paths: &Paths) -> Result<(), Exit> {
    let Some(moved) = moved(paths) else { return Ok(()) };
    render::error(&format!("{moved}: it cannot be changed"));
    render::help("`core down` ends it, `core up` starts it here");
    Err(Exit::Failed)
}

/// Asks for something that takes time.
pub(crate) async fn begin(paths: &Paths, verb: &str, body: &impl Serialize) -> Result<Accepted, ClientError> {
    client::order(paths, verb, body).await
}

/// The same without what instances use, which takes a look at every process of the host.
pub(crate) async fn ask_progress(paths: &Paths) -> Result<Status, ClientError> {
    client::get(paths, "/v1/status?usage=false").await
}

/// Asks how an operation stands, and waits for a change for so many seconds.
pub(crate) async fn ask_operation(paths: &Paths, operation: u64, wait: f64) -> Result<OperationStatus, ClientError> {
    let path = format!("/v1/operations/{operation}?wait={wait}");
    client::wait(paths, &path).await
}

/// Waits until an operation has ended. What is to be said is said.
pub(crate) async fn wait_for(paths: &Paths, operation: u64) -> Result<OperationStatus, ClientError> {
    loop {
        let status = ask_operation(paths, operation, 30.0).await?;
        status.announcements.iter().for_each(|text| render::note(text));
        if status.status != OperationState::Running {
            return Ok(status);
        }
    }
}

/// What an operation that failed says, with the last lines of the culprit.
pub(crate) fn tell_failure(message: &str, last_lines: &[String]) {
    render::error(message);
    for line in last_lines {
        render::note(&format!("  {} {line}", render::styled(render::DIM, "|")));
    }
}

/// A service that was named and is not there.
pub(crate) fn tell_unknown<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Exit {
    render::error(&format!("there is no service `{unknown}`"));
    if let Some(guess) = core_manifest::name::nearest(unknown, known) {
        render::help(&format!("did you mean `{guess}`?"));
    }
    Exit::Usage
}

/// That nobody could ask this command to end.
pub(crate) fn tell_no_signals(error: &std::io::Error) -> Exit {
    render::error(&format!("signals cannot be waited for: {error}"));
    Exit::Failed
}

/// What went wrong with the line to the supervisor.
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
