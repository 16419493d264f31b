//! Requests that start an operation.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use core_engine::command::{Command, Deploying, Make};
use core_engine::record::Cause;
use core_engine::trial::TrialWish;
use core_manifest::network::is_network;
use core_stack::drivers::HOLDS;
use tokio::sync::oneshot;

use super::accept::Peer;
use super::failure::{Answered, failure, names, not_saved, read, services};
use super::state::Server;
use super::types::{
    Accepted, DeployRequest, EndTrialRequest, Failure, MaintainRequest, PromoteRequest, RollbackRequest, ScaleRequest,
    UpRequest,
};
use super::{Ask, Refusal};
use crate::journal::{Journal, ROOM_HELP};
use crate::releases;

/// The answer to a request that started an operation.
type Begun = Answered<(StatusCode, Json<Accepted>)>;
/// How long a disk may take to answer.
const DISK_PATIENCE: Duration = Duration::from_secs(10);

impl Server {
    pub(super) async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Answered<T> {
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

pub(super) async fn up(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    let request: UpRequest = read(&body)?;
    let timeout = request.timeout_seconds.map(Duration::try_from_secs_f64).transpose();
    let timeout =
        timeout.map_err(|_| failure(StatusCode::BAD_REQUEST, "bad-request", "the timeout is not a valid duration"))?;
    server.command(peer, Command::Up { services: names(&request.services)?, timeout }).await
}

pub(super) async fn start(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    server.command(peer, Command::Start { services: services(&body)? }).await
}

pub(super) async fn stop(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    server.command(peer, Command::Stop { services: services(&body)? }).await
}

pub(super) async fn restart(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    server.command(peer, Command::Restart { services: services(&body)? }).await
}

pub(super) async fn scale(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    let request: ScaleRequest = read(&body)?;
    let service = names(&[request.service])?.remove(0);
    server.command(peer, Command::Scale { service, replicas: request.replicas }).await
}

pub(super) async fn maintain(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    let MaintainRequest { services, how } = read(&body)?;
    let bad = |message: String| failure(StatusCode::BAD_REQUEST, "bad-request", &message);
    for network in how.iter().flat_map(|how| &how.allow) {
        if !is_network(network) {
            return Err(bad(format!("`{network}` is not a network, such as 10.0.0.0/8")));
        }
    }
    if let Some(hold) = how.as_ref().and_then(|how| how.hold).filter(|hold| !HOLDS.contains(hold)) {
        let all: Vec<String> = HOLDS.iter().map(u32::to_string).collect();
        return Err(bad(format!("requests cannot be held for {hold} seconds: {}", all.join(", "))));
    }
    server.command(peer, Command::Maintain { services: names(&services)?, how }).await
}

pub(super) async fn apply(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>) -> Begun {
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

pub(super) async fn down(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>) -> Begun {
    server.command(peer, Command::Down).await
}

pub(super) async fn kill(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>) -> Begun {
    server.command(peer, Command::Kill).await
}

pub(super) async fn deploy(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    let request: DeployRequest = read(&body)?;
    let named: Vec<String> = request.service.into_iter().collect();
    let make = match request.archive {
        Some(path) => Make::Archive(path),
        None if request.no_cache => Make::Afresh,
        None => Make::IfChanged,
    };
    let DeployRequest { if_changed, message, no_switch, supersede, preview, public, canary, .. } = request;
    let bad = |message: &str| failure(StatusCode::BAD_REQUEST, "bad-request", message);
    let trial = match (preview, canary) {
        (Some(_), Some(_)) => return Err(bad("a release is a preview or a canary, not both")),
        (Some(name), None) => {
            Some(TrialWish::Preview { name, is_public: public, at: jiff::Timestamp::now().as_second() })
        }
        (None, percent) => percent.map(|percent| TrialWish::Canary { percent }),
    };
    // Before anything is built.
    if let Some(wish) = &trial {
        wish.check().map_err(|message| bad(&message))?;
    }
    let switch = !no_switch && trial.is_none();
    let how = Deploying { make, if_changed, message, switch, supersede, trial };
    server.command(peer, Command::Deploy { service: names(&named)?.pop(), how }).await
}

pub(super) async fn promote(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    let PromoteRequest { service, name, as_built } = read(&body)?;
    let named: Vec<String> = service.into_iter().collect();
    server.command(peer, Command::Promote { service: names(&named)?.pop(), name, as_built }).await
}

pub(super) async fn end_trial(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Bytes,
) -> Begun {
    let EndTrialRequest { service, name } = read(&body)?;
    let parent = names(&[service])?.remove(0);
    let wrong = |rule: String| failure(StatusCode::BAD_REQUEST, "bad-request", &format!("the name `{name}` {rule}"));
    let service = parent.trial(&name).map_err(wrong)?;
    server.command(peer, Command::EndTrial { service }).await
}

pub(super) async fn rollback(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>, body: Bytes) -> Begun {
    let RollbackRequest { service, release } = read(&body)?;
    let refused = |message: &str| failure(StatusCode::UNPROCESSABLE_ENTITY, "no-such-release", message);
    let release = match release {
        None => None,
        // One that was deleted since the manifests were read, or that may not serve. The disk may not answer.
        Some(id) => {
            let (paths, service) = (server.paths.clone(), service.clone());
            let found = tokio::task::spawn_blocking(move || releases::find(&paths, service.as_deref(), &id));
            let found = tokio::time::timeout(DISK_PATIENCE, found).await.ok().and_then(Result::ok);
            let found = found.unwrap_or_else(|| Err("the disk of the releases does not answer".to_owned()));
            let found = found.map_err(|message| refused(&message))?;
            if let Some(why) = found.not_ready() {
                return Err(refused(&why));
            }
            Some(found.record.id)
        }
    };
    let named: Vec<String> = service.into_iter().collect();
    server.command(peer, Command::Rollback { service: names(&named)?.pop(), release }).await
}
