//! One whole history: chaos, then calm, then the end.

use std::time::Duration;

use core_engine::InstanceId;
use core_engine::event::{Command, Event};
use core_engine::maintenance::Maintenance;
use core_manifest::ServiceName;

use super::{Later, World, stack};

impl World {
    /// One whole history: chaos, then calm, then the end.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(crate) fn history(&mut self) -> Result<(), String> {
        self.begin()?;
        self.coverage.part("services", self.topology.services.len());
        let acts = 11 + self.rng.below(10);
        for _ in 0..acts {
            let pause = self.rng.millis(1, 4000);
            self.run_for(pause)?;
            self.act()?;
        }
        let pause = self.rng.millis(1, 5000);
        self.run_for(pause)?;
        self.calm_down()?;
        // What is under way gets its answer.
        self.run_for(Duration::from_millis(20))?;
        // And nothing happens any more.
        self.promises.calm = true;
        self.run_for(Duration::from_secs(7))?;
        self.promises.calm = false;
        self.end()
    }

    pub(super) fn begin(&mut self) -> Result<(), String> {
        self.restore(true, Vec::new())?;
        self.operate(Command::Up { services: Vec::new(), timeout: None })
    }

    /// Somebody does something: an edit, a command, a fault of ours.
    pub(super) fn act(&mut self) -> Result<(), String> {
        self.acts += 1;
        if !self.awake || self.now < self.frozen_until {
            return Ok(());
        }
        let names: Vec<ServiceName> = self.topology.services.keys().cloned().collect();
        let one = self.rng.pick(&names).clone();
        match self.rng.below(38) {
            0..=7 => {
                self.coverage.part("edits", 1);
                let edited = stack::edit(&mut self.rng, &self.files.topology.clone());
                self.save_files(edited);
                Ok(())
            }
            8..=10 => {
                self.vanish();
                Ok(())
            }
            11 if self.rng.percent(30) => self.operate(Command::Renew { service: one }),
            11 => self.operate(Command::Restart { services: vec![one] }),
            12 => self.operate(Command::Stop { services: vec![one] }),
            13 => self.operate(Command::Start { services: vec![one] }),
            14 => {
                let timeout = self.rng.percent(60).then(|| self.rng.millis(100, 9000));
                self.operate(Command::Up { services: vec![one], timeout })
            }
            15 => {
                let replicas = 1 + u32::try_from(self.rng.below(3)).unwrap_or(0);
                self.operate(Command::Scale { service: one, replicas })
            }
            16..=18 => {
                self.break_files();
                Ok(())
            }
            19 => {
                let is_plan = self.rng.percent(50);
                if is_plan { self.ask_for_plan() } else { self.operate(Command::Apply) }
            }
            20..=22 => {
                self.lose_a_shim();
                Ok(())
            }
            23 | 24 => {
                self.break_a_line();
                Ok(())
            }
            25..=27 => {
                self.stop_a_shim();
                Ok(())
            }
            28 => {
                self.freeze();
                Ok(())
            }
            29 => self.give_if_awake(Event::MemoryShort),
            30..=35 => self.try_something(),
            36 => self.maintain(one),
            _ => {
                let kill = self.rng.percent(30);
                self.operate(if kill { Command::Kill } else { Command::Down })?;
                let pause = self.rng.millis(1, 3000);
                self.run_for(pause)?;
                if !self.exited {
                    return self.operate(Command::Up { services: Vec::new(), timeout: None });
                }
                Ok(())
            }
        }?;
        if self.exited { self.restart_stack() } else { Ok(()) }
    }

    /// A service goes into maintenance, or out of it.
    fn maintain(&mut self, service: ServiceName) -> Result<(), String> {
        self.coverage.part("maintenance", 1);
        let how = self.rng.percent(60).then(Maintenance::default);
        self.operate(Command::Maintain { services: vec![service], how })
    }

    /// The stack has ended; somebody brings it up again.
    pub(super) fn restart_stack(&mut self) -> Result<(), String> {
        self.check_gone()?;
        self.exited = false;
        self.trees.clear();
        self.routes.clear();
        self.formers.clear();
        self.closed.clear();
        self.promises.forget();
        // Somebody may have edited it while it was down.
        if self.chaos && self.rng.percent(50) {
            self.files.topology = stack::edit(&mut self.rng, &self.files.topology.clone());
            self.files.version += 1;
        }
        // The end may not have got to the disk.
        if let Some(saved) = &mut self.saved
            && self.chaos
            && self.rng.percent(30)
        {
            saved.down = true;
        }
        self.life += 1;
        self.new_engine();
        self.awake = true;
        self.restore(true, Vec::new())?;
        self.operate(Command::Up { services: Vec::new(), timeout: None })?;
        if self.exited { Err("the stack ends again as soon as it is started".into()) } else { Ok(()) }
    }

    /// The supervisor is killed; in a while another begins.
    pub(super) fn vanish(&mut self) {
        self.note("the supervisor vanishes");
        self.coverage.part("the supervisor vanishes", 1);
        self.life += 1;
        self.awake = false;
        let pause = self.rng.millis(1, 800);
        self.at(pause, Later::Awake);
    }

    /// The supervisor stands still, for less than its keeper puts up with.
    pub(super) fn freeze(&mut self) {
        self.note("the supervisor stands still");
        self.coverage.part("the supervisor stands still", 1);
        self.frozen_until = self.now + self.rng.millis(1, 1000);
    }

    /// No more faults; everything is mended and tried again, until nothing happens any more.
    pub(super) fn calm_down(&mut self) -> Result<(), String> {
        self.chaos = false;
        self.note("calm");
        for tree in self.trees.values_mut() {
            tree.mend(self.now);
        }
        let untold: Vec<(InstanceId, u32)> =
            self.trees.iter().filter(|(_, tree)| tree.untold).map(|(id, tree)| (id.clone(), tree.shims)).collect();
        for (id, shim) in untold {
            self.wake(&id, shim);
        }
        // Whoever is still on the way of waking up.
        self.run_for(Duration::from_secs(2))?;
        let trouble = if self.trouble_until > self.now { self.trouble_until - self.now } else { Duration::ZERO };
        self.run_for(trouble + Duration::from_secs(2))?;
        self.check_attended()?;
        if self.exited {
            self.restart_stack()?;
        }
        self.files.broken = false;
        self.files.version += 1;
        self.operate(Command::Apply)?;
        self.look_at_files();
        self.run_for(Duration::from_secs(1))?;
        self.end_previews()?;
        self.operate(Command::Up { services: Vec::new(), timeout: None })?;
        self.run_for(Duration::from_secs(2))?;
        let names: Vec<ServiceName> = self.topology.services.keys().cloned().collect();
        self.operate(Command::Start { services: names })?;
        for _ in 0..120 {
            self.run_for(Duration::from_secs(1))?;
            if self.check_calm().is_ok() {
                return Ok(());
            }
        }
        self.check_calm()
    }

    pub(super) fn end(&mut self) -> Result<(), String> {
        // Who stands still for good, and of whom nobody has said so, holds nothing up either.
        if self.rng.percent(30) {
            self.hold_a_shim();
        }
        self.operate(Command::Down)?;
        let longest: Duration =
            self.topology.services.values().map(|spec| spec.shutdown.timeout + spec.update.drain).sum();
        self.run_for(longest * 2 + Duration::from_secs(30))?;
        if !self.exited {
            return Err("the stack did not end in its time".into());
        }
        self.check_gone()
    }
}
