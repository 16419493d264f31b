//! Clients of NATS: one that asks the API, and one that publishes and consumes all the time.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Message, Request};
use serde_json::{Value, json};

use crate::common::{PATIENCE, until};

/// One answer.
const ANSWER: Duration = Duration::from_secs(2);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn connect(address: &str) -> Client {
    let options = ConnectOptions::new().request_timeout(Some(ANSWER)).ignore_discovered_servers();
    // It looks often, so that what is measured is the servers.
    let options = options.reconnect_delay_callback(|_| Duration::from_millis(50)).retry_on_initial_connect();
    options.connect(format!("nats://{address}")).await.expect("a client")
}

/// The answer as JSON, when there is one and it is not a fault.
async fn try_ask(client: &Client, subject: &str, body: String) -> Option<Value> {
    let answer = client.request(subject.to_owned(), body.into()).await.ok()?;
    let answer: Value = serde_json::from_slice(&answer.payload).ok()?;
    answer.get("error").is_none().then_some(answer)
}

/// The next message of a consumer, acknowledged; where there is one now.
async fn try_consume(client: &Client, stream: &str, consumer: &str) -> Option<Message> {
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
    // An inbox of its own: the message comes under the subject that it was published to.
    let request = Request::new().inbox(client.new_inbox());
    let request = request.payload(json!({"batch": 1, "no_wait": true}).to_string().into());
    let message = client.send_request(subject, request).await.ok()?;
    let acknowledge = message.reply.clone()?;
    // An answer, so that it is known to have arrived.
    client.request(acknowledge, "+ACK".into()).await.ok()?;
    Some(message)
}

/// A stream of one subject, which is called like it.
fn stream(name: &str, copies: u32) -> String {
    json!({"name": name, "subjects": [format!("{name}.>")], "num_replicas": copies, "storage": "file"}).to_string()
}

fn consumer(stream: &str, name: &str) -> (String, String) {
    let config = json!({"name": name, "durable_name": name, "ack_policy": "explicit", "ack_wait": 2_000_000_000_u64});
    let body = json!({"stream_name": stream, "config": config});
    (format!("$JS.API.CONSUMER.CREATE.{stream}.{name}"), body.to_string())
}

/// Asks the API, again and again until it does what it is asked: leaders come and go meanwhile.
pub(crate) struct Api {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Api {
    pub(crate) fn new(address: &str) -> Self {
        let runtime = runtime();
        let client = runtime.block_on(connect(address));
        Self { runtime, client }
    }

    fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, ask: impl Fn() -> F) -> T {
        let asking = async {
            loop {
                if let Some(answer) = ask().await {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
        answer.unwrap_or_else(|_| panic!("not within {} s: {what}", PATIENCE.as_secs()))
    }

    fn ask(&self, subject: &str, body: &str) -> Value {
        self.until(subject, || try_ask(&self.client, subject, body.to_owned()))
    }

    pub(crate) fn create(&self, name: &str, copies: u32) -> Value {
        self.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &stream(name, copies))
    }

    /// Creates a stream of one copy that is on another server than this one.
    pub(crate) fn create_elsewhere(&self, name: &str, server: &str) {
        self.create(name, 3);
        loop {
            if self.servers(name).last().is_some_and(|leader| leader == server) {
                self.ask(&format!("$JS.API.STREAM.LEADER.STEPDOWN.{name}"), "");
                continue;
            }
            // Of its copies, that of the leader is kept.
            self.ask(&format!("$JS.API.STREAM.UPDATE.{name}"), &stream(name, 1));
            self.until("one copy is left", || async {
                let info = try_ask(&self.client, &format!("$JS.API.STREAM.INFO.{name}"), String::new()).await?;
                let is_settled = info["cluster"]["replicas"].is_null() && info["cluster"]["leader"].is_string();
                is_settled.then_some(())
            });
            if self.servers(name) != [server] {
                return;
            }
            self.ask(&format!("$JS.API.STREAM.UPDATE.{name}"), &stream(name, 3));
        }
    }

    pub(crate) fn create_consumer(&self, stream: &str, name: &str) {
        let (subject, body) = consumer(stream, name);
        self.ask(&subject, &body);
    }

    pub(crate) fn publish(&self, stream: &str, count: usize) {
        for number in 0..count {
            // Told apart by their number, so that one that is sent twice is stored once.
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", number.to_string());
            self.until("it is published", || async {
                let subject = format!("{stream}.x");
                let sent = self.client.request_with_headers(subject, headers.clone(), number.to_string().into());
                let answer: Value = serde_json::from_slice(&sent.await.ok()?.payload).ok()?;
                answer["seq"].as_u64()
            });
        }
    }

    pub(crate) fn consume(&self, stream: &str, consumer: &str, count: usize) {
        for _ in 0..count {
            self.until("a message", || try_consume(&self.client, stream, consumer));
        }
    }

    fn info(&self, stream: &str) -> Value {
        self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), "")
    }

    pub(crate) fn messages(&self, stream: &str) -> u64 {
        self.info(stream)["state"]["messages"].as_u64().expect("a number")
    }

    /// The servers that a stream is on, the leader last.
    pub(crate) fn servers(&self, stream: &str) -> Vec<String> {
        let cluster = self.info(stream)["cluster"].take();
        let others = cluster["replicas"].as_array().into_iter().flatten().map(|one| one["name"].clone());
        others.chain([cluster["leader"].clone()]).filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    }

    /// How many messages a consumer has acknowledged.
    pub(crate) fn consumed(&self, stream: &str, consumer: &str) -> u64 {
        let info = self.ask(&format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"), "");
        info["ack_floor"]["stream_seq"].as_u64().expect("a number")
    }
}

/// Publishes and consumes all the time; remembers what was acknowledged and what came.
pub(crate) struct Worker {
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    published: AtomicUsize,
    acknowledged: Mutex<BTreeSet<usize>>,
    came: Mutex<BTreeSet<usize>>,
}

impl Counts {
    fn acknowledged(&self) -> BTreeSet<usize> {
        self.acknowledged.lock().expect("whole").clone()
    }

    fn missing(&self) -> Vec<usize> {
        self.acknowledged().difference(&self.came.lock().expect("whole")).copied().collect()
    }
}

impl Worker {
    /// Begins, with a stream of this name.
    pub(crate) fn begin(address: &str, name: &'static str) -> Self {
        let api = Api::new(address);
        api.create(name, 1);
        api.create_consumer(name, "worker");
        let (address, counts) = (address.to_owned(), Arc::new(Counts::default()));
        let shared = Arc::clone(&counts);
        let thread = std::thread::spawn(move || runtime().block_on(work(&address, name, &shared)));
        Self { counts, thread }
    }

    /// Waits until more was acknowledged than is now: it works.
    pub(crate) fn until_more(&self) {
        let before = self.counts.acknowledged().len();
        until("more is published", || self.counts.acknowledged().len() > before + 20);
    }

    /// Ends it once all that was acknowledged has come, and expects that this happens.
    pub(crate) fn expect_none_lost(self) {
        self.counts.stop.store(true, Ordering::Relaxed);
        until("all that was acknowledged has come", || self.counts.missing().is_empty() || self.thread.is_finished());
        self.thread.join().expect("it works");
        let (acknowledged, missing) = (self.counts.acknowledged().len(), self.counts.missing());
        let published = self.counts.published.load(Ordering::Relaxed);
        println!("{published} published, {acknowledged} acknowledged, {} of them lost", missing.len());
        assert!(missing.is_empty(), "{missing:?}");
    }
}

/// Publishes and consumes until it is told to stop and everything has come, or nothing comes any more.
async fn work(address: &str, name: &str, counts: &Counts) {
    let client = connect(address).await;
    let mut empty = 0;
    loop {
        let stops = counts.stop.load(Ordering::Relaxed);
        if !stops {
            let number = counts.published.fetch_add(1, Ordering::Relaxed);
            let sent = try_ask(&client, &format!("{name}.x"), number.to_string()).await;
            if sent.is_some_and(|answer| answer["seq"].is_u64()) {
                counts.acknowledged.lock().expect("whole").insert(number);
            }
        } else if counts.missing().is_empty() || empty > 200 {
            return;
        }
        match try_consume(&client, name, "worker").await {
            Some(message) => {
                let number = String::from_utf8_lossy(&message.payload).parse().expect("a number");
                counts.came.lock().expect("whole").insert(number);
                empty = 0;
            }
            None => empty += 1,
        }
        tokio::time::sleep(Duration::from_millis(if stops { 20 } else { 2 })).await;
    }
}
