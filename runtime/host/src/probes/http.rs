//! An HTTP GET request on a new connection, without a pool or redirects.

use core_manifest::spec::HttpAnswer;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::NotGood;
use crate::fill::InstanceFill;

/// How many bytes of a body are read.
const MOST: usize = 1 << 20;

/// Sends the request; returns the headers of the answer if the answer is as expected.
pub(super) async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    path: &str,
    answer: &HttpAnswer,
    fill: &InstanceFill,
) -> Result<HeaderMap, NotGood> {
    let mut request = Request::get(path).body(Full::default()).map_err(|error| failed(&error))?;
    let given = answer.headers.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| failed(&error))?;
        Ok::<_, NotGood>((name, HeaderValue::from_str(&value.fill(fill)).map_err(|error| failed(&error))?))
    });
    // One of each: headers from the manifest replace ours.
    request.headers_mut().extend(own(host)?);
    for header in given {
        let (name, value) = header?;
        request.headers_mut().insert(name, value);
    }
    let (status, headers, body) = exchange(stream, request).await?;
    if status != answer.status {
        return Err(NotGood::Bad(format!("status {status}, expected {}", answer.status)));
    }
    match &answer.body_contains {
        Some(wanted) if !String::from_utf8_lossy(&body).contains(wanted.as_str()) => {
            Err(NotGood::Bad(format!("the body does not hold `{wanted}`")))
        }
        _ => Ok(headers),
    }
}

/// Sends the request; returns the status of the answer, whatever that is.
pub(super) async fn status(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> Result<u16, NotGood> {
    let mut request = Request::get(path).body(Full::default()).map_err(|error| failed(&error))?;
    request.headers_mut().extend(own("localhost")?);
    exchange(stream, request).await.map(|(status, ..)| status)
}

/// Sends JSON, which has to be taken; an answer that says why not is passed on.
pub(super) async fn post(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
    json: Vec<u8>,
) -> Result<(), NotGood> {
    let mut request = Request::post(path).body(Full::from(json)).map_err(|error| failed(&error))?;
    request.headers_mut().extend(own("localhost")?);
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match exchange(stream, request).await? {
        (200, ..) => Ok(()),
        (status, _, body) => {
            let said = String::from_utf8_lossy(&body);
            Err(NotGood::Bad(format!("status {status}: {}", said.trim())))
        }
    }
}

fn own(host: &str) -> Result<HeaderMap, NotGood> {
    let own = [(header::HOST, host), (header::USER_AGENT, "core-probe"), (header::CONNECTION, "close")];
    let own = own.map(|(name, value)| Ok((name, HeaderValue::from_str(value).map_err(|error| failed(&error))?)));
    own.into_iter().collect()
}

fn failed(error: &dyn std::fmt::Display) -> NotGood {
    NotGood::Bad(format!("the request cannot be made: {error}"))
}

/// Sends a request; returns status, headers and body of the answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(u16, HeaderMap, Vec<u8>), NotGood> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| words(&error))?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(|error| words(&error))?;
        let (head, mut body) = response.into_parts();
        // Read the body even if it is not needed: a server logs an error if the client hangs up.
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| words(&error))?;
            if let Some(data) = frame.data_ref() {
                seen.extend_from_slice(data);
            }
            if seen.len() > MOST {
                break;
            }
        }
        Ok((head.status.as_u16(), head.headers, seen))
    };
    // The connection runs in this task, so that it is closed when the answer is known or the time is up.
    tokio::pin!(asking);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        answered = &mut asking => answered,
        ended = &mut connection => match ended {
            Ok(()) => asking.await,
            Err(error) => Err(NotGood::Bad(words(&error))),
        },
    }
}

fn words(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
