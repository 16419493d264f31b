//! Probes: each sends one request and reports one answer.

mod answer;
mod exec;
mod http;
mod log_line;
mod notify;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use core_engine::event::{Event, ProbeKind};
use core_engine::{InstanceId, InvocationId};
use core_manifest::spec::{Check, HttpAnswer, Probe, Protocol};
use core_manifest::{Identifier, ServiceSpec, Template};
use core_shim::guard;
use core_shim::place::Place;
use core_shim::record::Invocation;
use core_shim::tree::descendants;
use core_shim::wire;
use hyper::HeaderMap;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;

use crate::environment::Environment;
use crate::fill::InstanceFill;
use crate::identity;
use crate::net::{self, Listening};
use crate::paths::Paths;

pub use answer::NotGood;
use answer::{lack_now, told};
pub(crate) use exec::{Line as ShellLine, run as run_shell};
pub use log_line::Tail;
pub use notify::said;

/// A probe to send.
pub struct Question {
    /// The invocation that is probed.
    pub invocation: InvocationId,
    /// Which of its probes.
    pub kind: ProbeKind,
    /// The spec of its instance.
    pub spec: std::sync::Arc<ServiceSpec>,
    /// The auto ports of its instance.
    pub ports: BTreeMap<Identifier, u16>,
    /// PID of its shim, if known.
    pub shim: Option<u32>,
}

/// Sends probes, and remembers what need not be checked twice.
#[derive(Default)]
pub struct Prober {
    /// Invocations that were seen to own their listening sockets. Probes in progress add to it.
    owned: Rc<RefCell<HashMap<InstanceId, u32>>>,
    /// How far each log was searched for a line.
    tails: HashMap<InstanceId, (u32, Tail)>,
}

impl Prober {
    /// Sends a probe; the answer is sent to `inbox` as an event.
    pub fn ask(&mut self, paths: &Paths, environment: &Environment, question: Question, inbox: UnboundedSender<Event>) {
        let Some(probe) = (match question.kind {
            ProbeKind::Readiness => question.spec.readiness.clone(),
            ProbeKind::Liveness => question.spec.liveness.clone(),
        }) else {
            return;
        };
        let instance = question.invocation.instance.clone();
        let number = question.invocation.number;
        if let Check::LogLine { text } = &probe.check {
            let tail = self.tails.entry(instance.clone()).or_insert_with(|| (0, Tail::default()));
            if tail.0 != number {
                *tail = (number, Tail::default());
            }
            let answer = told(tail.1.look_for(text, paths, &question.invocation));
            let _ = inbox.send(Event::Probed { invocation: question.invocation, probe: question.kind, answer });
            return;
        }
        if probe.check == Check::Notify {
            let answer = told(notify::look(paths, &question.invocation, question.kind, probe.period));
            let _ = inbox.send(Event::Probed { invocation: question.invocation, probe: question.kind, answer });
            return;
        }
        // Until the invocation was seen to own its listening sockets, each probe checks that.
        let owned = self.owned.clone();
        let is_owned = owned.borrow().get(&instance) == Some(&number);
        let watched: Vec<u16> = if is_owned { Vec::new() } else { own_ports(&probe, &question) };
        let fill = environment.fill(paths, &question.invocation.instance, &question.ports);
        let place = Place::new(&paths.run, &instance.to_string());
        let is_run = matches!(probe.check, Check::Exec { .. });
        let runs_as =
            is_run.then(|| (environment.of(&question.spec, &fill), identity::numbers(&question.spec.identity)));
        tokio::task::spawn_local(async move {
            let patience = probe.timeout;
            let mut result = put(&probe.check, &question.spec.working_dir, &fill, runs_as, patience).await;
            if result.is_ok() && !watched.is_empty() {
                result = strangers(&watched, question.shim, &place);
                if result.is_ok() {
                    owned.borrow_mut().insert(instance, number);
                }
            }
            let answer = told(result);
            let _ = inbox.send(Event::Probed { invocation: question.invocation, probe: question.kind, answer });
        });
    }

    /// Forgets an instance that is started again or released.
    pub fn forget(&mut self, instance: &InstanceId) {
        self.owned.borrow_mut().remove(instance);
        self.tails.remove(instance);
    }
}

/// The ports that a probe of this kind may use, and on which no other process may answer. A daemon is exempt: it may
/// listen from outside of its process tree.
fn own_ports(probe: &Probe, question: &Question) -> Vec<u16> {
    if !matches!(probe.check, Check::Http { .. } | Check::Tcp { .. }) {
        return Vec::new();
    }
    if question.spec.is_daemon {
        return Vec::new();
    }
    let own = question.spec.ports.iter().filter(|(_, port)| !port.hold && port.protocol != Protocol::Udp);
    own.filter_map(|(name, port)| port.number.or_else(|| question.ports.get(name).copied())).collect()
}

/// An answer counts only if no other process gave it: checks that the instance's processes listen on these ports.
fn strangers(ports: &[u16], shim: Option<u32>, place: &Place) -> Result<(), NotGood> {
    let Some(shim) = shim else { return Err(NotGood::Bad("its shim has not said who it is yet".into())) };
    let listening = Listening::try_read().map_err(|error| NotGood::of(&error, |why| format!("who listens: {why}")))?;
    let tree = descendants(shim);
    // Processes that a shim took over are not its descendants; they carry the mark in its record.
    let adopted = || {
        let record = Invocation::read(&place.invocation()).ok();
        let marked = record.map(|record| guard::marked(&record.mark)).unwrap_or_default();
        marked.iter().flat_map(|pid| descendants(*pid)).chain(marked.iter().copied()).collect::<Vec<u32>>()
    };
    for port in ports {
        let sockets = listening.sockets(*port);
        let is_ours = || net::holds(tree.iter().copied(), sockets) || net::holds(adopted(), sockets);
        if !sockets.is_empty() && !is_ours() {
            // Without a free descriptor, the sockets of a process cannot be read, and it would look like another one's.
            lack_now()?;
            let owner = net::owner_in_words(sockets);
            return Err(NotGood::Bad(format!("port {port} answers, but it is {owner} that listens on it")));
        }
    }
    Ok(())
}

/// Runs a check once, for at most `patience`.
///
/// # Errors
/// Why it failed.
pub async fn ask(check: &Check, working_dir: &Template, fill: &InstanceFill, patience: Duration) -> Result<(), String> {
    put(check, working_dir, fill, None, patience).await.map_err(|not_good| not_good.to_string())
}

/// The environment of a command and the user that it runs as, or why that user is unknown.
type RunsAs = (Vec<Vec<u8>>, Result<wire::Identity, String>);

async fn put(
    check: &Check,
    working_dir: &Template,
    fill: &InstanceFill,
    runs_as: Option<RunsAs>,
    patience: Duration,
) -> Result<(), NotGood> {
    let answer = async {
        match check {
            Check::Http { address, path, answer } => {
                let address = address.fill(fill);
                let stream = connect(&address).await?;
                http::get(stream, &address, &path.fill(fill), answer, fill).await.map(drop)
            }
            Check::HttpUnix { socket, path, answer } => {
                get_from(Path::new(&socket.fill(fill)), &path.fill(fill), answer, fill).await.map(drop)
            }
            Check::Loaded { socket, path, says, load, file } => {
                let (socket, file) = (socket.fill(fill), file.fill(fill));
                let (socket, file) = (Path::new(&socket), Path::new(&file));
                match get_from(socket, &path.fill(fill), &HttpAnswer::saying(says), fill).await {
                    Err(NotGood::Bad(_)) => load_into(socket, load, file).await,
                    answer => answer.map(drop),
                }
            }
            Check::Tcp { address } => connect(&address.fill(fill)).await.map(drop),
            Check::Exec { command, working_dir: own } => {
                let folder = own.as_ref().unwrap_or(working_dir).fill(fill);
                let (env, identity) = runs_as.unwrap_or_else(|| (Vec::new(), Ok(wire::Identity::default())));
                exec::run(ShellLine { text: command.fill(fill), folder, env, identity: identity? }, patience).await
            }
            // The log is only read in `Prober::ask`.
            Check::LogLine { .. } => Err(NotGood::Bad("a line of a log cannot be asked for".into())),
            Check::Notify => Err(NotGood::Bad("what a service notifies cannot be asked for".into())),
        }
    };
    let late = || Err(NotGood::Bad(format!("no answer within {} s", patience.as_secs_f64())));
    tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| late())
}

/// Sends a request over a unix socket; returns the headers of the answer if the answer is as expected.
///
/// # Errors
/// Why it failed.
pub async fn get_from(
    socket: &Path,
    path: &str,
    answer: &HttpAnswer,
    fill: &InstanceFill,
) -> Result<HeaderMap, NotGood> {
    http::get(open(socket).await?, "localhost", path, answer, fill).await
}

/// The status of the answer to a GET request over a unix socket.
///
/// # Errors
/// Why there is none.
pub(crate) async fn status_from(socket: &Path, path: &str) -> Result<u16, NotGood> {
    http::status(open(socket).await?, path).await
}

/// Gives a program the configuration in a file, through its admin API.
async fn load_into(socket: &Path, path: &str, file: &Path) -> Result<(), NotGood> {
    let text =
        tokio::fs::read(file).await.map_err(|error| NotGood::of(&error, |why| format!("{}: {why}", file.display())))?;
    http::post(open(socket).await?, path, text).await
}

async fn open(socket: &Path) -> Result<tokio::net::UnixStream, NotGood> {
    let in_words = |why: &str| format!("{}: {why}", socket.display());
    tokio::net::UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        // The socket's queue is full.
        io::ErrorKind::WouldBlock => NotGood::Bad(in_words("connection refused: too many are waiting")),
        _ => NotGood::of(&error, in_words),
    })
}

async fn connect(address: &str) -> Result<TcpStream, NotGood> {
    let stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => {
            // Looking up a name reads files, and an error there has no error number.
            if error.raw_os_error().is_none() {
                lack_now()?;
            }
            return Err(NotGood::of(&error, |why| format!("{address}: {why}")));
        }
    };
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

#[cfg(test)]
mod tests;
