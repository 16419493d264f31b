//! A client that never tries twice: what it counts as failed, somebody has seen.
//!
//! A connection that was closed while nobody waited for an answer is opened anew, as every client does, and counted. One
//! that ends after something was sent is a failure, and so is every answer but 200.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::tls;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(15);

/// What is asked, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// `127.0.0.1:8080`.
    pub(crate) address: String,
    /// Asked in turn: method and path. A POST has a body, and its number in the query.
    pub(crate) asks: Vec<(Method, String)>,
    /// How many ask at the same time.
    pub(crate) clients: usize,
    /// Requests a second of all of them; `None`: as many as are answered.
    pub(crate) rate: Option<u32>,
    /// A new connection for each request.
    pub(crate) fresh: bool,
    /// Headers of each request.
    pub(crate) headers: Vec<(String, String)>,
    /// Over TLS: who asks, and for which host. Connections that are kept speak HTTP/2, as those of browsers.
    pub(crate) tls: Option<(tls::Client, String)>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// When it was due, since the load began. A client that is late counts as waiting.
    pub(crate) due: Duration,
    /// From then until all of the answer was there.
    pub(crate) took: Duration,
    /// What was asked.
    pub(crate) method: Method,
    /// Why it failed.
    pub(crate) failure: Option<String>,
}

/// All that came of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Each request, in no order.
    pub(crate) samples: Vec<Sample>,
    /// Connections that were closed while idle.
    pub(crate) reopened: usize,
}

impl Outcome {
    /// The requests that failed.
    pub(crate) fn failures(&self) -> Vec<&Sample> {
        self.samples.iter().filter(|sample| sample.failure.is_some()).collect()
    }
}

/// A load that goes on until it is ended.
pub(crate) struct Load {
    /// When it began.
    pub(crate) began: Instant,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Outcome>>,
}

impl Load {
    /// Begins to ask.
    pub(crate) fn begin(shape: Shape) -> Self {
        let (began, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let asked_to_stop = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(all(&Arc::new(shape), began, &asked_to_stop))
        });
        Self { began, stop, thread: Some(thread) }
    }

    /// Ends it; what is under way is waited for.
    pub(crate) fn end(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(|thread| thread.join().expect("the load")).unwrap_or_default()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn all(shape: &Arc<Shape>, began: Instant, stop: &Arc<AtomicBool>) -> Outcome {
    let clients: Vec<_> = (0..shape.clients)
        .map(|number| tokio::spawn(client(Arc::clone(shape), number, began, Arc::clone(stop))))
        .collect();
    let mut outcome = Outcome::default();
    for client in clients {
        let one = client.await.expect("a client");
        outcome.samples.extend(one.samples);
        outcome.reopened += one.reopened;
    }
    outcome
}

async fn client(shape: Arc<Shape>, number: usize, began: Instant, stop: Arc<AtomicBool>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection: Option<Sender> = None;
    // Each client has its own numbers: their requests are spread evenly over time.
    for ask in (number..).step_by(shape.clients) {
        let due = match shape.rate {
            Some(rate) => Duration::from_secs_f64(f64::from(u32::try_from(ask).expect("few")) / f64::from(rate)),
            None => began.elapsed(),
        };
        tokio::time::sleep_until((began + due).into()).await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (method, path) = &shape.asks[(ask / shape.clients) % shape.asks.len()];
        let path = format!("{path}?n={ask}");
        let exchanged = exchange(&shape, method, &path, &mut connection, &mut outcome.reopened);
        let failure = match tokio::time::timeout(ANSWER, exchanged).await {
            Ok(Ok(())) => None,
            Ok(Err(message)) => Some(message),
            Err(_) => Some("no answer in time".into()),
        };
        if shape.fresh || failure.is_some() {
            connection = None;
        }
        let took = began.elapsed().saturating_sub(due);
        outcome.samples.push(Sample { due, took, method: method.clone(), failure });
    }
    outcome
}

async fn exchange(
    shape: &Shape,
    method: &Method,
    path: &str,
    connection: &mut Option<Sender>,
    reopened: &mut usize,
) -> Result<(), String> {
    let body = if method == Method::POST { Bytes::from_static(b"{\"a\":1}") } else { Bytes::new() };
    let request = match &shape.tls {
        Some((_, host)) if shape.fresh => Request::builder().uri(path).header("Host", host),
        Some((_, host)) => Request::builder().uri(format!("https://{host}{path}")),
        None => Request::builder().uri(path).header("Host", &shape.address),
    };
    let request = request.method(method);
    let request = shape.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    let request = request.header("Content-Type", "application/json").body(Full::new(body));
    let mut request = request.map_err(|error| error.to_string())?;
    let (mut sender, answer) = loop {
        let kept = connection.take();
        let was_kept = kept.is_some();
        let mut sender = match kept {
            Some(sender) => sender,
            None => open(shape).await?,
        };
        match sender.send(request).await {
            Ok(answer) => break (sender, answer),
            // Given back: nothing of it was sent, the connection had been closed before.
            Err(unsent) => match unsent.request.filter(|_| was_kept) {
                Some(again) => request = again,
                None => return Err(format!("after it was sent: {}", unsent.why)),
            },
        }
        *reopened += 1;
    };
    let status = answer.status();
    answer.into_body().collect().await.map_err(|error| format!("in the middle of the answer: {error}"))?;
    // The other side may have said that it closes.
    if sender.goes_on().await {
        *connection = Some(sender);
    }
    if status.as_u16() == 200 { Ok(()) } else { Err(format!("status {status}")) }
}

/// An open connection.
enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unsent> {
        let sent = match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Two(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error| Unsent { request: error.take_message(), why: error.into_error().to_string() })
    }

    /// Whether the other side takes more requests.
    async fn goes_on(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }
}

/// A request that was not answered; it is given back if nothing of it was sent.
struct Unsent {
    request: Option<Request<Full<Bytes>>>,
    why: String,
}

/// Opens a connection.
async fn open(shape: &Shape) -> Result<Sender, String> {
    let stream = TcpStream::connect(&shape.address).await.map_err(|error| format!("connect: {error}"))?;
    let _ = stream.set_nodelay(true);
    let Some((client, host)) = &shape.tls else {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("open: {error}"))?;
        tokio::spawn(connection);
        return Ok(Sender::One(sender));
    };
    // With its first request only after the handshake, HTTP/1.1 is the harder one.
    let stream = client.over(stream, host, !shape.fresh).await.map_err(|error| format!("TLS: {error}"))?;
    if shape.fresh {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("open: {error}"))?;
        tokio::spawn(connection);
        return Ok(Sender::One(sender));
    }
    let opened = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = opened.map_err(|error| format!("open: {error}"))?;
    tokio::spawn(connection);
    Ok(Sender::Two(sender))
}
