//! What services do: they start or do not, end, and leave others behind.

use core_engine::InvocationId;
use core_engine::action::StartOrder;
use core_engine::event::Event;
use core_engine::exit::{Exit, Failure};

use super::{Later, World, tree};

impl World {
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
                _ if self.rng.percent(30) => Failure::Lack("too many open files".into()),
                _ => Failure::Exec { stage: "exec".into(), message: "no such file".into() },
            };
            self.report(&invocation, Event::StartFailed { invocation: invocation.clone(), failure });
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
        self.tell_line_after(pause, &id, Event::Started { invocation, pid });
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
        self.report(invocation, Event::Exited { invocation: invocation.clone(), exit, leftovers });
    }

    pub(super) fn leftovers_end(&mut self, invocation: &InvocationId) {
        let Some(tree) = self.trees.get_mut(&invocation.instance) else { return };
        if tree.invocation != invocation.number || !tree.leftovers {
            return;
        }
        tree.leftovers = false;
        if tree.leader.is_none() {
            self.report(invocation, Event::Emptied { invocation: invocation.clone() });
        }
    }
}
