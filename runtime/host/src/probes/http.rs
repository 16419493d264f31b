//! An HTTP GET request on a new connection, without a pool or redirects.

use core_manifest::spec::HttpAnswer;
use http_body_util::{BodyExt, Empty};
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
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| words(&error))?;
    let failed = |error: &dyn std::fmt::Display| format!("the request cannot be made: {error}");
    let mut request = Request::get(path).body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
    let own = [(header::HOST, host), (header::USER_AGENT, "core-probe"), (header::CONNECTION, "close")];
    let own = own.map(|(name, value)| (name, HeaderValue::from_str(value)));
    let given = answer.headers.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| failed(&error))?;
        Ok::<_, String>((name, HeaderValue::from_str(&value.fill(fill))))
    });
    // One of each: headers from the manifest replace ours.
    for header in own.into_iter().map(Ok).chain(given) {
        let (name, value) = header?;
        request.headers_mut().insert(name, value.map_err(|error| failed(&error))?);
    }
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
        let status = head.status.as_u16();
        if status != answer.status {
            return Err(NotGood::Bad(format!("status {status}, expected {}", answer.status)));
        }
        match &answer.body_contains {
            Some(wanted) if !String::from_utf8_lossy(&seen).contains(wanted.as_str()) => {
                Err(NotGood::Bad(format!("the body does not hold `{wanted}`")))
            }
            _ => Ok(head.headers),
        }
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
