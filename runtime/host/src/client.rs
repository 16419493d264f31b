//! The client of the control socket. Every request ends: a supervisor that does not answer is told apart from one that
//! takes its time.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use crate::api::Failure;
use crate::keeper;
use crate::last_resort;
use crate::paths::Paths;
use crate::peer;

/// How long the answer to a simple question may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to try in all after a supervisor did not answer; its keeper may replace it meanwhile.
const IN_ALL: Duration = Duration::from_secs(6);
/// While an answer takes its time: when to first check that the supervisor is alive, and how often after that.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(2);
/// How long the next supervisor may take to listen, and how often to look for it.
const REPLACED: Duration = Duration::from_secs(2);
const LOOK_FOR_THE_NEXT: Duration = Duration::from_millis(2);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No supervisor listens.
    #[error("the stack is not running")]
    NoSupervisor,
    /// There is a supervisor, but it does not answer.
    #[error("the supervisor does not answer")]
    Silent,
    /// The connection broke.
    #[error("the supervisor does not answer: {0}")]
    Broken(String),
    /// The supervisor refused the request.
    #[error("{}", .0.message)]
    Refused(Failure),
}

/// Kinds of requests, which differ in how long to wait and whether to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A question that is answered at once.
    Glance,
    /// A question that may take any time while the supervisor is alive.
    Wait,
    /// A command that may safely be repeated.
    Order,
    /// A command that must not be repeated.
    OrderOnce,
}

/// Commands that have another effect if they are repeated.
const ONCE: &[&str] = &["restart"];

/// Asks a question that is answered at once.
///
/// # Errors
/// Why the request failed.
pub async fn get<T: DeserializeOwned>(paths: &Paths, path: &str) -> Result<T, ClientError> {
    call(paths, Kind::Glance, path, Vec::new()).await
}

/// Asks a question that may take any time while the supervisor is alive.
///
/// # Errors
/// Why the request failed.
pub async fn wait<T: DeserializeOwned>(paths: &Paths, path: &str) -> Result<T, ClientError> {
    call(paths, Kind::Wait, path, Vec::new()).await
}

/// Sends a command: `verb` is the last part of its path.
///
/// # Errors
/// Why the request failed.
pub async fn order<T: DeserializeOwned>(paths: &Paths, verb: &str, body: &impl Serialize) -> Result<T, ClientError> {
    let kind = if ONCE.contains(&verb) { Kind::OrderOnce } else { Kind::Order };
    call(paths, kind, &format!("/v1/{verb}"), serde_json::to_vec(body).map_err(broken)?).await
}

/// Sends a request and reads the answer. If there is none, asks the keeper to check its supervisor, and repeats.
async fn call<T: DeserializeOwned>(paths: &Paths, kind: Kind, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
    let socket = paths.socket();
    let (began, until) = (Instant::now(), Instant::now() + IN_ALL);
    // A question can be repeated after any error; a command only if no supervisor received it.
    let is_question = matches!(kind, Kind::Glance | Kind::Wait);
    let method = if is_question { Method::GET } else { Method::POST };
    let mut was_silent = false;
    loop {
        let asked = once(&socket, method.clone(), path, body.clone());
        let answer = match kind {
            Kind::Glance => timeout(PATIENCE, asked).await.unwrap_or(Err(ClientError::Silent)),
            Kind::Wait | Kind::Order | Kind::OrderOnce => while_alive(&socket, asked).await,
        };
        match answer {
            Err(ClientError::Silent) if Instant::now() < until => {
                keeper::ask_to_look(&paths.run);
                // The supervisor may have received it.
                if kind == Kind::OrderOnce {
                    return Err(ClientError::Silent);
                }
                was_silent = true;
            }
            // The silent supervisor is being replaced.
            Err(ClientError::NoSupervisor | ClientError::Broken(_))
                if was_silent && last_resort::keeper_lives(paths) =>
            {
                if Instant::now() >= until {
                    return Err(ClientError::Silent);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(ClientError::NoSupervisor | ClientError::Broken(_)) if was_silent => return Err(ClientError::Silent),
            // The keeper replaces a dead supervisor at once.
            Err(error)
                if (matches!(error, ClientError::NoSupervisor)
                    || is_question && matches!(error, ClientError::Broken(_)))
                    && began.elapsed() < REPLACED
                    && last_resort::keeper_lives(paths) =>
            {
                tokio::time::sleep(LOOK_FOR_THE_NEXT).await;
            }
            Ok(bytes) => return serde_json::from_slice(&bytes).map_err(broken),
            Err(error) => return Err(error),
        }
    }
}

/// Sends a request, and passes each line of the answer to `tell` as it comes, until `tell` returns false.
///
/// # Errors
/// Why the request failed.
pub async fn lines(paths: &Paths, path: &str, mut tell: impl FnMut(&[u8]) -> bool) -> Result<(), ClientError> {
    let socket = paths.socket();
    let answer = while_alive(&socket, read_lines(&socket, path, &mut tell)).await;
    if matches!(answer, Err(ClientError::Silent)) {
        keeper::ask_to_look(&paths.run);
    }
    answer
}

async fn read_lines(socket: &Path, path: &str, tell: &mut impl FnMut(&[u8]) -> bool) -> Result<(), ClientError> {
    let response = send(socket, Method::GET, path, Vec::new()).await?;
    let status = response.status();
    let mut body = response.into_body();
    if !status.is_success() {
        let bytes = body.collect().await.map_err(broken)?.to_bytes();
        return Err(refused(status, &bytes));
    }
    let mut open = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken)?;
        open.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
        while let Some(end) = open.iter().position(|byte| *byte == b'\n') {
            if !tell(&open[..end]) {
                return Ok(());
            }
            open.drain(..=end);
        }
    }
    Ok(())
}

/// Waits for an answer while the supervisor is alive.
async fn while_alive<T>(socket: &Path, asked: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    tokio::select! {
        biased;
        answer = asked => answer,
        () = silence(socket) => Err(ClientError::Silent),
    }
}

/// Returns when the supervisor does not answer within a moment. An error is an answer too, as from a version without
/// this route; and a broken connection is reported by the request that waits.
async fn silence(socket: &Path) {
    let mut pause = FIRST_LOOK;
    loop {
        tokio::time::sleep(pause).await;
        pause = LOOK;
        if timeout(PATIENCE, once(socket, Method::GET, "/v1/alive", Vec::new())).await.is_err() {
            return;
        }
    }
}

async fn once(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes, ClientError> {
    let response = send(socket, method, path, body).await?;
    let status = response.status();
    let bytes = response.into_body().collect().await.map_err(broken)?.to_bytes();
    if status.is_success() { Ok(bytes) } else { Err(refused(status, &bytes)) }
}

async fn send(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Incoming>, ClientError> {
    tracing::debug!(%method, path, "asking the supervisor");
    let stream = connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "core")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(broken)?;
    sender.send_request(request).await.map_err(broken)
}

async fn connect(socket: &Path) -> Result<UnixStream, ClientError> {
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => {
                peer::check(&stream, socket).map_err(broken)?;
                return Ok(stream);
            }
            // The queue of the socket is full; that is neither an error nor an answer.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Err(ClientError::NoSupervisor);
            }
            Err(error) => return Err(broken(error)),
        }
    }
}

fn refused(status: StatusCode, bytes: &[u8]) -> ClientError {
    match serde_json::from_slice(bytes) {
        Ok(failure) => ClientError::Refused(failure),
        Err(_) => ClientError::Broken(format!("status {status}")),
    }
}

fn broken(error: impl std::error::Error) -> ClientError {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    ClientError::Broken(text)
}
