//! A world without processes, for the engine: trees, shims, an edge, and time that jumps.
//!
//! The world carries out what the engine asks, with faults, and tells it what happened, late. It keeps its own truth
//! and compares every action with the promises (`promises`); what it finds broken ends the history with a message.

pub(crate) mod coverage;
mod effects;
pub(crate) mod files;
mod history;
pub(crate) mod promises;
pub(crate) mod rng;
mod service;
mod shim;
pub(crate) mod stack;
pub(crate) mod tree;
mod trials;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_engine::action::{RouteTable, StartOrder, Target};
use core_engine::event::{Command, Event, Found, SourceChoice};
use core_engine::exit::Exit;
use core_engine::mutation::Mutation;
use core_engine::phase::PhaseName;
use core_engine::record::Cause;
use core_engine::{Engine, InstanceId, InvocationId, Saved, Time, Topology};
use core_manifest::ServiceName;

use coverage::Coverage;
use files::Files;
use promises::Promises;
use rng::Rng;
use tree::Tree;

/// What happens later.
#[derive(Clone, Debug)]
enum Later {
    /// The engine of this life is told.
    Tell(u64, Event),
    /// It is told by a shim, on a line: of this life, instance and shim.
    Say((u64, InstanceId, u32), Event),
    /// A shim answers on a new line, of this number.
    Attend(u64, InstanceId, u32),
    /// The time that a shim has to answer is over.
    Silent(u64, InstanceId, u32),
    /// The keeper says that a shim has died.
    Dead(u64, InstanceId, u32),
    /// A shim that stands still goes on.
    Wake(InstanceId, u32),
    /// The shim carries a start out.
    Exec(StartOrder),
    /// The first process ends by itself.
    End(InvocationId, Exit),
    /// The first process ends because it was asked or killed.
    Obey(InvocationId, Exit),
    /// What was left behind is gone.
    Empty(InvocationId),
    /// A new engine begins.
    Awake,
    /// The engine of this life has the manifests read.
    Read(u64),
    /// The engine of this life is told what is in them.
    Look(u64),
    /// Pointers get written.
    Write(u64, RouteTable),
}

/// The longest that the engine waits for an answer that is lost.
pub(crate) const LOST: Duration = Duration::from_secs(31);

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) now: Time,
    pub(crate) engine: Engine,
    /// Faults happen.
    pub(crate) chaos: bool,
    /// What the engine was told to carry out.
    pub(crate) topology: Topology,
    /// What is in the manifests.
    pub(crate) files: Files,
    /// Where each binary is to come from, as the engine was told.
    pub(crate) sources: BTreeMap<String, SourceChoice>,
    pub(crate) trees: BTreeMap<InstanceId, Tree>,
    pub(crate) routes: BTreeMap<ServiceName, Vec<Target>>,
    /// Where they send requests that name another release.
    pub(crate) formers: BTreeMap<ServiceName, Vec<Target>>,
    pub(crate) closed: BTreeSet<ServiceName>,
    pub(crate) promises: Promises,
    pub(crate) coverage: Coverage,
    pub(crate) log: Vec<String>,
    pub(crate) steps: u64,
    pub(crate) keep_log: bool,
    mutation: Option<Mutation>,
    saved: Option<Saved>,
    /// Counts the engines: what is told to one before is lost.
    life: u64,
    /// The engine is alive.
    awake: bool,
    later: BTreeMap<(Time, u64), Later>,
    sequence: u64,
    pids: u32,
    /// Folders that are there.
    present: BTreeSet<String>,
    exited: bool,
    acts: u32,
    /// Until then no question of a probe can be put.
    asks_again_at: Time,
    /// When the engine has noticed the last answer that was lost.
    pub(crate) missed_by: Time,
    /// The supervisor stands still until then.
    frozen_until: Time,
    /// A fault goes on until then.
    trouble_until: Time,
    /// A promise that an effect has broken.
    broken: Option<String>,
}

impl World {
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>, keep_log: bool) -> Self {
        let mut rng = Rng::new(seed);
        let topology = stack::random(&mut rng);
        let mut world = Self {
            seed,
            rng,
            now: Time(1_000_000),
            missed_by: Time(0),
            frozen_until: Time(0),
            trouble_until: Time(0),
            broken: None,
            asks_again_at: Time(0),
            engine: Engine::new(seed),
            chaos: true,
            files: Files { topology: topology.clone(), ..Files::default() },
            topology,
            sources: BTreeMap::new(),
            trees: BTreeMap::new(),
            routes: BTreeMap::new(),
            formers: BTreeMap::new(),
            closed: BTreeSet::new(),
            promises: Promises::default(),
            coverage: Coverage::default(),
            log: Vec::new(),
            steps: 0,
            keep_log,
            mutation,
            saved: None,
            life: 0,
            awake: true,
            later: BTreeMap::new(),
            sequence: 0,
            pids: 100,
            present: BTreeSet::new(),
            exited: false,
            acts: 0,
        };
        world.new_engine();
        world
    }

    fn new_engine(&mut self) {
        let seed = self.seed ^ self.life;
        self.engine = match self.mutation {
            Some(mutation) => Engine::with_mutation(seed, mutation),
            None => Engine::new(seed),
        };
    }

    pub(crate) fn operate(&mut self, command: Command) -> Result<(), String> {
        if !self.awake {
            return Ok(());
        }
        let operation = self.engine.next_operation();
        self.give(Event::Command { operation, command, by: Cause::User(None) })
    }

    fn awake(&mut self) -> Result<(), String> {
        self.new_engine();
        self.awake = true;
        let found = self.found();
        self.restore(false, found)
    }

    /// Another supervisor begins; with `launched`, because somebody starts the stack.
    fn restore(&mut self, launched: bool, found: Vec<Found>) -> Result<(), String> {
        self.promises.supervisor_is_new();
        self.files.supervisor_is_new();
        self.sources.clear();
        let saved = self.saved.clone().map(Box::new);
        self.give(Event::Restored { launched, saved, found })?;
        self.look_at_files();
        Ok(())
    }

    /// What a new supervisor finds. A shim takes orders from the newest supervisor only: what an older one said and was
    /// not carried out yet is void.
    fn found(&mut self) -> Vec<Found> {
        for tree in self.trees.values_mut() {
            tree.ordered = None;
            tree.line = tree.shim && !tree.stopped;
            tree.number = 0;
        }
        let all = self.trees.iter().filter_map(|(id, tree)| {
            Some(Found {
                instance: id.clone(),
                invocation: tree.invocation,
                ports: tree.ports.clone(),
                restarts: tree.restarts,
                failures: tree.failures,
                life: tree.life()?,
            })
        });
        all.collect()
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, span: Duration) -> Result<(), String> {
        let until = self.now + span;
        loop {
            let next = self.later.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.engine.deadline().filter(|_| self.awake && !self.exited);
            let deadline = deadline.map(|at| at.max(self.frozen_until));
            let at = match (next, deadline) {
                (Some(next), Some(deadline)) => next.min(deadline),
                (Some(next), None) => next,
                (None, Some(deadline)) => deadline,
                (None, None) => break,
            };
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            match self.later.first_key_value().map(|(key, _)| *key) {
                Some(key) if key.0 <= at => {
                    let later = self.later.remove(&key);
                    if let Some(later) = later {
                        self.happen(later)?;
                    }
                }
                _ => self.give(Event::Tick)?,
            }
        }
        self.now = until;
        Ok(())
    }

    fn at(&mut self, after: Duration, later: Later) {
        self.sequence += 1;
        self.later.insert((self.now + after, self.sequence), later);
    }

    fn tell_soon(&mut self, event: Event) {
        let pause = self.rng.millis(0, 15);
        self.tell_after(pause, event);
    }

    fn tell_after(&mut self, pause: Duration, event: Event) {
        let life = self.life;
        self.at(pause, Later::Tell(life, event));
    }

    pub(crate) fn note(&mut self, text: &str) {
        if self.keep_log {
            self.log.push(format!("{} {text}", self.now));
        }
    }

    /// Gives the engine an event, checks what it makes of it, and begins the effects.
    fn give(&mut self, event: Event) -> Result<(), String> {
        if self.keep_log {
            let text = format!("{event:?}");
            self.note(&format!("> {}", text.chars().take(300).collect::<String>()));
        }
        self.steps += 1;
        self.coverage.count(&self.engine, &event);
        let mut promises = std::mem::take(&mut self.promises);
        promises.before(self, &event);
        if matches!(event, Event::Loaded(_) | Event::Rejected(_)) {
            self.files.under_way = None;
        }
        let actions = self.engine.step(self.now, &event);
        for action in &actions {
            if self.keep_log {
                let text = format!("{action:?}");
                self.note(&format!("    < {}", text.chars().take(200).collect::<String>()));
            }
        }
        let checked = promises.after(self, &event, &actions);
        self.promises = promises;
        checked?;
        self.forget_ended_trials();
        for action in actions {
            self.begin_effect(action);
        }
        self.check_files()?;
        self.broken.take().map_or(Ok(()), Err)
    }

    fn give_if_awake(&mut self, event: Event) -> Result<(), String> {
        if self.awake && !self.exited { self.give(event) } else { Ok(()) }
    }

    fn happen(&mut self, later: Later) -> Result<(), String> {
        match later {
            // Whoever stands still hears it when he goes on.
            Later::Tell(..) | Later::Say(..) | Later::Dead(..) | Later::Read(_) | Later::Look(_)
                if self.now < self.frozen_until =>
            {
                self.at(self.frozen_until - self.now, later);
                Ok(())
            }
            Later::Tell(life, event) if life == self.life => self.give_if_awake(event),
            Later::Say((life, id, shim), event) => {
                let has_line = self.trees.get(&id).is_some_and(|tree| tree.line && tree.shims == shim);
                if life == self.life && has_line { self.give_if_awake(event) } else { Ok(()) }
            }
            Later::Attend(life, id, shim) => self.attend(life, &id, shim),
            Later::Silent(life, id, shim) => {
                self.silent(life, id, shim);
                Ok(())
            }
            Later::Dead(life, id, shim) => self.dead(life, id, shim),
            Later::Wake(id, shim) => {
                self.wake(&id, shim);
                Ok(())
            }
            Later::Read(life) if life == self.life && self.awake => self.read(),
            Later::Look(life) if life == self.life && self.awake => self.tell_files(),
            Later::Tell(..) | Later::Read(_) | Later::Look(_) => Ok(()),
            Later::Exec(order) => self.exec(&order),
            Later::End(invocation, exit) => {
                // In calm nothing crashes; one-shots still come to their end.
                let spec = self.engine.spec(&invocation.instance);
                if self.chaos || spec.is_none_or(|spec| stack::is_one_shot(spec)) {
                    self.leader_ends(&invocation, exit);
                }
                Ok(())
            }
            Later::Obey(invocation, exit) => {
                self.leader_ends(&invocation, exit);
                Ok(())
            }
            Later::Empty(invocation) => {
                self.leftovers_end(&invocation);
                Ok(())
            }
            Later::Awake => self.awake(),
            // A supervisor that died writes nothing any more.
            Later::Write(life, ..) if life != self.life => Ok(()),
            Later::Write(_, table) => {
                let (service, version) = (table.service.clone(), table.version);
                if self.fault("what comes of the pointers is lost", 3) {
                    self.missed_by = self.now + LOST;
                    // They may be written or not.
                    if self.rng.percent(50) {
                        self.write(table);
                    }
                } else if self.fault("the edge's pointers fail", 20) {
                    self.tell_after(Duration::ZERO, Event::Routed { service, version, result: Err("no space".into()) });
                } else {
                    self.write(table);
                    self.tell_soon(Event::Routed { service, version, result: Ok(()) });
                }
                Ok(())
            }
        }
    }

    /// The edge's pointers are these now.
    fn write(&mut self, table: RouteTable) {
        self.close(&table);
        self.formers.insert(table.service.clone(), table.former.map(|former| former.targets).unwrap_or_default());
        // What gets no share is not asked, whatever its pointers name.
        let is_open = table.trial.is_none_or(|trial| trial.is_open);
        self.routes.insert(table.service, if is_open { table.targets } else { Vec::new() });
    }

    /// Whether a client of the edge still holds a connection to an instance.
    pub(crate) fn is_connected(&self, id: &InstanceId) -> bool {
        self.trees.get(id).is_some_and(|tree| tree.leader.is_some() && tree.connected_until > self.now)
    }

    /// Instances that the engine holds for alive.
    pub(crate) fn live(&self) -> BTreeSet<InstanceId> {
        let live = self.engine.instances().filter(|(_, phase, _)| {
            matches!(
                phase,
                PhaseName::Starting
                    | PhaseName::Probing
                    | PhaseName::Ready
                    | PhaseName::Draining
                    | PhaseName::Warm
                    | PhaseName::Stopping
            )
        });
        live.map(|(id, ..)| id.clone()).collect()
    }
}
