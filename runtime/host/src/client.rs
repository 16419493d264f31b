//! The other end of the control socket: what the command line speaks with.

use std::io;
use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::api::Failure;

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No supervisor listens.
    #[error("no supervisor runs")]
    NoSupervisor,
    /// The line broke.
    #[error("the supervisor does not answer: {0}")]
    Broken(String),
    /// It was refused.
    #[error("{}", .0.message)]
    Refused(Failure),
}

/// Asks, and reads the answer.
///
/// # Errors
/// Why there is no good answer.
pub async fn call<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    path: &str,
    body: &impl Serialize,
) -> Result<T, ClientError> {
    let body = if method == Method::GET { Vec::new() } else { serde_json::to_vec(body).map_err(broken)? };
    let response = send(socket, method, path, body).await?;
    let status = response.status();
    let bytes = response.into_body().collect().await.map_err(broken)?.to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&bytes).map_err(broken);
    }
    Err(refused(status, &bytes))
}

/// Asks, and gives each line of the answer to `tell` as it comes, until that says no.
///
/// # Errors
/// Why there is no good answer.
pub async fn lines(socket: &Path, path: &str, mut tell: impl FnMut(&[u8]) -> bool) -> Result<(), ClientError> {
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

async fn send(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Incoming>, ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoSupervisor,
        _ => broken(error),
    })?;
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
