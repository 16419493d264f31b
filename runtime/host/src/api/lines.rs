//! Log lines as the answer to a request: the present ones, and new ones as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::state::{Server, listed};
use crate::logs::{self, Follower, Selection};

/// How often to look for new lines while a client follows.
const FOLLOW_PAUSE: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
pub(super) struct LogsQuery {
    /// Service names, separated by commas.
    #[serde(default)]
    services: String,
    /// How many of the last lines; all if absent.
    n: Option<usize>,
    /// Only lines since this time, in nanoseconds since 1970.
    since_ns: Option<u64>,
    /// 1 to keep sending new lines.
    #[serde(default)]
    follow: u8,
}

/// `GET /v1/logs`: JSON lines, one [`logs::Entry`] each.
pub(super) async fn lines(State(server): State<Server>, Query(query): Query<LogsQuery>) -> Response {
    let selection = Selection { services: listed(&query.services), last: query.n, since_ns: query.since_ns };
    let (sender, receiver) = mpsc::channel::<Bytes>(16);
    let paths = server.paths.clone();
    tokio::task::spawn_blocking(move || {
        let mut is_open = true;
        let mut chunk = Vec::new();
        let mut follower = Follower::begin(&paths, &selection, &mut |entry| {
            write_line(&mut chunk, &entry);
            if chunk.len() > 32 << 10 {
                is_open &= sender.blocking_send(std::mem::take(&mut chunk).into()).is_ok();
            }
        });
        is_open &= chunk.is_empty() || sender.blocking_send(chunk.into()).is_ok();
        while is_open && query.follow == 1 {
            std::thread::sleep(FOLLOW_PAUSE);
            let mut chunk = Vec::new();
            follower.more().iter().for_each(|entry| write_line(&mut chunk, entry));
            is_open = if chunk.is_empty() { !sender.is_closed() } else { sender.blocking_send(chunk.into()).is_ok() };
        }
    });
    let stream = LineStream(receiver);
    ([("content-type", "application/jsonl")], Body::new(stream)).into_response()
}

fn write_line(chunk: &mut Vec<u8>, entry: &logs::Entry) {
    if serde_json::to_writer(&mut *chunk, entry).is_ok() {
        chunk.push(b'\n');
    }
}

/// Chunks of lines as the body of a response.
struct LineStream(mpsc::Receiver<Bytes>);

impl hyper::body::Body for LineStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
