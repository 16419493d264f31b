//! Shims and the lines to them, with faults: lines break, shims die and stand still, takeovers fail.

use std::time::Duration;

use core_engine::action::{Action, Replaces, Scope, StartOrder};
use core_engine::event::{Event, Unreached};
use core_engine::exit::Exit;
use core_engine::{InstanceId, InvocationId};

use super::{Later, World, tree};

impl World {
    /// Something that a shim is told: done, kept while it stands still, or lost where no line leads to it.
    pub(super) fn order(&mut self, action: Action) {
        let id = match &action {
            Action::Start(order) => order.invocation.instance.clone(),
            Action::Signal { invocation, .. } | Action::Kill { invocation } => invocation.instance.clone(),
            Action::Release { instance } => instance.clone(),
            _ => return,
        };
        let tree = self.trees.entry(id.clone()).or_default();
        match action {
            Action::Start(order) => self.begin_start(order),
            Action::Release { .. } => self.release(&id),
            // Without a shim the host looks after it itself.
            Action::Kill { invocation } if !tree.shim || !tree.line => self.kill_unattended(&invocation),
            action if tree.stopped => tree.unread.push(action),
            action => self.obey(&action),
        }
    }

    fn obey(&mut self, action: &Action) {
        match action {
            Action::Signal { invocation, scope, .. } => {
                self.obey_request(invocation, matches!(scope, Scope::Tree | Scope::OutsideGroup));
            }
            Action::Kill { invocation } => self.kill(invocation),
            _ => {}
        }
    }

    fn begin_start(&mut self, order: StartOrder) {
        let id = order.invocation.instance.clone();
        let is_new = !self.trees[&id].shim;
        if is_new && self.fault("no process can be made for a shim", 5) {
            let why = Unreached::Failed("no process can be made".into());
            self.tell_soon(Event::Unreached { instance: id, line: order.line, why });
            return;
        }
        let Some(tree) = self.trees.get_mut(&id) else { return };
        // The order cannot reach a shim whose line is broken; that it is will be told.
        if tree.shim && !tree.line {
            return;
        }
        tree.prepare(&order);
        if tree.stopped {
            tree.unread.push(Action::Start(order));
            return;
        }
        self.carry_out_start(order);
    }

    fn carry_out_start(&mut self, order: StartOrder) {
        let longest = if self.fault("a start is slow", 8) { 3000 } else { 20 };
        let pause = self.rng.millis(0, longest);
        self.at(pause, Later::Exec(order));
    }

    /// Lets a shim go. One that does not go is killed.
    fn release(&mut self, id: &InstanceId) {
        if let Some(tree) = self.trees.get_mut(id) {
            tree.lose_shim();
        }
        if self.engine.phase(id).is_none() {
            self.trees.remove(id);
        }
    }

    /// A new line to a shim, if there is one that answers.
    pub(super) fn connect(&mut self, instance: InstanceId, line: u32) {
        self.trees.entry(instance.clone()).or_default().number = line;
        if self.fault("a line is not available", 5) {
            let why = Unreached::Failed("too many open files".into());
            self.tell_soon(Event::Unreached { instance, line, why });
            return;
        }
        let tree = self.trees.entry(instance.clone()).or_default();
        if !tree.shim {
            self.tell_soon(Event::Unreached { instance, line, why: Unreached::Dead });
            return;
        }
        // One that stands still answers when it goes on, if that is in time.
        let pause = self.rng.millis(0, 50);
        self.at(pause, Later::Attend(self.life, instance, line));
    }

    /// Another shim over an instance.
    pub(super) fn adopt(&mut self, invocation: InvocationId, line: u32, replaces: Replaces) {
        let instance = invocation.instance;
        let tree = self.trees.entry(instance.clone()).or_default();
        tree.number = line;
        if tree.shim {
            if replaces == Replaces::Dead {
                self.broken = Some(format!("a second shim is put over {instance} while the first lives"));
                return;
            }
            tree.lose_shim();
        }
        if self.fault("a takeover fails", 15) {
            let why = Unreached::Failed("no process can be made".into());
            self.tell_soon(Event::Unreached { instance, line, why });
        } else if self.fault("who takes over dies", 15) {
            let event = if self.rng.percent(50) {
                Event::LineBroken { instance, line }
            } else {
                Event::Unreached { instance, line, why: Unreached::Dead }
            };
            self.tell_soon(event);
        } else if self.fault("a takeover never ends", 5) {
            self.note("nobody will ever say what came of it");
            self.trouble_until = self.now + Duration::from_secs(5);
        } else if let Some(tree) = self.trees.get_mut(&instance) {
            tree.shim = true;
            tree.shims += 1;
            let pause = self.rng.millis(1, 200);
            self.at(pause, Later::Attend(self.life, instance, line));
        }
    }

    /// The shim answers on its new line: from now on that is the line.
    pub(super) fn attend(&mut self, life: u64, instance: &InstanceId, line: u32) -> Result<(), String> {
        let is_late = self.now < self.frozen_until;
        let Some(tree) = self.trees.get_mut(instance) else { return Ok(()) };
        if life != self.life || !tree.shim || tree.number != line {
            return Ok(());
        }
        if tree.stopped || is_late {
            let pause = self.rng.millis(1, 100);
            self.at(pause, Later::Attend(life, instance.clone(), line));
            return Ok(());
        }
        tree.line = true;
        // What came by the line before is void.
        tree.ordered = None;
        let event = Event::Adopted { instance: instance.clone(), line, invocation: tree.invocation, life: tree.told() };
        self.give_if_awake(event)
    }

    pub(super) fn ask_shim(&mut self, instance: InstanceId, within: Duration) {
        if let Some(tree) = self.trees.get(&instance)
            && tree.line
            && tree.stopped
        {
            self.at(within, Later::Silent(self.life, instance, tree.shims));
        }
    }

    /// The keeper says that a shim has died; that of one whose place is taken is news to nobody.
    pub(super) fn dead(&mut self, life: u64, instance: InstanceId, shim: u32) -> Result<(), String> {
        let tree = self.trees.get(&instance).filter(|tree| !tree.shim && tree.shims == shim);
        match tree.map(|tree| tree.number).filter(|_| life == self.life) {
            Some(line) => self.give_if_awake(Event::Unreached { instance, line, why: Unreached::Dead }),
            None => Ok(()),
        }
    }

    /// Its time to answer is over.
    pub(super) fn silent(&mut self, life: u64, instance: InstanceId, shim: u32) {
        let is_silent = |tree: &tree::Tree| tree.shim && tree.line && tree.stopped && tree.shims == shim;
        let tree = self.trees.get(&instance).filter(|tree| is_silent(tree));
        if let Some(line) = tree.map(|tree| tree.number).filter(|_| life == self.life) {
            self.tell_after(Duration::ZERO, Event::Unreached { instance, line, why: Unreached::Silent });
        }
    }

    /// A shim stands still; for good, or for a while.
    pub(super) fn stop_a_shim(&mut self) {
        let Some(id) = self.pick(tree::Tree::hears) else { return };
        self.note(&format!("the shim of {id} stands still"));
        self.coverage.part("a shim stands still", 1);
        let Some(tree) = self.trees.get_mut(&id) else { return };
        tree.stopped = true;
        let shim = tree.shims;
        if self.rng.percent(70) {
            let pause = self.rng.millis(50, 4000);
            self.at(pause, Later::Wake(id.clone(), shim));
        }
        // A keeper that is older than this does not say so.
        let is_told = self.rng.percent(70);
        if let Some(tree) = self.trees.get_mut(&id) {
            tree.untold = !is_told;
        }
        if is_told {
            let pause = self.rng.millis(0, 50);
            self.tell_after(pause, Event::ShimStopped { instance: id });
        }
    }

    /// A shim stands still for good, and nobody says so.
    pub(super) fn hold_a_shim(&mut self) {
        let held = self.pick(tree::Tree::hears);
        if let Some(tree) = held.and_then(|id| self.trees.get_mut(&id)) {
            tree.stopped = true;
        }
    }

    /// A shim goes on, and does what it was told meanwhile.
    pub(super) fn wake(&mut self, id: &InstanceId, shim: u32) {
        let Some(tree) = self.trees.get_mut(id).filter(|tree| tree.stopped && tree.shims == shim) else { return };
        tree.stopped = false;
        let unread = std::mem::take(&mut tree.unread);
        // What it could not say while it stood still.
        let (leader, exit, invocation) = (tree.leader, tree.exit, tree.invocation);
        let (line, leftovers, ordered) = (tree.line, tree.leftovers, tree.ordered);
        self.note(&format!("the shim of {id} goes on"));
        if line
            && leader.is_none()
            && ordered.is_none()
            && let Some(exit) = exit
        {
            let invocation = InvocationId { instance: id.clone(), number: invocation };
            self.report(&invocation, Event::Exited { invocation: invocation.clone(), exit, leftovers });
        }
        for action in unread {
            match action {
                Action::Start(order) => self.carry_out_start(order),
                action => self.obey(&action),
            }
        }
    }

    /// A line breaks; the shim lives on.
    pub(super) fn break_a_line(&mut self) {
        let Some(id) = self.pick(|tree| tree.shim && tree.line) else { return };
        self.note(&format!("the line to the shim of {id} breaks"));
        self.coverage.part("a line breaks", 1);
        self.break_line(&id);
    }

    fn break_line(&mut self, id: &InstanceId) {
        if let Some(tree) = self.trees.get_mut(id) {
            tree.line = false;
            // What was on its way is void when the next line is taken.
            tree.ordered = None;
            tree.unread.clear();
        }
        let pause = self.rng.millis(0, 600);
        let line = self.trees.get(id).map_or(0, |tree| tree.number);
        self.tell_after(pause, Event::LineBroken { instance: id.clone(), line });
    }

    pub(super) fn lose_a_shim(&mut self) {
        let Some(id) = self.pick(|tree| tree.shim) else { return };
        self.note(&format!("the shim of {id} dies"));
        self.coverage.part("a shim dies", 1);
        if let Some(tree) = self.trees.get_mut(&id) {
            tree.lose_shim();
        }
        // By its line, by its keeper, or by both, in any order.
        let which = self.rng.below(3);
        if which != 0 {
            let pause = self.rng.millis(0, 600);
            let line = self.trees.get(&id).map_or(0, |tree| tree.number);
            self.tell_after(pause, Event::LineBroken { instance: id.clone(), line });
        }
        if which != 1 {
            let pause = self.rng.millis(0, 600);
            let shim = self.trees.get(&id).map_or(0, |tree| tree.shims);
            self.at(pause, Later::Dead(self.life, id, shim));
        }
    }

    fn pick(&mut self, is_one: impl Fn(&tree::Tree) -> bool) -> Option<InstanceId> {
        let all: Vec<InstanceId> =
            self.trees.iter().filter(|(_, tree)| is_one(tree)).map(|(id, _)| id.clone()).collect();
        (!all.is_empty()).then(|| self.rng.pick(&all).clone())
    }

    /// A shim says something, if there is one that can.
    pub(super) fn report(&mut self, invocation: &InvocationId, event: Event) {
        let id = &invocation.instance;
        if !self.trees.get(id).is_some_and(tree::Tree::hears) {
            return;
        }
        if self.fault("a report is lost with its line", 2) {
            self.break_line(&id.clone());
            return;
        }
        self.tell_soon_in_order(invocation, event);
    }

    /// Said on the line that there is now: it ends with it.
    pub(super) fn tell_line_after(&mut self, pause: Duration, id: &InstanceId, event: Event) {
        let Some(tree) = self.trees.get(id).filter(|tree| tree.line) else { return };
        let line = (self.life, id.clone(), tree.shims);
        self.at(pause, Later::Say(line, event));
    }

    /// Killed without a shim, by what is known of it.
    fn kill_unattended(&mut self, invocation: &InvocationId) {
        let misses = self.fault("a kill misses", 30);
        let Some(tree) = self.trees.get_mut(&invocation.instance) else { return };
        if misses && tree.is_alive() {
            return;
        }
        if tree.leader.take().is_some() {
            tree.exit = Some(Exit::Signal(9));
        }
        (tree.leftovers, tree.ordered) = (false, None);
        self.tell_soon(Event::Emptied { invocation: invocation.clone() });
    }

    /// A signal that asks. It reaches its target only through a shim.
    pub(super) fn obey_request(&mut self, invocation: &InvocationId, whole_tree: bool) {
        let chaos = self.chaos;
        let obeys = !(chaos && self.rng.percent(40));
        let pause = self.rng.millis(1, if chaos && self.rng.clone().percent(20) { 6000 } else { 300 });
        let Some(tree) = self.trees.get(&invocation.instance) else { return };
        if !tree.hears() || tree.invocation != invocation.number {
            return;
        }
        self.coverage.part("a request to end is ignored", usize::from(!obeys));
        if tree.leader.is_some() && obeys {
            self.at(pause, Later::Obey(invocation.clone(), Exit::Signal(15)));
        } else if tree.leftovers && whole_tree && obeys {
            self.at(pause, Later::Empty(invocation.clone()));
        }
    }

    fn kill(&mut self, invocation: &InvocationId) {
        let misses = self.chaos && self.rng.percent(30);
        let pause = self.rng.millis(0, 30);
        let Some(tree) = self.trees.get_mut(&invocation.instance) else { return };
        self.coverage.part("a kill misses", usize::from(tree.hears() && misses));
        if !tree.hears() || misses {
            return;
        }
        // A start that has not been carried out yet is called off.
        if tree.ordered == Some(invocation.number) {
            tree.invocation = tree.ordered.take().unwrap_or(tree.invocation);
            tree.exit = Some(Exit::Signal(9));
            let exit = Exit::Signal(9);
            self.report(invocation, Event::Exited { invocation: invocation.clone(), exit, leftovers: false });
            return;
        }
        let (is_other, lives, leftovers) =
            (tree.invocation != invocation.number, tree.leader.is_some(), tree.leftovers);
        if !is_other && lives {
            self.at(pause, Later::Obey(invocation.clone(), Exit::Signal(9)));
        } else if !is_other && leftovers {
            self.at(pause, Later::Empty(invocation.clone()));
        } else {
            // Nothing of it is left: the shim says so again.
            self.report(invocation, Event::Emptied { invocation: invocation.clone() });
        }
    }

    /// What a shim says stays in order.
    pub(super) fn tell_soon_in_order(&mut self, invocation: &InvocationId, event: Event) {
        let started = self.later.iter().rev().find_map(|((at, _), later)| match later {
            Later::Say(_, Event::Started { invocation: told, .. } | Event::Exited { invocation: told, .. })
                if told == invocation =>
            {
                Some(*at)
            }
            _ => None,
        });
        let pause = self.rng.millis(0, 15);
        let after = started.map_or(Duration::ZERO, |at| at - self.now);
        self.tell_line_after(after + pause, &invocation.instance, event);
    }
}
