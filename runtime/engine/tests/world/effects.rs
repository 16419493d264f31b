//! What the world makes of the engine's actions: with faults, and late.

use std::time::Duration;

use core_engine::InvocationId;
use core_engine::action::{Action, Scope, StartOrder};
use core_engine::event::{Answer, Event, Life, ProbeKind, Reach};
use core_engine::exit::{Exit, Failure};

use super::LOST;
use super::{Later, World, tree};

impl World {
    pub(super) fn begin_effect(&mut self, action: Action) {
        match action {
            Action::Save => self.saved = Some(self.engine.saved()),
            Action::Prepare { folder, .. } => {
                let result = if self.fault("a binary cannot be had", 45) {
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
                let longest = if self.fault("a start is slow", 8) { 3000 } else { 20 };
                let pause = self.rng.millis(0, longest);
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
                let longest = if self.chaos && self.rng.percent(5) { 3000 } else { 25 };
                let pause = self.rng.millis(0, longest);
                let life = self.life;
                self.at(pause, Later::Write(life, table.service, table.version, table.targets));
            }
            Action::Verify(asked) => {
                let longest = if self.chaos && self.rng.percent(10) { 3000 } else { 25 };
                let pause = self.rng.millis(0, longest);
                let lives = self.trees.get(&asked.edge).is_some_and(|tree| tree.leader.is_some());
                let reach = match (lives, self.chaos && self.rng.percent(40)) {
                    (false, _) => Reach::Silent,
                    (true, true) => Reach::Astray("connection refused".to_owned()),
                    (true, false) => Reach::Reached,
                };
                if self.fault("what the edge reaches is lost", 3) {
                    self.missed_by = self.now + pause + LOST;
                } else {
                    self.tell_after(pause, Event::Verified { service: asked.service, born: asked.born, reach });
                }
            }
            // For people alone.
            Action::Record(_) | Action::Yield { .. } => {}
            Action::Exit { .. } => {
                self.exited = true;
                self.awake = false;
                self.life += 1;
            }
        }
    }

    /// Whether a fault of this kind happens now, of a hundred chances so many; and counts it.
    pub(super) fn fault(&mut self, name: &str, percent: u64) -> bool {
        let happens = self.chaos && self.rng.percent(percent);
        self.coverage.part(name, usize::from(happens));
        happens
    }

    pub(super) fn exec(&mut self, order: &StartOrder) -> Result<(), String> {
        let id = order.invocation.instance.clone();
        let invocation = order.invocation.clone();
        let chaos = self.chaos;
        let Some(tree) = self.trees.get(&id) else { return Ok(()) };
        // The order reached no shim, or an older one than the present.
        if tree.ordered != Some(order.invocation.number) {
            return Ok(());
        }
        if tree.is_alive() {
            return Err(format!("{} is started while something of {id} lives", order.invocation));
        }
        self.check_slot(order)?;
        let taken = !order.ports.is_empty() && self.fault("a port is taken", 20);
        if taken || self.fault("a start is refused", 10) {
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
        for part in plan.faults() {
            self.coverage.part(part, 1);
        }
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

    pub(super) fn leader_ends(&mut self, invocation: &InvocationId, exit: Exit) {
        let leaves_some = self.chaos && self.rng.percent(30);
        let Some(tree) = self.trees.get_mut(&invocation.instance) else { return };
        if tree.invocation != invocation.number || tree.leader.is_none() {
            return;
        }
        tree.leader = None;
        tree.exit = Some(exit);
        let leftovers = leaves_some && exit != Exit::Signal(9);
        tree.leftovers = leftovers;
        self.coverage.part("it leaves some behind", usize::from(leftovers));
        if tree.shim {
            self.tell_soon_in_order(invocation, Event::Exited { invocation: invocation.clone(), exit, leftovers });
        }
    }

    /// What a shim says stays in order.
    pub(super) fn tell_soon_in_order(&mut self, invocation: &InvocationId, event: Event) {
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

    pub(super) fn leftovers_end(&mut self, invocation: &InvocationId) {
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
    pub(super) fn signal(&mut self, invocation: &InvocationId, whole_tree: bool) {
        let chaos = self.chaos;
        let obeys = !(chaos && self.rng.percent(40));
        let pause = self.rng.millis(1, if chaos && self.rng.clone().percent(20) { 6000 } else { 300 });
        let Some(tree) = self.trees.get(&invocation.instance) else { return };
        if !tree.shim || tree.invocation != invocation.number {
            return;
        }
        self.coverage.part("a request to end is ignored", usize::from(!obeys));
        if tree.leader.is_some() && obeys {
            self.at(pause, Later::Obey(invocation.clone(), Exit::Signal(15)));
        } else if tree.leftovers && whole_tree && obeys {
            self.at(pause, Later::Empty(invocation.clone()));
        }
    }

    pub(super) fn kill(&mut self, invocation: &InvocationId) {
        let misses = self.chaos && self.rng.percent(30);
        let pause = self.rng.millis(0, 30);
        let Some(tree) = self.trees.get_mut(&invocation.instance) else { return };
        self.coverage.part("a kill misses", usize::from(tree.shim && misses));
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

    pub(super) fn probe(&mut self, invocation: InvocationId, probe: ProbeKind) {
        let longest = if self.fault("a probe is slow", 4) { 2500 } else { 20 };
        let pause = self.rng.millis(0, longest);
        let good = self.trees.get(&invocation.instance).is_some_and(|tree| {
            tree.invocation == invocation.number && tree.answers(probe == ProbeKind::Liveness, self.now)
        });
        // What the host lacks it lacks for a while, and for everybody.
        if self.rng.percent(50) && self.fault("nothing can be asked", 1) {
            let span = self.rng.millis(1, 6000);
            self.asks_again_at = self.now + span;
        }
        let answer = match (self.chaos && self.now < self.asks_again_at, good) {
            (true, _) => Answer::Unasked("too many open files".to_owned()),
            (_, true) => Answer::Good,
            (_, false) => Answer::Bad("connection refused".to_owned()),
        };
        self.tell_after(pause, Event::Probed { invocation, probe, answer });
    }
}
