//! A few faults with small pauses, what somebody asks for meanwhile, and then the time in which all is to be well again.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hyper::Method;

use super::dice::Dice;
use super::fault::{Door, Fault, Order, Part};
use super::knock::knock;
use super::life::{Life, known};
use super::squeeze;
use super::tally::{Broken, Figures};
use super::tried::{Begun, tail};
use super::world::World;
use crate::common::load::{Load, Shape};
use crate::common::proc;
use core_shim::place::Place;

/// Within which all is to be well again. The promise is 2 s; the rest is for machines that do something else, too.
pub(super) const WELL: Duration = Duration::from_secs(10);
/// How long a command may take after that.
pub(super) const COMMAND: Duration = Duration::from_secs(30);
/// How long neither keeper nor supervisor may be there before somebody brings the stack up again.
const GONE: Duration = Duration::from_millis(700);
/// How long something that is short stays so.
const SHORT: Duration = Duration::from_secs(1);
/// How long `core status` may take.
const STATUS: Duration = Duration::from_secs(5);

/// What is to be done later.
enum Later {
    Wake(Vec<u32>),
    Ease,
}

/// A sequence that is under way.
pub(crate) struct Sequence<'a> {
    pub(crate) life: &'a mut Life,
    dice: Dice,
    began: Instant,
    told: Vec<String>,
    later: Vec<(Instant, Later)>,
    held: Vec<UnixStream>,
    pub(super) commands: Vec<(Option<Order>, Begun)>,
    /// Services that something was done to.
    pub(crate) touched: BTreeSet<&'static str>,
    /// Services that may have missed requests.
    pub(super) disturbed: BTreeSet<&'static str>,
    /// Services whose shim was killed, or held.
    pub(crate) unattended: BTreeSet<&'static str>,
    pub(crate) keeper_was_killed: bool,
    /// Wall clock at its beginning, nanoseconds.
    pub(crate) began_ns: u64,
    /// Lines of `chatty` that were written when the faults were over, by mark.
    pub(crate) floor: Option<(String, u64)>,
    /// What can never be put right.
    pub(crate) broken: Vec<String>,
}

/// Looks at a stack to which nothing was done as far as this knows. Returns what is not well.
pub(crate) fn look(life: &mut Life) -> Vec<String> {
    Sequence::new(life, 0).settle(&mut Figures::default())
}

/// Runs one. Adds to the figures what came of it.
///
/// # Errors
/// Says what was broken.
pub(crate) fn run(life: &mut Life, seed: u64, only: &[String], figures: &mut Figures) -> Result<(), Broken> {
    let root = life.stack.root.clone();
    let mut one = Sequence::new(life, seed);
    let loads = [true, false].map(|fresh| {
        Load::begin(Shape {
            address: format!("127.0.0.1:{}", one.life.port),
            asks: vec![(Method::GET, "/".into())],
            clients: 1,
            rate: Some(50),
            fresh,
            headers: Vec::new(),
            tls: None,
        })
    });
    one.inject(only, figures);
    let mut lacks = one.settle(figures);
    for load in loads {
        let outcome = load.end();
        figures.requests += outcome.samples.len();
        if let Some(failed) = outcome.failures().first().filter(|_| !one.disturbed.contains("web")) {
            let (count, why) = (outcome.failures().len(), failed.failure.clone().unwrap_or_default());
            lacks.push(format!("{count} requests failed, the first at {:.2} s: {why}", failed.due.as_secs_f64()));
        }
    }
    if lacks.is_empty() {
        lacks = one.make_sure();
    }
    if lacks.is_empty() {
        return Ok(());
    }
    let Sequence { told, life, .. } = one;
    Err(Broken { seed, told, lacks, log: tail(&life.stack.own_log(), 30), folder: root })
}

impl<'a> Sequence<'a> {
    fn new(life: &'a mut Life, seed: u64) -> Self {
        Self {
            life,
            dice: Dice::new(seed),
            began: Instant::now(),
            told: Vec::new(),
            later: Vec::new(),
            held: Vec::new(),
            commands: Vec::new(),
            touched: BTreeSet::new(),
            disturbed: BTreeSet::new(),
            unattended: BTreeSet::new(),
            keeper_was_killed: false,
            began_ns: core_shim::sys::wall_ns(),
            floor: None,
            broken: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, text: &str) {
        self.told.push(format!("{:6.3} s  {text}", self.began.elapsed().as_secs_f64()));
    }

    fn inject(&mut self, only: &[String], figures: &mut Figures) {
        for _ in 0..3 + self.dice.below(6) {
            let fault = Fault::any_of(&mut self.dice, only);
            *figures.faults.entry(fault.name()).or_default() += 1;
            self.tell(&format!("{fault:?}"));
            self.carry_out(&fault);
            let pause = if self.dice.once_in(4) { Duration::ZERO } else { self.dice.millis(2, 200) };
            self.pass(pause);
            self.look();
        }
        // What is short is so for its second, and whoever is held for a time is let go when that is over.
        while let Some(at) = self.later.iter().map(|(at, _)| *at).max() {
            self.pass(at.saturating_duration_since(Instant::now()));
        }
        self.look();
    }

    /// Lets time pass, and does what is due.
    fn pass(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        loop {
            let now = Instant::now();
            let (due, rest) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
            self.later = rest;
            let due: Vec<(Instant, Later)> = due;
            for (_, later) in due {
                self.undo(&later);
            }
            self.poll_commands();
            if now >= until {
                return;
            }
            let next = self.later.iter().map(|(at, _)| *at).min().unwrap_or(until).min(until);
            std::thread::park_timeout(next.saturating_duration_since(now).min(Duration::from_millis(20)));
        }
    }

    fn undo(&mut self, later: &Later) {
        match later {
            Later::Wake(pids) => pids.iter().for_each(|pid| proc::send(*pid, "CONT")),
            // Who was begun meanwhile has inherited it.
            Later::Ease => {
                self.life.group.iter().for_each(squeeze::Processes::ease);
                self.life.stack.everybody().iter().for_each(|one| squeeze::ease(one.pid));
            }
        }
    }

    /// What is so only for a moment is seen only by whoever looks in that moment.
    fn look(&mut self) {
        let twice = World::of(&self.life.stack).twice();
        self.broken.extend(twice);
    }

    fn pids(&self, world: &World, part: Part) -> Vec<u32> {
        let shim_of = |role: &str| {
            let starts = format!("{}-", self.life.stack.name(role));
            world.shims.iter().filter(|(name, _)| name.starts_with(&starts)).map(|(_, one)| one.pid).collect()
        };
        match part {
            Part::Keeper => world.keepers.iter().map(|one| one.pid).collect(),
            Part::Supervisor => world.supervisors.iter().map(|one| one.pid).collect(),
            Part::Shim(role) => shim_of(role),
            Part::Service(role) => world.of_role(role).map(|one| one.process.pid).collect(),
        }
    }

    fn carry_out(&mut self, fault: &Fault) {
        let world = World::of(&self.life.stack);
        match fault {
            Fault::Kill(parts) => {
                let pids: Vec<u32> = parts.iter().flat_map(|part| self.pids(&world, *part)).collect();
                for part in parts {
                    self.touch(*part, true);
                }
                pids.into_iter().for_each(proc::kill);
            }
            Fault::KillAllOfOurs => {
                self.unattended.extend(super::fault::ROLES);
                self.unattended.insert("once");
                self.keeper_was_killed = true;
                // Held first, or one would put another in the place of the other.
                for _ in 0..3 {
                    World::of(&self.life.stack).ours().iter().for_each(|one| proc::send(one.pid, "STOP"));
                }
                World::of(&self.life.stack).ours().iter().for_each(|one| proc::kill(one.pid));
            }
            Fault::Pause(parts, length) => {
                let pids = self.stop(&world, parts);
                self.later.push((Instant::now() + *length, Later::Wake(pids)));
            }
            Fault::Hold(parts) => {
                self.stop(&world, parts);
            }
            Fault::Files(part) => {
                for pid in self.pids(&world, *part) {
                    squeeze::files(pid);
                }
                self.later.push((Instant::now() + SHORT, Later::Ease));
            }
            Fault::Processes => {
                for one in world.ours() {
                    match &self.life.group {
                        Some(group) => group.take(one.pid),
                        None => squeeze::processes(one.pid),
                    };
                }
                self.life.group.iter().for_each(|group| {
                    group.squeeze();
                });
                self.later.push((Instant::now() + SHORT, Later::Ease));
            }
            Fault::Knock(door, manner) => {
                let Some(run) = self.life.stack.run_folder() else { return };
                let path = match door {
                    Door::Control => Some(run.join("core.sock")),
                    Door::Shim(role) => {
                        let starts = format!("{}-", self.life.stack.name(role));
                        let shim = world.shims.iter().find(|(name, _)| name.starts_with(&starts));
                        shim.map(|(name, _)| Place::new(&run, name).socket())
                    }
                };
                let held = path.map(|path: PathBuf| knock(&path, *manner, &mut self.dice)).unwrap_or_default();
                self.held.extend(held);
            }
            Fault::Crash(code) => {
                self.touched.insert("crasher");
                self.life.stack.write("crash.new", &code.to_string());
                let _ = std::fs::rename(self.life.stack.root.join("crash.new"), self.life.stack.root.join("crash"));
            }
            Fault::Flood => self.life.stack.write("flood", ""),
            Fault::Order(order) => self.order(*order),
        }
    }

    fn touch(&mut self, part: Part, is_killed: bool) {
        match part {
            Part::Keeper => self.keeper_was_killed |= is_killed,
            Part::Supervisor => {}
            Part::Shim(role) => {
                self.unattended.insert(role);
            }
            Part::Service(role) => {
                self.disturbed.insert(role);
                if is_killed {
                    self.touched.insert(role);
                }
            }
        }
    }

    fn stop(&mut self, world: &World, parts: &[Part]) -> Vec<u32> {
        let pids: Vec<u32> = parts.iter().flat_map(|part| self.pids(world, *part)).collect();
        for part in parts {
            self.touch(*part, false);
        }
        for pid in &pids {
            proc::send(*pid, "STOP");
        }
        pids
    }

    /// Whoever is held goes on, whoever is gone is brought up again; then all is to be well. Returns what is not.
    fn settle(&mut self, figures: &mut Figures) -> Vec<String> {
        self.held.clear();
        for one in self.life.stack.everybody().iter().filter(|one| one.state == 'T') {
            proc::send(one.pid, "CONT");
        }
        self.tell("all go on");
        let began = Instant::now();
        // Since when all could be well: somebody must bring up again what is gone. And since when it is.
        let (mut could_be, mut is_well) = (began, None);
        let mut gone_since = None;
        self.floor = self.floor_of_chatty();
        loop {
            self.poll_commands();
            let world = World::of(&self.life.stack);
            self.broken.extend(world.twice());
            let is_gone = world.keepers.is_empty() && world.supervisors.is_empty();
            gone_since = if is_gone { gone_since.or(Some(Instant::now())) } else { None };
            let is_coming = self.commands.iter().any(|(order, _)| order.is_none());
            if gone_since.is_some_and(|since: Instant| since.elapsed() > GONE) && !is_coming {
                self.tell("neither keeper nor supervisor is there: core up -d");
                // That brings up what was stopped, too.
                if self.life.forks.contains(&0) {
                    self.life.forks.insert(1);
                    self.touched.insert("forks");
                }
                could_be = Instant::now();
                let begun = self.life.stack.begin(&["up", "-d"]);
                self.commands.push((None, begun));
            }
            let lacks = self.lacks(&world);
            if !self.broken.is_empty() {
                self.broken.dedup();
                return std::mem::take(&mut self.broken);
            }
            let now = Instant::now();
            is_well = if lacks.is_empty() { is_well.or(Some(now)) } else { None };
            if self.commands.is_empty()
                && let Some(well) = is_well
            {
                let asked = Instant::now();
                let said = self.life.stack.begin(&["status"]).within(STATUS);
                figures.status.push(asked.elapsed());
                figures.well.push(well.saturating_duration_since(could_be));
                self.life.known = known(&world);
                return match said {
                    Some(said) if said.code == 0 => Vec::new(),
                    Some(said) => vec![format!("`core status` ended with {}: {}", said.code, said.err)],
                    None => vec![format!("`core status` did not answer within {} s", STATUS.as_secs())],
                };
            }
            let limit = if lacks.is_empty() { COMMAND } else { WELL };
            if began.elapsed() > limit {
                let open = self.commands.iter().map(|(order, _)| format!("a command did not end: {order:?}"));
                return lacks.into_iter().chain(open).collect();
            }
            self.pass(Duration::from_millis(20));
        }
    }
}
