//! Answers requests of the control socket.

use std::collections::HashMap;

use core_engine::engine::{InstanceView, View, WaitingView, WhyStep as EngineStep};
use core_engine::event::{Command, Event};
use core_engine::phase::EndReason;
use core_engine::{InstanceId, Time};
use core_manifest::spec::{PortSpec, Protocol, Tls};
use core_manifest::{Diagnostic, Problem, ServiceName};
use core_shim::sys;
use core_stack::drivers;

use super::askers::Waiting;
use super::{Supervisor, now};
use crate::api::{
    Answer, Ask, Followed, Graph, InstanceStatus, JobStatus, LATE, Question, Status, WaitingStatus, WhyStep,
};
use crate::launch;
use crate::own_log;
use crate::probes;
use crate::usage::{Tree, Usage};

impl Supervisor {
    pub(super) fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Alive(answer) => drop(answer.send(())),
            Ask::Status(with_usage, answer) => {
                let view = self.engine.view();
                let status = self.status(&view, with_usage);
                let certificates = if with_usage { self.certificates(&status) } else { None };
                let _ = answer.send(Box::new(Answer { view, status, certificates }));
            }
            Ask::Why(service, answer) => {
                let _ = answer.send(self.why(&service));
            }
            Ask::Graph(answer) => {
                let _ = answer.send(Graph::of(&self.engine.topology()));
            }
            Ask::Command(command, by, answer) => {
                let is_end = matches!(command, Command::Down | Command::Kill);
                let within = is_end.then(|| self.engine.longest_end(command == Command::Kill).as_secs_f64());
                let who = match within {
                    Some(seconds) => Waiting::End(answer, seconds),
                    None => Waiting::Command(answer),
                };
                self.operate(command, by, Some(who));
            }
            Ask::Operation(operation, answer) => {
                let state = self.engine.operation(operation).map(|operation| operation.state.clone());
                let said = std::mem::take(&mut self.announcements);
                let answered = answer.send(state.map(|state| (state, said.clone())));
                if answered.is_err() {
                    // The client is gone: the next one gets the announcements.
                    self.announcements = said;
                }
            }
            Ask::Plan(profile, answer) => {
                let question = self.askers.wait_for_plan(profile, answer);
                self.give(&Event::PlanWanted { question });
            }
            Ask::Apply(by, answer) => self.operate(Command::Apply, by, Some(Waiting::Apply(answer))),
        }
    }

    /// State and logs that could not be written, as problems.
    fn unwritten(&self) -> Vec<Problem> {
        let unsaved = self.saving.unsaved().map(|why| {
            Diagnostic::new("unsaved", format!("{why}; a supervisor that took over now would know an older state"))
        });
        let unsaid = own_log::unwritten().map(|why| {
            Diagnostic::new("unsaid", format!("{} cannot be written: {why}", self.paths.shown(&self.paths.own_log())))
        });
        let help = "make room on the disk of .core-stack, or mount it so that it can be written; running services keep serving";
        [unsaved, unsaid].into_iter().flatten().map(|one| one.help(help).problem()).collect()
    }

    fn status(&mut self, view: &View, with_usage: bool) -> Status {
        let usage = if with_usage { self.usage(view) } else { HashMap::new() };
        let jobs = self.progress.jobs();
        Status {
            stack: self.paths.root.display().to_string(),
            profile: self.reading.profile(),
            generation: view.generation,
            state: view.state,
            url: self.url(),
            problems: view.problems.iter().cloned().chain(self.unwritten()).collect(),
            instances: view
                .instances
                .iter()
                .map(|instance| {
                    let status = instance_status(instance, usage.get(&instance.id));
                    self.covered(InstanceStatus { status: self.own_words(instance), ..status })
                })
                .collect(),
            jobs: jobs
                .into_iter()
                .map(|(folder, job)| JobStatus { folder, what: job.what, done: job.done, total: job.total })
                .collect(),
            version: Some(crate::VERSION.to_owned()),
            program: launch::running_program(),
            host: None,
            trials: self.trials(),
            certificates: Vec::new(),
            maintenance: self.engine.maintained().map(|(name, how)| (name.to_string(), how.clone())).collect(),
        }
    }

    /// Why a service is not ready; the server reads the log lines later, outside of the loop.
    fn why(&mut self, service: &ServiceName) -> Result<Vec<Followed>, String> {
        let steps = self.engine.why(service)?;
        let step = |step: EngineStep| {
            let is_well = step.instance.ready || !step.is_root;
            let says_more = (!is_well).then(|| step.instance.invocation.clone());
            let last_probe = step.instance.last_probe.as_deref().filter(|_| !step.instance.ready);
            let last_probe = last_probe.map(|answer| self.hidden.cover(answer));
            let instance = self.covered(instance_status(&step.instance, None));
            (WhyStep { depth: step.depth, instance, last_probe, last_lines: Vec::new() }, says_more)
        };
        Ok(steps.into_iter().map(step).collect())
    }

    /// Covers secrets in the texts that services and probes produced.
    fn covered(&self, mut status: InstanceStatus) -> InstanceStatus {
        let own = [&mut status.reason, &mut status.detail, &mut status.status].into_iter().flatten();
        for text in own.chain(status.waiting_on.iter_mut().map(|waiting| &mut waiting.message)) {
            *text = self.hidden.cover(text);
        }
        status
    }

    /// The status that a service reports about itself.
    fn own_words(&self, instance: &InstanceView) -> Option<String> {
        let notifies = instance.pid.is_some() && self.engine.spec(&instance.id).is_some_and(|spec| spec.notifies());
        let said = if notifies { probes::said(&self.paths, &instance.invocation) } else { None };
        said.map(|said| said.status).filter(|status| !status.is_empty())
    }

    fn usage(&mut self, view: &View) -> HashMap<InstanceId, Usage> {
        let trees: Vec<Tree> = view
            .instances
            .iter()
            .filter_map(|instance| {
                Some(Tree {
                    instance: instance.id.clone(),
                    shim: self.shims.shim_pid(&instance.id)?,
                    leader: instance.pid?,
                })
            })
            .collect();
        if trees.is_empty() { HashMap::new() } else { self.counters.read(&trees) }
    }

    /// What the server is to ask about the certificates of the edge, outside of the loop.
    fn certificates(&self, status: &Status) -> Option<Question> {
        let topology = self.engine.topology();
        let edge = topology.services.values().find(|spec| spec.kind.is_edge() && spec.edge.tls != Tls::Off)?;
        let instances = status.instances.iter().filter(|one| edge.name.as_str() == one.service);
        let of_previews = self.trials().into_iter().filter(|_| edge.edge.asks_ca).flat_map(|trial| trial.hosts);
        let of_previews = of_previews.filter(|host| !host.ends_with(".localhost"));
        Some(Question {
            names: drivers::certified(edge, &topology).into_iter().chain(of_previews).collect(),
            storage: self.paths.data().join(edge.name.as_str()),
            logs: instances.map(|one| self.paths.run.join(&one.id).join(drivers::TLS_LOG)).collect(),
            own: edge.edge.certificates.clone(),
            written: edge.edge.certificate_files.clone(),
            root: self.paths.root.clone(),
            lateness: (edge.edge.tls == Tls::Auto).then_some(LATE),
        })
    }

    /// The URL at which a browser on this host reaches the edge.
    fn url(&self) -> Option<String> {
        let known = self.reading.known()?;
        let services = known.topology.services.values();
        let edge = services.clone().find(|spec| spec.kind.is_edge())?;
        let is_secure = |port: &&PortSpec| port.protocol == Protocol::Https;
        let ports = || edge.held_ports().map(|(_, port)| port);
        let port = ports().find(is_secure).or_else(|| ports().next())?;
        let number = port.number?;
        let (scheme, default) = if is_secure(&port) { ("https", 443) } else { ("http", 80) };
        let number = if number == default { String::new() } else { format!(":{number}") };
        // A certificate of a CA is for the names that people use.
        let mut hosts = services.filter(|_| edge.edge.tls == Tls::Auto).filter_map(|spec| spec.route.as_ref());
        let host = hosts.find_map(|route| route.hosts.iter().find(|host| !host.contains('*')));
        let host = host.map_or("localhost", String::as_str);
        Some(format!("{scheme}://{host}{number}/"))
    }
}

fn instance_status(instance: &InstanceView, usage: Option<&Usage>) -> InstanceStatus {
    let id = &instance.id;
    let end = instance.end.map(|end| match end {
        EndReason::Exit => "exit",
        EndReason::Stopped => "stopped",
        EndReason::Disabled => "disabled",
        EndReason::Idle => "idle",
        EndReason::Skipped => "skipped",
    });
    InstanceStatus {
        id: id.to_string(),
        slot: id.slot.to_string(),
        service: id.service().to_string(),
        replica: id.slot.replica,
        generation: id.generation,
        invocation: instance.invocation.to_string(),
        phase: instance.phase,
        reason: end.map(str::to_owned).or_else(|| instance.reason.clone()),
        detail: instance.reason.clone(),
        pid: instance.pid,
        ready: instance.ready,
        restarts: instance.restarts,
        exit_code: instance.exit.and_then(core_engine::exit::Exit::code),
        ports: instance.ports.iter().map(|(name, port)| (name.to_string(), *port)).collect(),
        since: Some(wall(instance.since)),
        cpu_percent: usage.map(|usage| (usage.cpu_percent * 10.0).round() / 10.0),
        cpu_seconds: usage.map(|usage| (usage.cpu_seconds * 100.0).round() / 100.0),
        memory_bytes: usage.map(|usage| usage.memory_bytes),
        waiting_on: instance.waiting_on.iter().map(waiting_status).collect(),
        status: None,
        release: instance.release.clone(),
        role: instance.role.map(|role| role.word().to_owned()),
    }
}

fn waiting_status(waiting: &WaitingView) -> WaitingStatus {
    WaitingStatus {
        service: waiting.service.as_ref().map(ToString::to_string),
        condition: waiting.condition.map(str::to_owned),
        code: waiting.code.to_owned(),
        message: waiting.message.clone(),
    }
}

/// A time of the engine as wall clock time: RFC 3339, UTC.
fn wall(time: Time) -> String {
    let ago = now() - time;
    let wall = i128::from(sys::wall_ns()) - i128::try_from(ago.as_nanos()).unwrap_or(0);
    let timestamp = jiff::Timestamp::from_nanosecond(wall).unwrap_or_default();
    format!("{timestamp:.3}")
}
