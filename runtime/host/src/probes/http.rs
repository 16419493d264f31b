//! An HTTP GET request on a fresh connection: no pool, no redirects.

use core_manifest::spec::HttpAnswer;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::NotGood;
use crate::shims::InstanceFill;

/// More of a body than this is not looked at.
const MOST: usize = 1 << 20;

/// Asks; returns the headers of the answer when it is the one that is wanted.
pub(super) async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    path: &str,
    answer: &HttpAnswer,
    fill: &InstanceFill,
) -> Result<HeaderMap, NotGood> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| words(&error))?;
    let mut request = Request::get(path).header(header::HOST, host).header(header::USER_AGENT, "core-probe");
    for (name, value) in &answer.headers {
        request = request.header(name, value.fill(fill));
    }
    let request = request
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the request cannot be made: {error}"))?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(|error| words(&error))?;
        let status = response.status().as_u16();
        if status != answer.status {
            return Err(NotGood::Bad(format!("status {status}, expected {}", answer.status)));
        }
        let (head, mut body) = response.into_parts();
        let Some(wanted) = &answer.body_contains else { return Ok(head.headers) };
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
        let text = String::from_utf8_lossy(&seen);
        if !text.contains(wanted.as_str()) {
            return Err(NotGood::Bad(format!("the body does not hold `{wanted}`")));
        }
        Ok(head.headers)
    };
    // The connection is driven here, so that nothing of it is left when the answer is known or time is over.
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
