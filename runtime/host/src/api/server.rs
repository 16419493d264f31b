//! The routes of the control socket, and their answers.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use core_engine::InvocationId;
use core_engine::engine::OperationState;
use core_manifest::Problem;
use serde::Deserialize;
use tokio::net::UnixListener;

use super::accept::{self, Peer};
use super::commands;
use super::failure::{Answered, failure, names};
use super::graph::Graph;
use super::refused;
use super::state::{Server, listed};
use super::types::WhyStep;
use super::types::{
    Accepted, Alive, DeployRequest, EndTrialRequest, Failure, MaintainRequest, OperationStatus, PlanAnswer,
    PromoteRequest, RollbackRequest, ScaleRequest, ServicesRequest, Status, UpRequest, Why,
};
use super::{Ask, Followed};
use crate::history;
use crate::history::History;
use crate::{logs, machine};

/// The longest time that a request may wait for a change.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How many of an invocation's last log lines an answer has.
const LINES: usize = 10;
/// How long a disk may take to answer.
const DISK_PATIENCE: Duration = Duration::from_secs(10);
/// The largest body of a request, in bytes, and how long it may take to arrive.
const LONGEST_BODY: usize = 64 << 10;
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for logs that `status` looks into.
const LOG_PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait until the last entries of the history are written.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

impl Server {
    /// Opens the control socket.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn open(&self) -> io::Result<UnixListener> {
        accept::open_socket(&self.paths.socket())
    }

    /// The last log lines of an invocation, without secrets.
    fn last_lines(&self, invocation: &InvocationId) -> Vec<String> {
        logs::last(&self.paths, invocation, LINES).iter().map(|line| self.hidden.cover(line)).collect()
    }

    /// Answers requests; it never returns.
    pub async fn serve(self, listener: UnixListener) {
        let app = Router::new()
            .route("/v1/alive", get(alive))
            .route("/v1/status", get(status))
            .route("/v1/why/{service}", get(why))
            .route("/v1/graph", get(graph))
            .route("/v1/plan", get(plan))
            .route("/v1/history", get(entries))
            .route("/v1/logs", get(super::lines::lines))
            .route("/v1/up", post(commands::up))
            .route("/v1/start", post(commands::start))
            .route("/v1/stop", post(commands::stop))
            .route("/v1/restart", post(commands::restart))
            .route("/v1/scale", post(commands::scale))
            .route("/v1/maintain", post(commands::maintain))
            .route("/v1/deploy", post(commands::deploy))
            .route("/v1/rollback", post(commands::rollback))
            .route("/v1/promote", post(commands::promote))
            .route("/v1/end-trial", post(commands::end_trial))
            .route("/v1/apply", post(commands::apply))
            .route("/v1/down", post(commands::down))
            .route("/v1/kill", post(commands::kill))
            .route("/v1/operations/{id}", get(operation))
            .fallback(|| async { failure(StatusCode::NOT_FOUND, "not-found", "there is no such path") })
            .layer(middleware::from_fn_with_state(self.clone(), only_us))
            .with_state(self);
        accept::serve(listener, app).await;
    }
}

/// The socket's mode lets only our user in; the UID of the client is checked as well.
async fn only_us(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let mine = nix::unistd::geteuid().as_raw();
    if peer.0.is_some_and(|uid| uid == mine || uid == 0) {
        server.open.fetch_add(1, Ordering::Relaxed);
        let response = match whole(request).await {
            Ok(request) => next.run(request).await,
            Err(refused) => refused.into_response(),
        };
        server.open.fetch_sub(1, Ordering::Relaxed);
        return response;
    }
    failure(StatusCode::FORBIDDEN, "forbidden", "this stack belongs to another user").into_response()
}

/// Reads the whole body of a request, which is limited in length and time.
async fn whole(request: axum::extract::Request) -> Answered<axum::extract::Request> {
    let (head, body) = request.into_parts();
    match tokio::time::timeout(BODY_PATIENCE, axum::body::to_bytes(body, LONGEST_BODY)).await {
        Ok(Ok(bytes)) => Ok(axum::extract::Request::from_parts(head, Body::from(bytes))),
        Ok(Err(error)) => Err(failure(StatusCode::PAYLOAD_TOO_LARGE, "bad-request", &error.to_string())),
        Err(_) => Err(failure(StatusCode::REQUEST_TIMEOUT, "bad-request", "the rest of the request does not come")),
    }
}

async fn alive(State(server): State<Server>) -> Answered<Json<Alive>> {
    server.ask(Ask::Alive).await?;
    Ok(Json(Alive { pid: std::process::id() }))
}

async fn status(State(mut server): State<Server>, Query(looked): Query<Looked>) -> Answered<Json<Status>> {
    let patience = Duration::try_from_secs_f64(looked.seconds).unwrap_or_default().min(LONGEST_WAIT);
    if !patience.is_zero() {
        server.steps.borrow_and_update();
        let _ = tokio::time::timeout(patience, server.steps.changed()).await;
    }
    // In another thread: a disk may hang.
    let paths = looked.host.then(|| server.paths.clone());
    let host = paths.map(|paths| tokio::task::spawn_blocking(move || machine::look(&[&paths.root])));
    let answer = server.ask(|sender| Ask::Status(looked.usage, sender)).await?;
    let mut status = answer.status;
    if let Some(question) = answer.certificates {
        let found = tokio::task::spawn_blocking(move || super::certificates::look(&question, jiff::Timestamp::now()));
        let found = tokio::time::timeout(DISK_PATIENCE, found).await.ok().and_then(Result::ok);
        let (all, problems) = found.unwrap_or_default();
        status.certificates = all;
        status.problems.extend(problems);
    }
    // Who only looks at progress does not wait for logs.
    if looked.usage && status.instances.iter().any(|one| one.release.is_some()) {
        let (paths, instances) = (server.paths.clone(), status.instances.clone());
        let found = tokio::task::spawn_blocking(move || refused::find(&paths, &instances));
        let found = tokio::time::timeout(LOG_PATIENCE, found).await.ok().and_then(Result::ok).unwrap_or_default();
        let covered = found.into_iter().map(|one| Problem { message: server.hidden.cover(&one.message), ..one });
        status.problems.extend(covered);
    }
    if let Some(host) = host {
        let host = tokio::time::timeout(DISK_PATIENCE, host).await.ok().and_then(Result::ok);
        status.host = host.and_then(Result::ok);
    }
    Ok(Json(status))
}

async fn why(State(server): State<Server>, Path(service): Path<String>) -> Answered<Json<Why>> {
    let name = names(std::slice::from_ref(&service))?.remove(0);
    match server.ask(|sender| Ask::Why(name, sender)).await? {
        Ok(steps) => {
            let told = move |(step, says_more): Followed| {
                let last_lines = says_more.map(|invocation| server.last_lines(&invocation)).unwrap_or_default();
                WhyStep { last_lines, ..step }
            };
            let read = tokio::task::spawn_blocking(move || steps.into_iter().map(told).collect());
            Ok(Json(Why { service, steps: read.await.unwrap_or_default() }))
        }
        Err(message) => Err(failure(StatusCode::NOT_FOUND, "unknown-service", &message)),
    }
}

async fn graph(State(server): State<Server>) -> Answered<Json<Graph>> {
    Ok(Json(server.ask(Ask::Graph).await?))
}

/// The query of `GET /v1/plan`.
#[derive(Deserialize)]
struct Planned {
    /// The profile; by default that of the stack.
    profile: Option<String>,
}

async fn plan(State(server): State<Server>, Query(query): Query<Planned>) -> Answered<Json<PlanAnswer>> {
    Ok(Json(match server.ask(|sender| Ask::Plan(query.profile, sender)).await? {
        Ok(plan) => PlanAnswer { plan: Some(plan), problems: Vec::new() },
        Err(problems) => PlanAnswer { plan: None, problems },
    }))
}

#[derive(Deserialize)]
struct Wait {
    /// Seconds to wait for a change before answering.
    #[serde(default)]
    wait: f64,
}

/// The query of `GET /v1/status`.
#[derive(Deserialize)]
struct Looked {
    /// Seconds to wait for a change before answering.
    #[serde(default, rename = "wait")]
    seconds: f64,
    /// Whether to add the resource usage of instances.
    #[serde(default = "yes")]
    usage: bool,
    /// Whether to add figures of the host.
    #[serde(default)]
    host: bool,
}

fn yes() -> bool {
    true
}

async fn operation(
    State(mut server): State<Server>,
    Path(operation): Path<u64>,
    Query(wait): Query<Wait>,
) -> Answered<Json<OperationStatus>> {
    let patience = Duration::try_from_secs_f64(wait.wait).unwrap_or_default().min(LONGEST_WAIT);
    let until = tokio::time::Instant::now() + patience;
    loop {
        server.steps.borrow_and_update();
        let Some((status, announcements)) = server.ask(|sender| Ask::Operation(operation, sender)).await? else {
            return Err(failure(StatusCode::NOT_FOUND, "not-found", "there is no such operation"));
        };
        let is_over = status != OperationState::Running || tokio::time::Instant::now() >= until;
        if is_over || !announcements.is_empty() {
            let last_lines = match &status {
                OperationState::Failed { culprit: Some(culprit), .. } => server.last_lines(culprit),
                _ => Vec::new(),
            };
            let status = match status {
                OperationState::Failed { message, culprit } => {
                    OperationState::Failed { message: server.hidden.cover(&message), culprit }
                }
                other => other,
            };
            return Ok(Json(OperationStatus { operation, status, announcements, last_lines }));
        }
        let _ = tokio::time::timeout_at(until, server.steps.changed()).await;
    }
}

#[derive(Deserialize)]
struct HistoryQuery {
    /// Service names, separated by commas.
    #[serde(default)]
    services: String,
    /// How many of the last entries; all if absent.
    n: Option<usize>,
}

async fn entries(State(server): State<Server>, Query(query): Query<HistoryQuery>) -> Answered<Json<History>> {
    let services = listed(&query.services);
    // Everything that was answered must be in it; but do not wait long for a slow disk.
    let _ = tokio::time::timeout(FLUSH_PATIENCE, server.history.flush()).await;
    let read =
        move || history::select(history::read(&server.paths, Some(server.history.supervisor())), &services, query.n);
    let entries = tokio::task::spawn_blocking(read).await.unwrap_or_default();
    Ok(Json(History { entries }))
}

/// The JSON schema of everything that goes over the socket.
pub fn schema() -> serde_json::Value {
    #[derive(schemars::JsonSchema)]
    #[expect(dead_code, reason = "only its schema is wanted")]
    struct Everything {
        status: Status,
        up: UpRequest,
        services: ServicesRequest,
        scale: ScaleRequest,
        maintain: MaintainRequest,
        deploy: DeployRequest,
        rollback: RollbackRequest,
        promote: PromoteRequest,
        end_trial: EndTrialRequest,
        accepted: Accepted,
        alive: Alive,
        operation: OperationStatus,
        why: Why,
        graph: Graph,
        plan: PlanAnswer,
        failure: Failure,
        problem: Problem,
        line: logs::Entry,
        history: History,
    }
    schemars::schema_for!(Everything).to_value()
}
