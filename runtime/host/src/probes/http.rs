//! An HTTP GET request on a fresh connection: no pool, no redirects.

use core_manifest::spec::HttpAnswer;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::NotGood;
use crate::fill::InstanceFill;

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
    let failed = |error: &dyn std::fmt::Display| format!("the request cannot be made: {error}");
    let mut request = Request::get(path).body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
    let own = [(header::HOST, host), (header::USER_AGENT, "core-probe"), (header::CONNECTION, "close")];
    let own = own.map(|(name, value)| (name, HeaderValue::from_str(value)));
    let given = answer.headers.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| failed(&error))?;
        Ok::<_, String>((name, HeaderValue::from_str(&value.fill(fill))))
    });
    // One of each: what is given takes the place of ours.
    for header in own.into_iter().map(Ok).chain(given) {
        let (name, value) = header?;
        request.headers_mut().insert(name, value.map_err(|error| failed(&error))?);
    }
    let asking = async {
        let response = sender.send_request(request).await.map_err(|error| words(&error))?;
        let (head, mut body) = response.into_parts();
        // Read to its end, whatever it says: who is hung up on complains.
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
