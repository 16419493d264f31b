//! The lines to keeper and shims: orders go out, reports come back as events.

mod fill;
mod find;
mod held;
mod keeper;
mod line;
mod order;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

use core_engine::action::{Scope, StartOrder};
use core_engine::event::{Event, Life};
use core_engine::exit::{Exit, Failure};
use core_engine::{InstanceId, InvocationId};
use core_manifest::ServiceName;
use core_shim::wire::{self, Report, Request};
use tokio::sync::mpsc::UnboundedSender;

use crate::descriptors;
use crate::net::{self, Listening};
use crate::paths::Paths;
pub use fill::{InstanceFill, fill_of};
pub use find::find;
pub use held::Held;
pub use keeper::Keeper;
use line::Line;
pub use order::{Environment, Note};

/// Everything that has to do with processes of services.
pub struct Shims {
    paths: Paths,
    keeper: Rc<Keeper>,
    lines: HashMap<InstanceId, Rc<Line>>,
    inbox: UnboundedSender<Event>,
    environment: Environment,
    held: Held,
    /// New shims to be forked with the next flush.
    batch: Vec<(InstanceId, OwnedFd)>,
    /// Who listens, as of the present batch of starts.
    listening: Option<Listening>,
}

impl Shims {
    /// With nothing yet.
    pub fn new(paths: Paths, keeper: Rc<Keeper>, environment: Environment, inbox: UnboundedSender<Event>) -> Self {
        Self {
            paths,
            keeper,
            lines: HashMap::new(),
            inbox,
            environment,
            held: Held::default(),
            batch: Vec::new(),
            listening: None,
        }
    }

    /// The process of an instance's shim, where it is known.
    pub fn shim_pid(&self, instance: &InstanceId) -> Option<u32> {
        self.lines.get(instance).and_then(|line| line.shim_pid())
    }

    /// Takes in a line that was found, with what its shim holds and has said.
    fn attach(&mut self, instance: InstanceId, line: Rc<Line>, sockets: Vec<(String, OwnedFd)>, early: Vec<Report>) {
        self.held.keep(instance.service(), sockets);
        for event in early.into_iter().filter_map(|report| event_of(&instance, report)) {
            let _ = self.inbox.send(event);
        }
        line.clone().listen(instance.clone(), self.inbox.clone());
        self.lines.insert(instance, line);
    }

    /// Starts an invocation; reports what comes of it.
    pub fn start(&mut self, order: &StartOrder) {
        let invocation = order.invocation.clone();
        if let Err(failure) = self.try_start(order) {
            let _ = self.inbox.send(Event::StartFailed { invocation, failure });
        }
    }

    fn try_start(&mut self, order: &StartOrder) -> Result<(), Failure> {
        self.check_ports(order)?;
        let sockets = self.held.open(&order.spec).map_err(|(port, error)| match error.raw_os_error() {
            Some(nix::libc::EADDRINUSE) => {
                let owner = net::owner_in_words(Listening::read().sockets(port));
                Failure::PortTaken { port, owner }
            }
            _ => Failure::Host(format!("port {port} cannot be held: {error}")),
        })?;
        let start = order::build(&self.paths, order, &self.environment, &sockets)?;
        let instance = &order.invocation.instance;
        let line = match self.lines.get(instance) {
            Some(line) => line.clone(),
            None => self.new_shim(instance).map_err(|error| Failure::Host(format!("no line to a shim: {error}")))?,
        };
        let fds = sockets.into_iter().map(|(_, fd)| fd).collect();
        line.send(Request::Start(Box::new(start)).encode(), fds);
        Ok(())
    }

    /// A port that a stranger listens on is no port for a service.
    fn check_ports(&mut self, order: &StartOrder) -> Result<(), Failure> {
        let spec = &order.spec;
        let tcp =
            spec.ports.iter().filter(|(_, port)| !port.hold && port.protocol != core_manifest::spec::Protocol::Udp);
        for (name, port) in tcp {
            let Some(number) = port.number.or_else(|| order.ports.get(name).copied()) else {
                return Err(Failure::Host("no port of the range is free".into()));
            };
            let listening = self.listening.get_or_insert_with(Listening::read);
            let sockets = listening.sockets(number);
            if !sockets.is_empty() {
                return Err(Failure::PortTaken { port: number, owner: net::owner_in_words(sockets) });
            }
        }
        Ok(())
    }

    fn new_shim(&mut self, instance: &InstanceId) -> std::io::Result<Rc<Line>> {
        let (line, theirs) = descriptors::with_reserve(Line::pair)?;
        line.clone().listen(instance.clone(), self.inbox.clone());
        self.batch.push((instance.clone(), theirs));
        self.lines.insert(instance.clone(), line.clone());
        Ok(line)
    }

    /// Asks the keeper for the shims that were begun since the last flush, all at once.
    pub fn flush(&mut self) {
        self.listening = None;
        let batch = std::mem::take(&mut self.batch);
        for (instance, error) in self.keeper.fork(batch) {
            self.lines.remove(&instance);
            let _ = self.inbox.send(Event::ShimLost { instance: instance.clone() });
            crate::say(&format!("no shim for {instance}: {error}"));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, invocation: &InvocationId, signal: i32, scope: Scope) {
        let scope = match scope {
            Scope::Leader => wire::Scope::Leader,
            Scope::Group => wire::Scope::Group,
            Scope::Tree => wire::Scope::Tree,
        };
        self.request(&invocation.instance, &Request::Signal { number: invocation.number, signal, scope });
    }

    /// Kills a tree.
    pub fn kill(&self, invocation: &InvocationId) {
        if !self.lines.contains_key(&invocation.instance) {
            // There is no shim, so there is nothing of it.
            let _ = self.inbox.send(Event::Emptied { invocation: invocation.clone() });
            return;
        }
        self.request(&invocation.instance, &Request::Kill { number: invocation.number });
    }

    /// Lets a shim go. `leaves` is what it leaves behind and nobody needs.
    pub fn release(&mut self, instance: &InstanceId, leaves: Option<PathBuf>) {
        match (self.lines.remove(instance), leaves) {
            (Some(line), leaves) => {
                line.release(leaves);
                line.send(Request::Release.encode(), Vec::new());
            }
            (None, Some(leaves)) => drop(std::fs::remove_dir_all(leaves)),
            (None, None) => {}
        }
    }

    /// Puts a new shim over what a lost one left.
    pub fn adopt(&mut self, instance: &InstanceId) {
        self.lines.remove(instance);
        let adopted = self.new_shim(instance);
        match adopted {
            Ok(line) => {
                // The one that died had copies of them; whoever comes after us asks this one.
                let (sockets, fds) = self.held.of(instance.service()).into_iter().unzip();
                line.send(Request::Adopt { sockets }.encode(), fds);
            }
            Err(error) => crate::say(&format!("no shim to adopt {instance}: {error}")),
        }
        self.flush();
    }

    /// Tells the shims of a service where to cut its log from now on.
    pub fn limit_log(&self, service: &ServiceName, segment_bytes: u64) {
        for instance in self.lines.keys().filter(|instance| instance.service() == service) {
            self.request(instance, &Request::LogLimit { segment_bytes });
        }
    }

    /// Held sockets of services that are gone are closed.
    pub fn keep_held(&mut self, is_wanted: impl Fn(&str, &str) -> bool) {
        self.held.retain(is_wanted);
    }

    /// The environment that services get.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    fn request(&self, instance: &InstanceId, request: &Request) {
        if let Some(line) = self.lines.get(instance) {
            line.send(request.encode(), Vec::new());
        }
    }
}

/// A wait status as the engine knows it. A negative one was never seen.
pub fn exit_of(status: i32) -> Exit {
    use nix::libc::{WEXITSTATUS, WIFEXITED, WIFSIGNALED, WTERMSIG};
    if status >= 0 && WIFEXITED(status) {
        Exit::Code(WEXITSTATUS(status))
    } else if status >= 0 && WIFSIGNALED(status) {
        Exit::Signal(WTERMSIG(status))
    } else {
        Exit::Unknown
    }
}

/// How an instance stands, as the engine knows it.
fn life_of(life: wire::Life, number: u32) -> Life {
    match life {
        wire::Life::Idle if number == 0 => Life::Idle,
        // Its last start failed: nothing lives, and nobody was told how it ended.
        wire::Life::Idle => Life::Exited { exit: Exit::Unknown, leftovers: false },
        wire::Life::Running { pid } => Life::Running { pid },
        wire::Life::Exited { status, leftovers } => Life::Exited { exit: exit_of(status), leftovers },
    }
}

/// What a report means to the engine.
fn event_of(instance: &InstanceId, report: Report) -> Option<Event> {
    let invocation = |number| InvocationId { instance: instance.clone(), number };
    match report {
        Report::Started { number, pid } => Some(Event::Started { invocation: invocation(number), pid }),
        Report::StartFailed { number, stage, errno, detail } => {
            let failure = order::failure_of(&stage, errno, &detail);
            Some(Event::StartFailed { invocation: invocation(number), failure })
        }
        Report::Exited { number, status, leftovers } => {
            Some(Event::Exited { invocation: invocation(number), exit: exit_of(status), leftovers })
        }
        Report::Emptied { number } => Some(Event::Emptied { invocation: invocation(number) }),
        Report::Dropped { bytes, errno } => {
            let why = std::io::Error::from_raw_os_error(errno);
            crate::say(&format!("{instance}: {bytes} bytes of output could not be written and were dropped: {why}"));
            None
        }
        Report::Adopted { number, life } => {
            Some(Event::Adopted { instance: instance.clone(), invocation: number, life: life_of(life, number) })
        }
        Report::Hello { .. } | Report::Sockets { .. } => None,
    }
}
