//! The routes of the control socket, and their answers.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use core_engine::InvocationId;
use core_engine::engine::OperationState;
use core_engine::event::Command;
use core_engine::record::Cause;
use core_manifest::{Problem, ServiceName};
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use super::accept::{self, Peer};
use super::graph::Graph;
use super::state::{Server, listed};
use super::types::WhyStep;
use super::types::{
    Accepted, Alive, Failure, OperationStatus, PlanAnswer, ScaleRequest, ServicesRequest, Status, UpRequest, Why,
};
use super::{Ask, Followed, Refusal};
use crate::history;
use crate::history::History;
use crate::journal::{Journal, ROOM_HELP};
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
/// How long to wait until the last entries of the history are written.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

type Answered<T> = Result<T, (StatusCode, Json<Failure>)>;
/// The answer to a request that started an operation.
type Begun = Answered<(StatusCode, Json<Accepted>)>;

impl Server {
    /// Opens the control socket. An old socket at its path belongs to a dead supervisor: the keeper runs one at a time.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn open(&self) -> io::Result<UnixListener> {
        let path = self.paths.socket();
        // Created beside and renamed, so that a client always finds either the old socket or the new one.
        let beside = path.with_extension("new");
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&beside, &path)?;
        Ok(listener)
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
            .route("/v1/up", post(up))
            .route("/v1/start", post(start))
            .route("/v1/stop", post(stop))
            .route("/v1/restart", post(restart))
            .route("/v1/scale", post(scale))
            .route("/v1/apply", post(apply))
            .route("/v1/down", post(down))
            .route("/v1/kill", post(kill))
            .route("/v1/operations/{id}", get(operation))
            .fallback(|| async { failure(StatusCode::NOT_FOUND, "not-found", "there is no such path") })
            .layer(middleware::from_fn_with_state(self.clone(), only_us))
            .with_state(self);
        accept::serve(listener, app).await;
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Answered<T> {
        let (sender, receiver) = oneshot::channel();
        let gone = || failure(StatusCode::SERVICE_UNAVAILABLE, "ending", "the supervisor is ending");
        self.asks.send(ask(sender)).await.map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())
    }

    async fn command(&self, peer: Peer, command: Command) -> Begun {
        // Stopping the stack must work even if the disk does not.
        if !matches!(command, Command::Down | Command::Kill) {
            self.room().await?;
        }
        match self.ask(|sender| Ask::Command(command, Cause::User(peer.0), sender)).await? {
            Ok(accepted) => Ok((StatusCode::ACCEPTED, Json(accepted))),
            Err(unsaved) => Err(not_saved(&unsaved)),
        }
    }

    /// Refuses a change that could not be saved, before anything is changed. Only this client waits for the disk.
    async fn room(&self) -> Answered<()> {
        let paths = self.paths.clone();
        let tried = tokio::task::spawn_blocking(move || Journal::room_for_command(&paths));
        match tokio::time::timeout(DISK_PATIENCE, tried).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(message))) => Err(failure(StatusCode::INSUFFICIENT_STORAGE, "no-room", &message)),
            Ok(Err(error)) => Err(failure(StatusCode::INSUFFICIENT_STORAGE, "no-room", &error.to_string())),
            Err(_) => {
                let state = self.paths.shown(&self.paths.state());
                let message = format!("the disk of {state} does not answer; nothing was changed");
                Err(failure(StatusCode::INSUFFICIENT_STORAGE, "no-room", &message))
            }
        }
    }
}

fn failure(status: StatusCode, code: &str, message: &str) -> (StatusCode, Json<Failure>) {
    (status, Json(Failure { code: code.to_owned(), message: message.to_owned(), problems: Vec::new() }))
}

/// The answer if a command is carried out, but its change is not on disk and may be lost.
fn not_saved(unsaved: &str) -> (StatusCode, Json<Failure>) {
    let message = format!("it is being done, but {unsaved}; a supervisor that took over now would not know of it");
    failure(StatusCode::INSUFFICIENT_STORAGE, "unsaved", &message)
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
    let mut status = server.ask(|sender| Ask::Status(looked.usage, sender)).await?.status;
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

async fn plan(State(server): State<Server>) -> Answered<Json<PlanAnswer>> {
    Ok(Json(match server.ask(Ask::Plan).await? {
        Ok(plan) => PlanAnswer { plan: Some(plan), problems: Vec::new() },
        Err(problems) => PlanAnswer { plan: None, problems },
    }))
}

async fn up(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    let request: UpRequest = read(&body)?;
    let timeout = request.timeout_seconds.map(Duration::try_from_secs_f64).transpose();
    let timeout =
        timeout.map_err(|_| failure(StatusCode::BAD_REQUEST, "bad-request", "the timeout is not a valid duration"))?;
    server.command(peer, Command::Up { services: names(&request.services)?, timeout }).await
}

async fn start(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    server.command(peer, Command::Start { services: services(&body)? }).await
}

async fn stop(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    server.command(peer, Command::Stop { services: services(&body)? }).await
}

async fn restart(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    server.command(peer, Command::Restart { services: services(&body)? }).await
}

async fn scale(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    let request: ScaleRequest = read(&body)?;
    let service = names(&[request.service])?.remove(0);
    server.command(peer, Command::Scale { service, replicas: request.replicas }).await
}

async fn apply(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>) -> Begun {
    match server.ask(|sender| Ask::Apply(Cause::User(peer.0), sender)).await? {
        Ok(operation) => Ok((StatusCode::ACCEPTED, Json(Accepted { operation, within_seconds: None }))),
        Err(Refusal::Unsaved(unsaved)) => Err(not_saved(&unsaved)),
        Err(Refusal::Broken(problems)) => {
            // The manifests are valid; `status` names the disk until they are applied.
            if let Some(room) = problems.iter().find(|problem| problem.code == "no-room") {
                let message = format!("{}; {ROOM_HELP}", room.message);
                return Err(failure(StatusCode::INSUFFICIENT_STORAGE, "no-room", &message));
            }
            let message = "the manifests are broken; nothing was changed".to_owned();
            let body = Failure { code: "broken-manifests".into(), message, problems };
            Err((StatusCode::UNPROCESSABLE_ENTITY, Json(body)))
        }
    }
}

async fn down(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>) -> Begun {
    server.command(peer, Command::Down).await
}

async fn kill(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>) -> Begun {
    server.command(peer, Command::Kill).await
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

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Answered<T> {
    // If every key is optional, so is the body.
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        failure(StatusCode::BAD_REQUEST, "bad-request", &format!("the request cannot be read: {error}"))
    })
}

fn services(body: &[u8]) -> Answered<Vec<ServiceName>> {
    let request: ServicesRequest = read(body)?;
    if request.services.is_empty() {
        return Err(failure(StatusCode::BAD_REQUEST, "bad-request", "no service is named"));
    }
    names(&request.services)
}

fn names(services: &[String]) -> Answered<Vec<ServiceName>> {
    services
        .iter()
        .map(|name| {
            ServiceName::made(name).map_err(|_| {
                failure(StatusCode::NOT_FOUND, "unknown-service", &format!("there is no service `{name}`"))
            })
        })
        .collect()
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
