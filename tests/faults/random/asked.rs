//! What somebody asks of the stack while faults are injected, and what is wanted of it then.

use std::time::{Duration, Instant};

use super::fault::Order;
use super::life::known;
use super::sequence::{COMMAND, Sequence, WELL};
use super::world::World;

impl Sequence<'_> {
    pub(super) fn order(&mut self, order: Order) {
        // One at a time, so that it can be told what is wanted.
        if self.commands.iter().any(|(order, _)| order.is_some()) {
            return;
        }
        let life = &mut *self.life;
        let name = |role: &str| life.stack.name(role);
        let words: Vec<String> = match order {
            Order::Restart(role) => {
                self.touched.insert(role);
                self.disturbed.insert(role);
                life.unsure.insert(role);
                // What was stopped is started by it.
                if role == "forks" {
                    life.forks.insert(1);
                }
                vec!["restart".into(), name(role)]
            }
            Order::Scale(count) => {
                self.touched.insert("quiet");
                let words = vec!["scale".into(), format!("{}={count}", name("quiet"))];
                life.quiet.insert(count);
                words
            }
            Order::StopForks | Order::StartForks => {
                self.touched.insert("forks");
                let word = if order == Order::StopForks { "stop" } else { "start" };
                let words = vec![word.into(), name("forks")];
                life.forks.insert(usize::from(order == Order::StartForks));
                words
            }
            Order::Edit => {
                self.touched.insert("quiet");
                life.edits += 1;
                life.is_unapplied = true;
                let edits = life.edits;
                life.stack.edit(&name("quiet"), |manifest| {
                    manifest["process"]["env"]["EDIT"] = edits.to_string().into();
                });
                vec!["apply".into()]
            }
            Order::StartOnce => {
                // One that still runs is not started.
                if life.runs("begin") != life.runs("end") {
                    return;
                }
                life.once += 1;
                vec!["start".into(), name("once")]
            }
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let begun = self.life.stack.begin(&words);
        self.commands.push((Some(order), begun));
    }

    pub(super) fn poll_commands(&mut self) {
        for (order, mut begun) in std::mem::take(&mut self.commands) {
            let Some(said) = begun.ended() else {
                self.commands.push((order, begun));
                continue;
            };
            let took = begun.at.elapsed().as_secs_f64();
            self.tell(&format!("{order:?} ended with {} after {took:.2} s: {}", said.code, said.err.trim()));
            match order {
                Some(Order::Scale(count)) if said.code == 0 => self.life.quiet = [count].into(),
                Some(Order::Edit) if said.code == 0 => self.life.is_unapplied = false,
                Some(Order::StopForks) if said.code == 0 => self.life.forks = [0].into(),
                Some(Order::StartForks) if said.code == 0 => self.life.forks = [1].into(),
                Some(Order::Restart(role)) if said.code == 0 => {
                    self.life.unsure.remove(role);
                    if role == "forks" {
                        self.life.forks = [1].into();
                    }
                }
                _ => {}
            }
        }
    }

    /// Where nobody knows whether a command came through, it is given once more: now it must.
    pub(super) fn make_sure(&mut self) -> Vec<String> {
        let name = |role: &str| self.life.stack.name(role);
        let mut orders: Vec<(Vec<String>, Order)> = Vec::new();
        if self.life.quiet.len() > 1 {
            orders.push((vec!["scale".into(), format!("{}=1", name("quiet"))], Order::Scale(1)));
        }
        if self.life.forks.len() > 1 {
            orders.push((vec!["start".into(), name("forks")], Order::StartForks));
        }
        for role in std::mem::take(&mut self.life.unsure) {
            orders.push((vec!["restart".into(), name(role)], Order::Restart(role)));
        }
        if self.life.is_unapplied {
            orders.push((vec!["apply".into()], Order::Edit));
        }
        for (words, order) in orders {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            // One that failed again and again a moment ago may still be held against it.
            let until = Instant::now() + COMMAND;
            loop {
                match self.life.stack.begin(&words).within(COMMAND) {
                    Some(said) if said.code == 0 => break,
                    Some(_) if Instant::now() < until => std::thread::park_timeout(Duration::from_millis(100)),
                    Some(said) => {
                        return vec![format!("`core {}` ended with {}: {}", words.join(" "), said.code, said.err)];
                    }
                    None => return vec![format!("`core {}` did not end", words.join(" "))],
                }
            }
            match order {
                Order::Scale(count) => self.life.quiet = [count].into(),
                Order::Edit => self.life.is_unapplied = false,
                Order::Restart(role) if role != "forks" => {}
                _ => self.life.forks = [1].into(),
            }
            let until = Instant::now() + WELL;
            loop {
                let world = World::of(&self.life.stack);
                let lacks = self.lacks(&world);
                self.life.known = known(&world);
                if !self.broken.is_empty() {
                    return std::mem::take(&mut self.broken);
                }
                if lacks.is_empty() {
                    break;
                }
                if Instant::now() > until {
                    return lacks;
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        self.life.once = self.life.runs("begin");
        Vec::new()
    }
}
