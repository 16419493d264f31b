//! What the world makes of the engine's actions: with faults, and late.

use core_engine::InvocationId;
use core_engine::action::Action;
use core_engine::event::{Answer, Event, ProbeKind, Reach, Unavailable};

use super::LOST;
use super::{Later, World};

impl World {
    pub(super) fn begin_effect(&mut self, action: Action) {
        match action {
            Action::Read { .. } => self.begin_reading(action),
            Action::MakeRelease { .. } => self.make_release(&action),
            Action::Save => self.saved = Some(self.engine.saved()),
            Action::Prepare { folder, .. } => {
                let result = if self.fault("a binary is not available", 45) {
                    Err(Unavailable { why: "no such file".into(), is_final: self.rng.percent(10) })
                } else {
                    self.present.insert(folder.clone());
                    Ok(())
                };
                let pause = self.rng.millis(1, 4000);
                self.tell_after(pause, Event::Prepared { folder, result });
            }
            Action::Start(_) | Action::Signal { .. } | Action::Kill { .. } | Action::Release { .. } => {
                self.order(action);
            }
            Action::ShutdownCommand { invocation, .. } => self.obey_request(&invocation, false),
            Action::Connect { instance, line } => self.connect(instance, line),
            Action::Adopt { invocation, line, replaces, .. } => self.adopt(invocation, line, replaces),
            Action::Ask { instance, within } => self.ask_shim(instance, within),
            Action::Probe { invocation, probe, .. } => self.probe(invocation, probe),
            Action::Count { instance, .. } => {
                let established = u32::from(self.is_connected(&instance));
                self.tell_soon(Event::Counted { instance, established });
            }
            Action::Route(table) => {
                let longest = if self.chaos && self.rng.percent(5) { 3000 } else { 25 };
                let pause = self.rng.millis(0, longest);
                let life = self.life;
                self.at(pause, Later::Write(life, table));
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
            // Nothing comes of them that the engine would notice; the promises look at some.
            Action::Accepted { .. }
            | Action::Refused { .. }
            | Action::Hold { .. }
            | Action::Record(_)
            | Action::Direct { .. }
            | Action::Yield { .. }
            | Action::Planned { .. }
            | Action::KeepLogs { .. }
            | Action::CutLog { .. }
            | Action::TellRole { .. }
            | Action::DropRelease { .. }
            | Action::Hook { .. } => {}
            Action::MarkLive { service, release } => self.tell_soon(Event::Marked { service, release }),
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
