//! Runs one script.

mod checks;
mod stack;
mod trials;
mod words;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use core_engine::action::Action;
use core_engine::command::Deploying;
use core_engine::engine::OperationState;
use core_engine::event::{
    Answer, Command, Event, FailedSources, Found, Life, Loaded, ProbeKind, Reach, Rejected, SourceChoice, Unavailable,
    Unreached,
};
use core_engine::exit::{Exit, Failure};
use core_engine::ids::Generation;
use core_engine::record::Cause;
use core_engine::{Engine, InvocationId, Saved, Time, Topology};
use core_manifest::{Identifier, Problem, ServiceName};

const BEGINNING: Time = Time(1_000_000);

struct Run {
    engine: Engine,
    now: Time,
    topology: Topology,
    saved: Option<Saved>,
    /// The last command.
    operation: u64,
    /// Stands for what is in the manifests.
    fingerprint: u64,
    /// How many sources binaries have, and which of them are not chosen any more.
    sources: usize,
    failed_sources: FailedSources,
    /// Folders that are there.
    present: BTreeSet<String>,
    /// Edits are carried out as they are saved.
    follows_edits: bool,
    /// What the history is told is said, too.
    records: bool,
    /// What the host keeps beside processes is said, too.
    upkeep: bool,
    out: String,
}

/// Runs `text` and returns it with the answers as they are now.
pub(crate) fn run(text: &str) -> Result<String, String> {
    let mut run = Run {
        engine: Engine::new(7),
        now: BEGINNING,
        topology: Topology::default(),
        saved: None,
        operation: 0,
        fingerprint: 0,
        sources: 1,
        present: BTreeSet::new(),
        failed_sources: FailedSources::new(),
        follows_edits: true,
        records: false,
        upkeep: false,
        out: String::new(),
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("> ") && *line != ">").collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        let _ = writeln!(run.out, "{line}");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if matches!(line, "stack" | "found" | "launched") {
            let mut block = Vec::new();
            while at < lines.len() && lines[at].starts_with("  ") {
                let _ = writeln!(run.out, "{}", lines[at]);
                block.push(lines[at].trim());
                at += 1;
            }
            if line == "stack" {
                run.topology = stack::read(&block)?;
            } else {
                run.restore(line == "launched", &block)?;
            }
            continue;
        }
        run.command(line).map_err(|error| format!("line {at}: `{line}`: {error}"))?;
    }
    Ok(run.out)
}

impl Run {
    fn say(&mut self, text: &str) {
        let after = (self.now - BEGINNING).as_secs_f64();
        let _ = writeln!(self.out, "> {after:7.3} {text}");
    }

    fn give(&mut self, event: &Event) {
        let actions = self.engine.step(self.now, event);
        for action in &actions {
            match action {
                Action::Save => self.saved = Some(self.engine.saved()),
                Action::Read { failed_sources, .. } => self.failed_sources.clone_from(failed_sources),
                _ => {}
            }
            let is_shown = match action {
                Action::Record(_) | Action::Accepted { .. } => self.records,
                Action::Hold { .. } | Action::KeepLogs { .. } | Action::CutLog { .. } => self.upkeep,
                _ => true,
            };
            if is_shown {
                let text = words::words(action);
                self.say(&text);
            }
        }
    }

    /// A supervisor begins, with what the last one wrote down and these shims.
    /// With `launched`, because somebody starts the stack.
    fn restore(&mut self, launched: bool, block: &[&str]) -> Result<(), String> {
        let mut found = Vec::new();
        for line in block {
            let mut words = line.split_whitespace();
            let invocation: InvocationId = words.next().unwrap_or_default().parse()?;
            let life = match (words.next(), words.next()) {
                (Some("running"), Some(pid)) => Life::Running { pid: pid.parse().map_err(|_| "no pid")? },
                (Some("exited"), Some(code)) => Life::Exited { exit: exit(code)?, leftovers: false },
                (Some("recorded"), Some(code)) => Life::Recorded { exit: exit(code)? },
                (Some("unattended"), _) => Life::Unattended,
                other => return Err(format!("no life: {other:?}")),
            };
            let mut ports = BTreeMap::new();
            if let (Some("port"), Some(number)) = (words.next(), words.next()) {
                ports.insert(Identifier::new("http")?, number.parse().map_err(|_| "no port")?);
            }
            found.push(Found {
                instance: invocation.instance,
                invocation: invocation.number,
                ports,
                restarts: 0,
                failures: 0,
                life,
            });
        }
        self.engine = Engine::new(7);
        let saved = self.saved.clone().map(Box::new);
        self.give(&Event::Restored { launched, saved, found });
        Ok(())
    }

    fn command(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, rest) = words.split_first().ok_or("nothing")?;
        let services = || rest.iter().map(|name| ServiceName::made(name)).collect::<Result<Vec<_>, _>>();
        let invocation = || rest.first().copied().unwrap_or_default().parse::<InvocationId>();
        let text = || rest[1..].join(" ");
        let command = match *verb {
            "up" => Some(Command::Up { services: services()?, timeout: None }),
            "start" => Some(Command::Start { services: services()? }),
            "stop" => Some(Command::Stop { services: services()? }),
            "restart" => Some(Command::Restart { services: services()? }),
            "renew" => Some(Command::Renew { service: ServiceName::made(rest[0])? }),
            "scale" => Some(Command::Scale {
                service: ServiceName::made(rest[0])?,
                replicas: rest[1].parse().map_err(|_| "no number")?,
            }),
            "down" => Some(Command::Down),
            "kill" => Some(Command::Kill),
            "apply" => Some(Command::Apply),
            "deploy" | "stage" | "supersede" => {
                let how =
                    Deploying { switch: verb != &"stage", supersede: verb == &"supersede", ..Deploying::default() };
                Some(Command::Deploy { service: services()?.pop(), how })
            }
            "rollback" => Some(Command::Rollback { service: None, release: words.get(1).map(ToString::to_string) }),
            verb => trials::command(verb, rest)?,
        };
        if let Some(command) = command {
            self.operation = self.engine.next_operation();
            self.give(&Event::Command { operation: self.operation, command, by: Cause::User(None) });
            return Ok(());
        }
        let probed =
            |probe, answer| -> Result<Event, String> { Ok(Event::Probed { invocation: invocation()?, probe, answer }) };
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is no number of a line"));
        let unreached = |why| -> Result<Event, String> {
            let line = number(rest.get(1).copied().unwrap_or_default())?;
            Ok(Event::Unreached { instance: rest[0].parse()?, line, why })
        };
        let event = match *verb {
            "load" => self.load(),
            "broken" => Event::Rejected(Rejected {
                problems: vec![Problem::of_service(rest[0], "syntax", "not valid JSON".into())],
                fingerprint: self.fingerprint,
                ..Rejected::default()
            }),
            "edited" => {
                self.fingerprint += 1;
                Event::Edited { fingerprint: self.fingerprint }
            }
            "plan-wanted" => Event::PlanWanted { question: 1 },
            "started" => Event::Started { invocation: invocation()?, pid: 1000 },
            "failed" => {
                let failure = Failure::Exec { stage: "exec".into(), message: text() };
                Event::StartFailed { invocation: invocation()?, failure }
            }
            "port-taken" => {
                let port = rest[1].parse().map_err(|_| "no number")?;
                let failure = Failure::PortTaken { port, owner: "a stranger".into() };
                Event::StartFailed { invocation: invocation()?, failure }
            }
            "exited" => Event::Exited {
                invocation: invocation()?,
                exit: exit(rest[1])?,
                leftovers: rest.get(2) == Some(&"leftovers"),
            },
            "emptied" => Event::Emptied { invocation: invocation()? },
            "ready" => probed(ProbeKind::Readiness, Answer::Good)?,
            "unready" => probed(ProbeKind::Readiness, Answer::Bad(text()))?,
            "ready-unasked" => probed(ProbeKind::Readiness, Answer::Unasked(text()))?,
            "alive" => probed(ProbeKind::Liveness, Answer::Good)?,
            "dead" => probed(ProbeKind::Liveness, Answer::Bad(text()))?,
            "alive-unasked" => probed(ProbeKind::Liveness, Answer::Unasked(text()))?,
            "line-broken" => Event::LineBroken { instance: rest[0].parse()?, line: number(rest[1])? },
            "shim-stopped" => Event::ShimStopped { instance: rest[0].parse()? },
            "shim-dead" => unreached(Unreached::Dead)?,
            "shim-silent" => unreached(Unreached::Silent)?,
            "shim-failed" => unreached(Unreached::Failed(rest[2..].join(" ")))?,
            "adopted" => {
                let invocation = invocation()?;
                let life = Life::Running { pid: 1000 };
                let line = number(rest.get(1).copied().unwrap_or_default())?;
                Event::Adopted { instance: invocation.instance, line, invocation: invocation.number, life }
            }
            "counted" => {
                Event::Counted { instance: rest[0].parse()?, established: rest[1].parse().map_err(|_| "no number")? }
            }
            "routed" | "refused" => Event::Routed {
                service: ServiceName::made(rest[0])?,
                version: rest[1].parse().map_err(|_| "no version")?,
                result: if *verb == "routed" { Ok(()) } else { Err("no space left on device".into()) },
            },
            "reached" | "unreached" | "silent" => Event::Verified {
                service: ServiceName::made(rest[0])?,
                born: Generation(rest[1].parse().map_err(|_| "no generation")?),
                reach: match *verb {
                    "reached" => Reach::Reached,
                    "silent" => Reach::Silent,
                    _ => Reach::Astray(rest[2..].join(" ")),
                },
            },
            "prepared" => {
                self.present.insert(rest[0].into());
                Event::Prepared { folder: rest[0].into(), result: Ok(()) }
            }
            "unprepared" => Event::Prepared { folder: rest[0].into(), result: Err(text().into()) },
            "mismatched" => {
                let result = Err(Unavailable { why: text(), is_final: true });
                Event::Prepared { folder: rest[0].into(), result }
            }
            "marked" => Event::Marked { service: ServiceName::made(rest[0])?, release: rest[1].into() },
            "made" | "unmade" => {
                let is_made = *verb == "made";
                self.present.extend(is_made.then(|| format!("{}/{}", rest[1], rest[2])));
                Event::ReleaseMade {
                    operation: rest[0].parse().map_err(|_| "no operation")?,
                    service: ServiceName::made(rest[1])?,
                    result: if is_made { Ok(rest[2].into()) } else { Err(rest[2..].join(" ")) },
                }
            }
            "advance" => return self.advance(rest[0]),
            "records" => {
                self.records = true;
                return Ok(());
            }
            "upkeep" => {
                self.upkeep = true;
                return Ok(());
            }
            "memory-short" => Event::MemoryShort,
            "sources" => {
                self.sources = rest[0].parse().map_err(|_| "no number")?;
                return Ok(());
            }
            "edits" => {
                self.follows_edits = rest == ["followed"];
                return Ok(());
            }
            "outcome" | "show" | "plan" | "checks" => {
                match *verb {
                    "outcome" => self.outcome(),
                    "show" => self.show(),
                    "plan" => self.plan(),
                    _ => self.checks(),
                }
                return Ok(());
            }
            verb => trials::event(verb, rest)?.ok_or("no such command")?,
        };
        self.give(&event);
        Ok(())
    }

    fn load(&self) -> Event {
        let binaries = self.topology.services.values().flat_map(|spec| spec.binaries.values());
        let choice = |folder: String| {
            let failed = |index: &usize| self.failed_sources.get(&(folder.clone(), *index));
            let index = (0..self.sources).find(|index| failed(index).is_none()).unwrap_or(0);
            let earlier = (0..index).filter_map(|index| failed(&index)).map(|why| format!("url: {why}")).collect();
            let choice =
                SourceChoice { binary: folder.clone(), index, count: self.sources, kind: "url".into(), earlier };
            (folder, choice)
        };
        Event::Loaded(Loaded {
            topology: self.topology.clone(),
            sources: binaries.filter_map(|binary| binary.folder.clone()).map(choice).collect(),
            releases: self
                .topology
                .services
                .iter()
                .filter_map(|(name, spec)| Some((name.clone(), spec.release.clone()?)))
                .collect(),
            fingerprint: self.fingerprint,
            present: self.present.clone(),
            follows_edits: self.follows_edits,
            ..Loaded::default()
        })
    }

    /// Lets time pass, with a tick at every deadline.
    fn advance(&mut self, span: &str) -> Result<(), String> {
        let millis: u64 = match (span.strip_suffix("ms"), span.strip_suffix('s')) {
            (Some(number), _) => number.parse().map_err(|_| "no span")?,
            (None, Some(number)) => 1000 * number.parse::<u64>().map_err(|_| "no span")?,
            (None, None) => return Err("a span ends in s or ms".into()),
        };
        let until = self.now + Duration::from_millis(millis);
        while let Some(deadline) = self.engine.deadline().filter(|deadline| *deadline <= until) {
            self.now = deadline.max(self.now);
            self.give(&Event::Tick);
        }
        self.now = until;
        Ok(())
    }

    fn show(&mut self) {
        let view = self.engine.view();
        let state = format!("{:?}, generation {}", view.state, view.generation);
        self.say(&state.to_lowercase());
        for one in view.instances {
            let mut line = format!("{:<10} {:<8}", one.id.to_string(), one.phase.word());
            if let Some(reason) = one.reason {
                let _ = write!(line, " {reason}");
            }
            for waiting in one.waiting_on {
                let _ = write!(line, " [{}]", waiting.message);
            }
            self.say(line.trim_end());
        }
        for problem in view.problems {
            let line = format!("problem: {problem}");
            self.say(&line);
        }
    }

    /// How the last command stands.
    fn outcome(&mut self) {
        let line = match self.engine.operation(self.operation).map(|operation| &operation.state) {
            None => "no command".to_owned(),
            Some(OperationState::Running) => "under way".to_owned(),
            Some(OperationState::Done) => "done".to_owned(),
            Some(OperationState::Failed { message, .. }) => format!("failed: {message}"),
        };
        self.say(&line);
    }

    fn plan(&mut self) {
        let plan = self.engine.plan_for(&self.topology, false);
        let head = format!("{} -> {}", plan.from, plan.to);
        self.say(&head);
        for (name, planned) in plan.services {
            let line = format!("{name}: {:?} {}", planned.change, planned.reasons.join("; "));
            self.say(line.trim_end());
        }
    }
}

fn exit(text: &str) -> Result<Exit, String> {
    match text.strip_prefix("signal") {
        Some(number) => number.parse().map(Exit::Signal),
        None => text.parse().map(Exit::Code),
    }
    .map_err(|_| format!("`{text}` is no exit"))
}
