//! The connections to keeper and shims: requests go out, reports come back as events.

mod events;
mod filter;
mod find;
mod group;
mod heard;
mod held;
mod keeper;
mod leaders;
mod line;
mod listen;
mod order;
mod ports;
mod socket;
pub(crate) mod stray;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use core_engine::action::{Replaces, Scope, StartOrder};
use core_engine::event::{Event, Unreached};
use core_engine::exit::Failure;
use core_engine::{InstanceId, InvocationId};
use core_manifest::{Identifier, ServiceName, ServiceSpec};
use core_shim::place::Place;
use core_shim::wire::{self, Request};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use crate::environment::Environment;
use crate::net::{self, Listening};
use crate::paths::Paths;
use crate::{data, descriptors, writable};
pub use events::exit_of;
pub use find::find;
pub use held::Held;
pub use keeper::Keeper;
use leaders::Leaders;
use line::Line;
pub(crate) use line::call;
use listen::{Introduction, Listener, Released};
pub use order::Note;

/// How long to kill processes without a shim before giving up for now.
const KILLED: Duration = Duration::from_secs(1);

/// A connection, and what to do when it ends.
#[derive(Clone)]
struct Known {
    line: Rc<Line>,
    released: Rc<RefCell<Released>>,
}

/// Everything about the processes of services.
pub struct Shims {
    paths: Paths,
    keeper: Rc<Keeper>,
    lines: HashMap<InstanceId, Known>,
    inbox: UnboundedSender<Event>,
    /// What services get from outside.
    pub(crate) environment: Environment,
    held: Rc<RefCell<Held>>,
    leaders: Rc<RefCell<Leaders>>,
    /// Invocations that are being killed without a shim.
    killing: Rc<RefCell<HashSet<InvocationId>>>,
    /// New shims for the next `flush`.
    batch: Vec<(InstanceId, OwnedFd)>,
    /// Listening sockets, read once for the present batch of starts.
    listening: Option<Listening>,
}

impl Shims {
    /// Without any connections yet.
    pub fn new(paths: Paths, keeper: Rc<Keeper>, environment: Environment, inbox: UnboundedSender<Event>) -> Self {
        Self {
            paths,
            keeper,
            lines: HashMap::new(),
            inbox,
            environment,
            held: Rc::default(),
            leaders: Rc::default(),
            killing: Rc::default(),
            batch: Vec::new(),
            listening: None,
        }
    }

    /// The PID of an instance's shim, if known.
    pub fn shim_pid(&self, instance: &InstanceId) -> Option<u32> {
        self.lines.get(instance).and_then(|known| known.line.shim_pid())
    }

    /// Adds a connection; its listener sends events to the engine.
    fn attach(&mut self, instance: &InstanceId, line: Rc<Line>) -> Listener {
        let known = Known { line: line.clone(), released: Rc::default() };
        let listener = Listener {
            instance: instance.clone(),
            line,
            released: known.released.clone(),
            held: self.held.clone(),
            leaders: self.leaders.clone(),
            inbox: self.inbox.clone(),
            run: self.paths.run.clone(),
        };
        // The previous connection must not be listened to any more.
        if let Some(before) = self.lines.insert(instance.clone(), known) {
            before.line.close();
        }
        listener
    }

    /// Starts an invocation; the result is reported as an event.
    pub fn start(&mut self, order: &StartOrder) {
        let invocation = order.invocation.clone();
        if let Err(failure) = self.try_start(order) {
            let _ = self.inbox.send(Event::StartFailed { invocation, failure });
        }
    }

    fn try_start(&mut self, order: &StartOrder) -> Result<(), Failure> {
        self.check_ports(order)?;
        let sockets = self.held.borrow_mut().open(&order.spec, &order.invocation.instance).map_err(
            |(port, error)| match error.raw_os_error() {
                Some(nix::libc::EADDRINUSE) => {
                    let owner = net::owner_in_words(Listening::read().sockets(port));
                    Failure::PortTaken { port, owner }
                }
                Some(errno) if order::is_lack(errno) => Failure::Lack(format!("port {port} cannot be held: {error}")),
                _ => Failure::Host(format!("port {port} cannot be held: {error}")),
            },
        )?;
        let mut start = order::build(&self.paths, order, &self.environment, &sockets)?;
        order::check_sizes(&start).map_err(Failure::Host)?;
        data::ensure(&self.paths.data(), order.spec.name.as_str(), &start)
            .map_err(|error| Failure::Host(error.to_string()))?;
        // What is allowed is what is there: also the folders that were just made.
        start.writable = writable::of(&self.paths, &order.spec);
        let instance = &order.invocation.instance;
        let request = Request::Start(Box::new(start)).encode();
        if request.len() > wire::MAX_FRAME {
            let message = format!(
                "its command line, environment and files come to {} MB, and a start takes {} MB at most",
                request.len() >> 20,
                wire::MAX_FRAME >> 20
            );
            return Err(Failure::Host(message));
        }
        let line = match self.lines.get(instance) {
            Some(known) => known.line.clone(),
            None => self
                .new_shim(instance, order.line)
                .map_err(|error| Failure::Lack(format!("no line to a shim: {error}")))?,
        };
        let fds = sockets.into_iter().map(|(_, fd)| fd).collect();
        line.send(request, fds);
        Ok(())
    }

    fn new_shim(&mut self, instance: &InstanceId, number: u32) -> io::Result<Rc<Line>> {
        let (line, theirs) = descriptors::with_reserve(|| Line::pair(number))?;
        let listener = self.attach(instance, line.clone());
        line.set_known();
        tokio::task::spawn_local(listener.listen());
        self.batch.push((instance.clone(), theirs));
        Ok(line)
    }

    /// Asks the keeper for all shims that were requested since the last flush.
    pub fn flush(&mut self) {
        self.listening = None;
        let batch = std::mem::take(&mut self.batch);
        for (instance, error) in self.keeper.fork(batch) {
            self.not_forked(&instance, &format!("its keeper cannot be asked for a shim: {error}"));
        }
    }

    /// Sends a signal to processes of an invocation.
    pub fn signal(&self, invocation: &InvocationId, signal: i32, scope: Scope) {
        let scope = match scope {
            Scope::Leader => wire::Scope::Leader,
            Scope::Group => wire::Scope::Group,
            Scope::Tree => wire::Scope::Tree,
            Scope::OutsideGroup => wire::Scope::OutsideGroup,
        };
        self.request(&invocation.instance, &Request::Signal { number: invocation.number, signal, scope });
    }

    /// Kills a process tree: through its shim, or, without a connection to one, by its records.
    pub fn kill(&self, invocation: &InvocationId) {
        if self.lines.contains_key(&invocation.instance) {
            self.request(&invocation.instance, &Request::Kill { number: invocation.number });
            return;
        }
        // The engine repeats this request; one attempt at a time is enough.
        if !self.killing.borrow_mut().insert(invocation.clone()) {
            return;
        }
        let (paths, inbox, invocation) = (self.paths.clone(), self.inbox.clone(), invocation.clone());
        let killing = self.killing.clone();
        tokio::task::spawn_local(async move {
            let (name, number) = (invocation.instance.to_string(), invocation.number);
            let killed = tokio::task::spawn_blocking(move || stray::kill(&paths, &name, Some(number), KILLED)).await;
            killing.borrow_mut().remove(&invocation);
            if killed.unwrap_or(false) {
                let _ = inbox.send(Event::Emptied { invocation });
            }
        });
    }

    /// Lets a shim exit. `leaves` is a run folder to remove after that.
    pub fn release(&mut self, instance: &InstanceId, leaves: Option<PathBuf>) {
        self.leaders.borrow_mut().forget(instance);
        self.held.borrow_mut().leave(instance);
        if let Some(known) = self.lines.remove(instance) {
            known.released.borrow_mut().tell(&known.line, leaves);
            return;
        }
        // No connection leads to its shim, if there is one, and nothing is left to look after.
        stray::kill_shim(&self.paths.run, instance, None);
        if let Some(leaves) = leaves {
            stray::take_away(&leaves);
        }
    }

    /// Asks all shims whether they are alive. They also notice then whether their socket still exists.
    pub fn ask_all(&self, within: Duration) {
        self.lines.values().for_each(|known| known.line.ask(within));
    }

    /// Whether the socket of every connected shim exists.
    pub fn are_found(&self) -> bool {
        let place = |instance: &InstanceId| Place::new(&self.paths.run, &instance.to_string());
        self.lines.keys().all(|instance| place(instance).socket().exists())
    }

    /// Asks a shim whether it is alive.
    pub fn ask(&self, instance: &InstanceId, within: Duration) {
        if let Some(known) = self.lines.get(instance) {
            known.line.ask(within);
        }
    }

    /// Makes a new connection to the shim of an instance.
    pub fn connect(&mut self, instance: &InstanceId, number: u32) {
        // A shim that was found and has not reported its state yet is still waited for.
        if let Some(known) = self.lines.get(instance).filter(|known| !known.line.is_known()) {
            known.line.renumber(number);
            return;
        }
        let before = self.lines.remove(instance);
        let pid = before.as_ref().and_then(|known| known.line.shim_pid());
        if let Some(known) = &before {
            known.line.close();
        }
        let Err(error) = self.open(instance, number, None) else { return };
        let (run, inbox, instance) = (self.paths.run.clone(), self.inbox.clone(), instance.clone());
        tokio::task::spawn_local(async move {
            let why = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                    if !stray::shim_lives(&run, &instance, pid).await =>
                {
                    Unreached::Dead
                }
                // Its socket was removed, or its queue is full.
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock => {
                    Unreached::Silent
                }
                _ => Unreached::Failed(format!("no connection to its shim: {error}")),
            };
            let _ = inbox.send(Event::Unreached { instance, line: number, why });
        });
    }

    /// Connects to the shim of an instance; its state goes to `first`, or else to the engine.
    fn open(
        &mut self,
        instance: &InstanceId,
        number: u32,
        first: Option<oneshot::Sender<Introduction>>,
    ) -> io::Result<()> {
        let path = Place::new(&self.paths.run, &instance.to_string()).socket();
        let line = descriptors::with_reserve(|| Line::connect(&path, number))?;
        let listener = self.attach(instance, line);
        tokio::task::spawn_local(listener.introduce(first));
        Ok(())
    }

    /// Starts another shim for what a dead or silent one has left.
    pub fn adopt(&mut self, invocation: &InvocationId, number: u32, spec: &Arc<ServiceSpec>, replaces: Replaces) {
        let instance = &invocation.instance;
        let before = self.lines.remove(instance);
        if replaces == Replaces::Silent {
            let pid = before.as_ref().and_then(|known| known.line.shim_pid());
            stray::kill_shim(&self.paths.run, instance, pid);
        }
        if let Some(known) = &before {
            known.line.close();
        }
        match self.new_shim(instance, number) {
            Ok(line) => {
                // The dead shim had copies of them; a future supervisor will ask this one.
                let (sockets, mut fds): (_, Vec<OwnedFd>) = self.held.borrow().of(instance).into_iter().unzip();
                // Shims of the first releases do not know this field.
                let leader = self.leaders.borrow().of(instance).filter(|_| self.keeper.answers());
                let pid = leader.as_ref().map_or(0, |(pid, _)| *pid);
                fds.extend(leader.map(|(_, handle)| handle));
                let log = order::log_place(&self.paths, invocation, spec);
                line.send(Request::Adopt { sockets, number: invocation.number, log, leader: pid }.encode(), fds);
            }
            Err(error) => {
                let why = Unreached::Failed(format!("no line to a new shim: {error}"));
                let _ = self.inbox.send(Event::Unreached { instance: instance.clone(), line: number, why });
            }
        }
        self.flush();
    }

    /// Tells the shims of a service at which size to cut its log from now on.
    pub fn limit_log(&self, service: &ServiceName, segment_bytes: u64) {
        for instance in self.lines.keys().filter(|instance| instance.service() == service) {
            self.request(instance, &Request::LogLimit { segment_bytes });
        }
    }

    /// New connections to held ports of a service go to this instance, where each has a socket of its own.
    pub fn direct(&mut self, instance: &InstanceId) {
        self.held.borrow_mut().direct(instance);
    }

    /// Closes all held sockets but these.
    pub fn hold(&mut self, ports: &BTreeSet<(ServiceName, Identifier)>) {
        self.held.borrow_mut().retain(ports);
    }

    fn request(&self, instance: &InstanceId, request: &Request) {
        if let Some(known) = self.lines.get(instance) {
            known.line.send(request.encode(), Vec::new());
        }
    }
}
