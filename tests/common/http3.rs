//! A client of HTTP/3 that does as browsers do: it keeps its connection until the other side says that it closes, repeats
//! what the other side has rejected unread, and where QUIC does not answer at once it asks over TCP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use h3::error::{Code, StreamError};
use hyper::Request;
use hyper::body::{Buf as _, Bytes};

use super::PATIENCE;
use super::tls::Client;

/// How long a handshake may take before TCP is tried.
const HANDSHAKE: Duration = Duration::from_millis(500);
/// The pause between two requests of a client.
const PAUSE: Duration = Duration::from_millis(20);

/// What became of the requests.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Answered over HTTP/3.
    pub(crate) answered: usize,
    /// Answered over TCP.
    pub(crate) over_tcp: usize,
    /// Rejected unread, and asked again.
    pub(crate) repeated: usize,
    /// Why the others had no answer.
    pub(crate) lost: Vec<String>,
}

/// Clients that ask until they are ended.
pub(crate) struct Browsers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Outcome>>,
}

impl Browsers {
    /// So many clients ask `address` for `https://host/`; with `fresh`, each time on a new connection.
    pub(crate) fn begin(count: usize, client: &Client, address: &str, host: &str, fresh: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let one = |_| {
            let asker = Asker { client: client.clone(), address: address.into(), host: host.into(), kept: None };
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(asker.ask_on(fresh, &stop))
            })
        };
        let threads = (0..count).map(one).collect();
        Self { stop, threads }
    }

    /// One client asks once.
    pub(crate) fn once(client: &Client, address: &str, host: &str) -> Outcome {
        Self::begin(1, client, address, host, true).end()
    }

    /// Ends them, and adds up what they saw.
    pub(crate) fn end(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Outcome::default();
        for thread in self.threads {
            let one = thread.join().expect("a client");
            all.answered += one.answered;
            all.over_tcp += one.over_tcp;
            all.repeated += one.repeated;
            all.lost.extend(one.lost);
        }
        all
    }
}

/// One client.
struct Asker {
    client: Client,
    address: String,
    host: String,
    kept: Option<Sender>,
}

type Sender = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// How a request ended that was not answered.
enum Failure {
    /// Nobody has read it.
    Rejected,
    Lost(String),
}

impl Asker {
    async fn ask_on(mut self, fresh: bool, stop: &AtomicBool) -> Outcome {
        let mut outcome = Outcome::default();
        let mut is_first = true;
        while std::mem::take(&mut is_first) || !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(PAUSE).await;
            if self.kept.is_none() {
                self.kept = tokio::time::timeout(HANDSHAKE, self.open()).await.ok().and_then(Result::ok);
            }
            let Some(sender) = &mut self.kept else {
                match self.over_tcp() {
                    Ok(()) => outcome.over_tcp += 1,
                    Err(why) => outcome.lost.push(why),
                }
                continue;
            };
            let answer = tokio::time::timeout(PATIENCE, ask(sender, &self.host)).await;
            let ended = match answer.unwrap_or_else(|_| Err(Failure::Lost("no answer in time".into()))) {
                Ok(()) => {
                    outcome.answered += 1;
                    fresh
                }
                Err(Failure::Rejected) => {
                    outcome.repeated += 1;
                    true
                }
                Err(Failure::Lost(why)) => {
                    outcome.lost.push(why);
                    true
                }
            };
            if ended {
                self.kept = None;
            }
        }
        outcome
    }

    async fn open(&self) -> Result<Sender, String> {
        let connection = self.client.quic(&self.address, &self.host).await?;
        let opened = h3::client::new(h3_quinn::Connection::new(connection)).await;
        let (mut driver, sender) = opened.map_err(|error| error.to_string())?;
        tokio::spawn(async move { std::future::poll_fn(|context| driver.poll_close(context)).await });
        Ok(sender)
    }

    fn over_tcp(&self) -> Result<(), String> {
        let answer = self.client.get(&self.address, &self.host, "/")?;
        if answer.starts_with("HTTP/1.0 200") { Ok(()) } else { Err(format!("over TCP: {answer}")) }
    }
}

async fn ask(sender: &mut Sender, host: &str) -> Result<(), Failure> {
    let request = Request::get(format!("https://{host}/")).body(()).expect("a request");
    let mut stream = sender.send_request(request).await.map_err(failure)?;
    stream.finish().await.map_err(failure)?;
    let status = stream.recv_response().await.map_err(failure)?.status();
    while let Some(mut part) = stream.recv_data().await.map_err(failure)? {
        part.advance(part.remaining());
    }
    if status == 200 { Ok(()) } else { Err(Failure::Lost(format!("status {status}"))) }
}

fn failure(error: StreamError) -> Failure {
    match error {
        StreamError::RemoteClosing { .. } | StreamError::RemoteTerminate { code: Code::H3_REQUEST_REJECTED, .. } => {
            Failure::Rejected
        }
        other => Failure::Lost(other.to_string()),
    }
}
