//! The other end of the control socket: what the command line speaks with. Whatever is asked, there is an end to it: a
//! supervisor that does not answer is told from one that takes its time.

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

/// How long an answer to a plain question may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a supervisor that did not answer gets in all; its keeper may put another one in its place meanwhile.
const IN_ALL: Duration = Duration::from_secs(6);
/// When it is first asked whether anybody is there, while an answer takes its time, and how often from then on.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(2);
/// How long the next supervisor may take to be there, and how often one looks for it.
const REPLACED: Duration = Duration::from_secs(2);
const LOOK_FOR_THE_NEXT: Duration = Duration::from_millis(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No supervisor listens.
    #[error("the stack is not running")]
    NoSupervisor,
    /// One is there, and says nothing.
    #[error("the supervisor does not answer")]
    Silent,
    /// The line broke.
    #[error("the supervisor does not answer: {0}")]
    Broken(String),
    /// It was refused.
    #[error("{}", .0.message)]
    Refused(Failure),
}

/// What is put to the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A question whose answer is known at once.
    Glance,
    /// A question whose answer may take any time, as long as somebody is there.
    Wait,
    /// An order that comes to the same when it is given twice.
    Order,
    /// An order that does not.
    OrderOnce,
}

/// Orders that come to something else when they are given twice.
const ONCE: &[&str] = &["restart"];

/// Asks something whose answer is known at once.
///
/// # Errors
/// Why there is no good answer.
pub async fn get<T: DeserializeOwned>(paths: &Paths, path: &str) -> Result<T, ClientError> {
    call(paths, Kind::Glance, path, Vec::new()).await
}

/// Asks something whose answer may take any time, as long as somebody is there.
///
/// # Errors
/// Why there is no good answer.
pub async fn wait<T: DeserializeOwned>(paths: &Paths, path: &str) -> Result<T, ClientError> {
    call(paths, Kind::Wait, path, Vec::new()).await
}

/// Orders something: `verb` is the last part of its path.
///
/// # Errors
/// Why there is no good answer.
pub async fn order<T: DeserializeOwned>(paths: &Paths, verb: &str, body: &impl Serialize) -> Result<T, ClientError> {
    let kind = if ONCE.contains(&verb) { Kind::OrderOnce } else { Kind::Order };
    call(paths, kind, &format!("/v1/{verb}"), serde_json::to_vec(body).map_err(broken)?).await
}

/// Asks, and reads the answer. Where nobody answers, the keeper is asked to look, and the question put again.
async fn call<T: DeserializeOwned>(paths: &Paths, kind: Kind, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
    let socket = paths.socket();
    let (began, until) = (Instant::now(), Instant::now() + IN_ALL);
    // What only asks may be asked again, whatever came of it; an order only when it reached nobody.
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
                // It may have been heard.
                if kind == Kind::OrderOnce {
                    return Err(ClientError::Silent);
                }
                was_silent = true;
            }
            // One that was silent is being replaced.
            Err(ClientError::NoSupervisor | ClientError::Broken(_))
                if was_silent && last_resort::keeper_lives(paths) =>
            {
                if Instant::now() >= until {
                    return Err(ClientError::Silent);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(ClientError::NoSupervisor | ClientError::Broken(_)) if was_silent => return Err(ClientError::Silent),
            // One that died is replaced at once.
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

/// Asks, and gives each line of the answer to `tell` as it comes, until that says no.
///
/// # Errors
/// Why there is no good answer.
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

/// Waits for an answer as long as the supervisor is there.
async fn while_alive<T>(socket: &Path, asked: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    tokio::select! {
        biased;
        answer = asked => answer,
        () = silence(socket) => Err(ClientError::Silent),
    }
}

/// Ends when the supervisor does not say within a moment that it is there. One that knows no such question and says so
/// is; and a line that breaks is told by the one that waits for its answer.
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
            // More wait to be let in than the kernel lets wait; that is no error, and not an answer either.
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
