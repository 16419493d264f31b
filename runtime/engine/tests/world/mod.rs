//! A world without processes, for the engine: trees, shims, an edge, and time that jumps.
//!
//! The world carries out what the engine asks, with faults, and tells it what happened, late. It keeps its own truth
//! and compares every action with the promises (`promises`); what it finds broken ends the history with a message.

pub(crate) mod coverage;
pub(crate) mod promises;
pub(crate) mod rng;
pub(crate) mod stack;
pub(crate) mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_engine::action::{Action, Scope, StartOrder, Target};
use core_engine::event::{Command, Event, Found, Life, Loaded, ProbeKind};
use core_engine::exit::{Exit, Failure};
use core_engine::mutation::Mutation;
use core_engine::phase::PhaseName;
use core_engine::{Engine, InstanceId, InvocationId, Saved, Time, Topology};
use core_manifest::{Problem, ServiceName};

use coverage::Coverage;
use promises::Promises;
use rng::Rng;
use tree::Tree;

/// How often each fault happens, in percent, while there is chaos.
#[derive(Clone, Copy)]
pub(crate) struct Chaos {
    pub(crate) on: bool,
}

/// What happens later.
#[derive(Clone, Debug)]
enum Later {
    /// The engine of this life is told.
    Tell(u64, Event),
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
    /// Pointers get written.
    Write(u64, ServiceName, u64, Vec<Target>),
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) now: Time,
    pub(crate) engine: Engine,
    pub(crate) chaos: Chaos,
    pub(crate) topology: Topology,
    pub(crate) trees: BTreeMap<InstanceId, Tree>,
    pub(crate) routes: BTreeMap<ServiceName, Vec<Target>>,
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
    operations: u64,
    /// Folders that are there.
    present: BTreeSet<String>,
    exited: bool,
    acts: u32,
}

impl World {
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>, keep_log: bool) -> Self {
        let mut rng = Rng::new(seed);
        let topology = stack::random(&mut rng);
        let mut world = Self {
            seed,
            rng,
            now: Time(1_000_000),
            engine: Engine::new(seed),
            chaos: Chaos { on: true },
            topology,
            trees: BTreeMap::new(),
            routes: BTreeMap::new(),
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
            operations: 0,
            present: BTreeSet::new(),
            exited: false,
            acts: 0,
        };
        world.new_engine();
        world
    }

    /// One whole history: chaos, then calm, then the end.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(crate) fn history(&mut self) -> Result<(), String> {
        self.begin()?;
        let acts = 7 + self.rng.below(8);
        for _ in 0..acts {
            let pause = self.rng.millis(1, 4000);
            self.run_for(pause)?;
            self.act()?;
        }
        let pause = self.rng.millis(1, 5000);
        self.run_for(pause)?;
        self.calm_down()?;
        // And nothing happens any more.
        self.promises.calm = true;
        self.run_for(Duration::from_secs(7))?;
        self.promises.calm = false;
        self.end()
    }

    fn begin(&mut self) -> Result<(), String> {
        self.give(Event::Restored { saved: None, found: Vec::new() })?;
        self.load(false)?;
        self.operate(Command::Up { services: Vec::new(), timeout: None })
    }

    fn new_engine(&mut self) {
        let seed = self.seed ^ self.life;
        self.engine = match self.mutation {
            Some(mutation) => Engine::with_mutation(seed, mutation),
            None => Engine::new(seed),
        };
    }

    pub(crate) fn load(&mut self, again: bool) -> Result<(), String> {
        if !self.awake {
            return Ok(());
        }
        let loaded = Loaded {
            topology: self.topology.clone(),
            present: self.present.clone(),
            ports: BTreeMap::new(),
            range: core_engine::topology::PortRange::default(),
            again,
            select: Vec::new(),
        };
        self.give(Event::Loaded(loaded))
    }

    pub(crate) fn operate(&mut self, command: Command) -> Result<(), String> {
        if !self.awake {
            return Ok(());
        }
        self.operations += 1;
        let operation = self.operations;
        self.give(Event::Command { operation, command })
    }

    /// Somebody does something: an edit, a command, a fault of ours.
    fn act(&mut self) -> Result<(), String> {
        self.acts += 1;
        if !self.awake {
            return Ok(());
        }
        let names: Vec<ServiceName> = self.topology.services.keys().cloned().collect();
        let one = self.rng.pick(&names).clone();
        match self.rng.below(20) {
            0..=7 => {
                let old = self.topology.clone();
                self.topology = stack::edit(&mut self.rng, &old);
                self.load(false)
            }
            8 | 9 => self.vanish(),
            10 => self.operate(Command::Restart { services: vec![one] }),
            11 => self.operate(Command::Stop { services: vec![one] }),
            12 => self.operate(Command::Start { services: vec![one] }),
            13 => self.operate(Command::Up { services: vec![one], timeout: None }),
            14 => {
                let replicas = 1 + u32::try_from(self.rng.below(3)).unwrap_or(0);
                self.operate(Command::Scale { service: one, replicas })
            }
            15 => self.give(Event::Rejected(vec![Problem::of_service("a", "syntax", "broken".into())])),
            16 => {
                let again = self.rng.percent(50);
                self.load(again)
            }
            17 | 19 => self.lose_a_shim(),
            18 => {
                let kill = self.rng.percent(30);
                self.operate(if kill { Command::Kill } else { Command::Down })?;
                let pause = self.rng.millis(1, 3000);
                self.run_for(pause)?;
                if !self.exited {
                    return self.operate(Command::Up { services: Vec::new(), timeout: None });
                }
                Ok(())
            }
            _ => self.vanish(),
        }?;
        if self.exited { self.restart_stack() } else { Ok(()) }
    }

    /// The stack has ended; somebody brings it up again.
    fn restart_stack(&mut self) -> Result<(), String> {
        self.promises.check_gone(self)?;
        self.exited = false;
        self.trees.clear();
        self.routes.clear();
        self.promises.forget();
        self.life += 1;
        self.new_engine();
        self.awake = true;
        let saved = self.saved.clone().map(Box::new);
        self.give(Event::Restored { saved, found: Vec::new() })?;
        self.load(false)?;
        self.operate(Command::Up { services: Vec::new(), timeout: None })
    }

    /// The supervisor is killed; in a while another begins.
    fn vanish(&mut self) -> Result<(), String> {
        self.note("the supervisor vanishes");
        self.life += 1;
        self.awake = false;
        let pause = self.rng.millis(1, 800);
        self.at(pause, Later::Awake);
        Ok(())
    }

    fn awake(&mut self) -> Result<(), String> {
        self.new_engine();
        self.awake = true;
        let found = self.found();
        self.promises.supervisor_is_new();
        let saved = self.saved.clone().map(Box::new);
        self.give(Event::Restored { saved, found })?;
        if self.exited { Ok(()) } else { self.load(false) }
    }

    /// What a new supervisor finds. A shim takes orders from the newest supervisor only: what an older one said and was
    /// not carried out yet is void.
    fn found(&mut self) -> Vec<Found> {
        for tree in self.trees.values_mut() {
            tree.ordered = None;
            tree.lost = false;
            tree.adopting = false;
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

    fn lose_a_shim(&mut self) -> Result<(), String> {
        let with_shim: Vec<InstanceId> =
            self.trees.iter().filter(|(_, tree)| tree.shim && !tree.adopting).map(|(id, _)| id.clone()).collect();
        if with_shim.is_empty() {
            return Ok(());
        }
        let id = self.rng.pick(&with_shim).clone();
        self.note(&format!("the shim of {id} dies"));
        if let Some(tree) = self.trees.get_mut(&id) {
            tree.shim = false;
            tree.lost = true;
            tree.ordered = None;
        }
        let pause = self.rng.millis(0, 600);
        self.tell_after(pause, Event::ShimLost { instance: id });
        Ok(())
    }

    /// No more faults; everything is mended and tried again, until nothing happens any more.
    fn calm_down(&mut self) -> Result<(), String> {
        self.chaos.on = false;
        self.note("calm");
        for tree in self.trees.values_mut() {
            tree.mend(self.now);
        }
        // Whoever is still on the way of waking up.
        self.run_for(Duration::from_secs(2))?;
        if self.exited {
            self.restart_stack()?;
        }
        self.load(true)?;
        self.run_for(Duration::from_secs(1))?;
        let names: Vec<ServiceName> = self.topology.services.keys().cloned().collect();
        self.operate(Command::Up { services: Vec::new(), timeout: None })?;
        self.run_for(Duration::from_secs(2))?;
        self.operate(Command::Start { services: names })?;
        for _ in 0..120 {
            self.run_for(Duration::from_secs(1))?;
            if self.check_calm().is_ok() {
                return Ok(());
            }
        }
        self.check_calm()
    }

    fn end(&mut self) -> Result<(), String> {
        self.operate(Command::Down)?;
        let longest: Duration =
            self.topology.services.values().map(|spec| spec.shutdown.timeout + spec.update.drain).sum();
        self.run_for(longest * 2 + Duration::from_secs(30))?;
        if !self.exited {
            return Err("the stack did not end in its time".into());
        }
        self.promises.check_gone(self)
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, span: Duration) -> Result<(), String> {
        let until = self.now + span;
        loop {
            let next = self.later.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.engine.deadline().filter(|_| self.awake && !self.exited);
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
        for action in actions {
            self.begin_effect(action);
        }
        Ok(())
    }

    fn happen(&mut self, later: Later) -> Result<(), String> {
        match later {
            Later::Tell(life, event) if life == self.life && self.awake && !self.exited => {
                if let Event::Adopted { instance, .. } = &event
                    && let Some(tree) = self.trees.get_mut(instance)
                {
                    tree.adopting = false;
                }
                self.give(event)
            }
            Later::Tell(..) => Ok(()),
            Later::Exec(order) => self.exec(&order),
            Later::End(invocation, exit) => {
                // In calm nothing crashes; one-shots still come to their end.
                let spec = self.engine.spec(&invocation.instance);
                if self.chaos.on || spec.is_none_or(|spec| stack::is_one_shot(spec)) {
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
            Later::Write(_, service, version, targets) => {
                if self.chaos.on && self.rng.percent(7) {
                    self.tell_after(Duration::ZERO, Event::Routed { service, version, result: Err("no space".into()) });
                } else {
                    self.routes.insert(service.clone(), targets);
                    self.tell_soon(Event::Routed { service, version, result: Ok(()) });
                }
                Ok(())
            }
        }
    }

    fn begin_effect(&mut self, action: Action) {
        match action {
            Action::Save => self.saved = Some(self.engine.saved()),
            Action::Prepare { folder, .. } => {
                let result = if self.chaos.on && self.rng.percent(15) {
                    Err("no such file".to_owned())
                } else {
                    self.present.insert(folder.clone());
                    Ok(())
                };
                let pause = self.rng.millis(1, 4000);
                self.tell_after(pause, Event::Prepared { folder, result });
            }
            Action::Start(order) => {
                let tree = self.trees.entry(order.invocation.instance.clone()).or_default();
                // The order cannot reach a shim that is dead; that it is will be told.
                if tree.lost {
                    return;
                }
                tree.prepare(&order);
                let pause = self.rng.millis(0, if self.chaos.on && self.rng.clone().percent(5) { 3000 } else { 20 });
                self.at(pause, Later::Exec(order));
            }
            Action::Signal { invocation, scope, .. } => self.signal(&invocation, scope == Scope::Tree),
            Action::ShutdownCommand { invocation, .. } => self.signal(&invocation, false),
            Action::Kill { invocation } => self.kill(&invocation),
            Action::Release { instance } => {
                if let Some(tree) = self.trees.get_mut(&instance) {
                    tree.shim = false;
                    tree.lost = false;
                }
                if self.engine.phase(&instance).is_none() {
                    self.trees.remove(&instance);
                }
            }
            Action::Adopt { instance } => {
                let pause = self.rng.millis(1, 200);
                let tree = self.trees.entry(instance.clone()).or_default();
                tree.shim = true;
                tree.lost = false;
                tree.adopting = true;
                let life = tree.life().unwrap_or(Life::Idle);
                let invocation = tree.invocation;
                self.tell_after(pause, Event::Adopted { instance, invocation, life });
            }
            Action::Probe { invocation, probe, .. } => self.probe(invocation, probe),
            Action::Count { instance, .. } => {
                let established = u32::from(self.is_connected(&instance));
                self.tell_soon(Event::Counted { instance, established });
            }
            Action::Route(table) => {
                let slow = self.chaos.on && self.rng.percent(5);
                let pause = self.rng.millis(0, if slow { 3000 } else { 25 });
                let life = self.life;
                self.at(pause, Later::Write(life, table.service, table.version, table.targets));
            }
            Action::Exit { .. } => {
                self.exited = true;
                self.awake = false;
                self.life += 1;
            }
        }
    }

    fn exec(&mut self, order: &StartOrder) -> Result<(), String> {
        let id = order.invocation.instance.clone();
        let invocation = order.invocation.clone();
        let chaos = self.chaos.on;
        let (fails, taken) = (chaos && self.rng.percent(6), chaos && self.rng.percent(4));
        let Some(tree) = self.trees.get(&id) else { return Ok(()) };
        // The order reached no shim, or an older one than the present.
        if tree.ordered != Some(order.invocation.number) {
            return Ok(());
        }
        if tree.is_alive() {
            return Err(format!("{} is started while something of {id} lives", order.invocation));
        }
        self.promises.check_slot(self, order)?;
        if fails || taken {
            if let Some(tree) = self.trees.get_mut(&id) {
                tree.invocation = tree.ordered.take().unwrap_or(tree.invocation);
                tree.exit = Some(Exit::Code(126));
            }
            let failure = match order.ports.values().next() {
                Some(port) if taken => Failure::PortTaken { port: *port, owner: "a stranger".into() },
                _ => Failure::Exec { stage: "exec".into(), message: "no such file".into() },
            };
            self.tell_soon(Event::StartFailed { invocation, failure });
            return Ok(());
        }
        self.pids += 1;
        let pid = self.pids;
        let plan = tree::Plan::new(&mut self.rng, chaos, &order.spec, self.now);
        if let Some((after, exit)) = plan.ends {
            self.at(after, Later::End(invocation.clone(), exit));
        }
        if let Some(tree) = self.trees.get_mut(&id) {
            tree.run(pid, plan);
        }
        let slow = chaos && self.rng.percent(4);
        let pause = self.rng.millis(0, if slow { 1500 } else { 15 });
        self.tell_after(pause, Event::Started { invocation, pid });
        Ok(())
    }

    fn leader_ends(&mut self, invocation: &InvocationId, exit: Exit) {
        let leaves_some = self.chaos.on && self.rng.percent(15);
        let Some(tree) = self.trees.get_mut(&invocation.instance) else { return };
        if tree.invocation != invocation.number || tree.leader.is_none() {
            return;
        }
        tree.leader = None;
        tree.exit = Some(exit);
        let leftovers = leaves_some && exit != Exit::Signal(9);
        tree.leftovers = leftovers;
        if tree.shim {
            self.tell_soon_in_order(invocation, Event::Exited { invocation: invocation.clone(), exit, leftovers });
        }
    }

    /// What a shim says stays in order.
    fn tell_soon_in_order(&mut self, invocation: &InvocationId, event: Event) {
        let started = self.later.iter().rev().find_map(|((at, _), later)| match later {
            Later::Tell(_, Event::Started { invocation: told, .. } | Event::Exited { invocation: told, .. })
                if told == invocation =>
            {
                Some(*at)
            }
            _ => None,
        });
        let pause = self.rng.millis(0, 15);
        let after = started.map_or(Duration::ZERO, |at| at - self.now);
        self.tell_after(after + pause, event);
    }

    fn leftovers_end(&mut self, invocation: &InvocationId) {
        let Some(tree) = self.trees.get_mut(&invocation.instance) else { return };
        if tree.invocation != invocation.number || !tree.leftovers {
            return;
        }
        tree.leftovers = false;
        if tree.shim && tree.leader.is_none() {
            self.tell_soon_in_order(invocation, Event::Emptied { invocation: invocation.clone() });
        }
    }

    /// A signal that asks. It reaches its target only through a shim.
    fn signal(&mut self, invocation: &InvocationId, whole_tree: bool) {
        let chaos = self.chaos.on;
        let obeys = !(chaos && self.rng.percent(20));
        let pause = self.rng.millis(1, if chaos && self.rng.clone().percent(20) { 6000 } else { 300 });
        let Some(tree) = self.trees.get(&invocation.instance) else { return };
        if !tree.shim || tree.invocation != invocation.number {
            return;
        }
        if tree.leader.is_some() && obeys {
            self.at(pause, Later::Obey(invocation.clone(), Exit::Signal(15)));
        } else if tree.leftovers && whole_tree && obeys {
            self.at(pause, Later::Empty(invocation.clone()));
        }
    }

    fn kill(&mut self, invocation: &InvocationId) {
        let misses = self.chaos.on && self.rng.percent(5);
        let pause = self.rng.millis(0, 30);
        let Some(tree) = self.trees.get_mut(&invocation.instance) else { return };
        if !tree.shim || misses {
            return;
        }
        // A start that has not been carried out yet is called off.
        if tree.ordered == Some(invocation.number) {
            tree.invocation = tree.ordered.take().unwrap_or(tree.invocation);
            tree.exit = Some(Exit::Signal(9));
            let exit = Exit::Signal(9);
            self.tell_soon(Event::Exited { invocation: invocation.clone(), exit, leftovers: false });
            return;
        }
        if tree.invocation != invocation.number {
            // Nothing of such an invocation lives.
            self.tell_soon(Event::Emptied { invocation: invocation.clone() });
            return;
        }
        if tree.leader.is_some() {
            self.at(pause, Later::Obey(invocation.clone(), Exit::Signal(9)));
        } else if tree.leftovers {
            self.at(pause, Later::Empty(invocation.clone()));
        } else {
            // Nothing is left: the shim says so again.
            self.tell_soon(Event::Emptied { invocation: invocation.clone() });
        }
    }

    fn probe(&mut self, invocation: InvocationId, probe: ProbeKind) {
        let chaos = self.chaos.on;
        let slow = chaos && self.rng.percent(4);
        let pause = self.rng.millis(0, if slow { 2500 } else { 20 });
        let good = self.trees.get(&invocation.instance).is_some_and(|tree| {
            tree.invocation == invocation.number && tree.answers(probe == ProbeKind::Liveness, self.now)
        });
        let result = if good { Ok(()) } else { Err("connection refused".to_owned()) };
        self.tell_after(pause, Event::Probed { invocation, probe, result });
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
                PhaseName::Starting | PhaseName::Probing | PhaseName::Ready | PhaseName::Draining | PhaseName::Stopping
            )
        });
        live.map(|(id, ..)| id.clone()).collect()
    }
}
