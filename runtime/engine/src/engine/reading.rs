//! Readings of the manifests: what each is for, one at a time; whether an edit is applied or waits; and the commands
//! that come before the first reading.

use std::collections::VecDeque;

use core_manifest::Problem;

use super::operation::{Goal, Operation};
use super::{Engine, mutated};
use crate::action::Action;
use crate::event::{Command, Loaded, Purpose, Rejected};
use crate::record::Cause;

/// What is known about the manifests.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// What the reading that is under way is for.
    under_way: Option<Purpose>,
    /// What the readings after that are for.
    waiting: VecDeque<Purpose>,
    /// Fingerprint of the manifests when they were last read to be applied.
    read: Option<u64>,
    /// Fingerprint of the manifests now, if it has not been compared with `read` yet.
    edited: Option<u64>,
    /// Edits are applied as they are saved. Until the manifests have been valid once, any edit may repair them.
    follows: bool,
    /// Whether they have been valid since the supervisor started.
    was_good: bool,
    /// Commands that wait for the first reading, in order.
    early: VecDeque<(u64, Command, Cause)>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            under_way: None,
            waiting: VecDeque::new(),
            read: None,
            edited: None,
            follows: true,
            was_good: false,
            early: VecDeque::new(),
        }
    }
}

impl Engine {
    /// Requests a reading of the manifests, after those that were requested before.
    pub(super) fn read(&mut self, purpose: Purpose) {
        self.reading.waiting.push_back(purpose);
        self.next_reading();
    }

    /// Starts the next reading, if one is waiting and none is under way.
    fn next_reading(&mut self) {
        if self.reading.under_way.is_some() {
            return;
        }
        let Some(purpose) = self.reading.waiting.pop_front() else {
            self.follow_edits();
            return;
        };
        // A request by a user starts with the first source of every binary again.
        if purpose.is_asked() {
            self.sources.forget_failures();
        }
        self.reading.under_way = Some(purpose.clone());
        let (failed_sources, releases, trials) = (self.sources.failed().clone(), self.releases(), self.trials());
        self.actions.push(Action::Read { purpose, failed_sources, releases, trials });
    }

    /// The files have this fingerprint now.
    pub(super) fn edited(&mut self, fingerprint: u64) {
        if mutated!(self, ForgetEdit) && self.reading.under_way.is_some() {
            return;
        }
        self.reading.edited = Some(fingerprint);
        self.follow_edits();
    }

    /// Requests a reading if the current contents were never read. An edit during a reading is looked at when that is
    /// over; an edit while edits are not followed, when they are again.
    fn follow_edits(&mut self) {
        if self.reading.under_way.is_some() || !self.reading.follows {
            return;
        }
        let Some(edited) = self.reading.edited.take() else { return };
        if self.reading.read != Some(edited) {
            let operation = self.number_operation();
            self.read(Purpose::Apply { operation, by: Cause::Edit });
        }
    }

    /// The manifests are valid.
    pub(super) fn read_good(&mut self, loaded: &Loaded) {
        match self.reading.under_way.take() {
            Some(Purpose::Plan { question }) => {
                // As `core apply` would: it tries again what was put back.
                let plan = Box::new(self.plan_for(&self.without_ended_trials(&loaded.topology), true));
                self.actions.push(Action::Planned { question, result: Ok(plan) });
            }
            purpose => {
                self.reading.read = Some(loaded.fingerprint);
                self.reading.follows = loaded.follows_edits;
                self.reading.was_good = true;
                self.sources.choose(&loaded.sources);
                self.choose_releases(&loaded.releases);
                let topology = self.without_ended_trials(&loaded.topology);
                self.loaded(loaded, &topology, purpose.as_ref().is_some_and(Purpose::is_asked));
                match purpose {
                    Some(Purpose::Apply { operation, by }) => self.applied(operation, by),
                    Some(Purpose::OtherSource { folder, reason }) => {
                        let operation = self.number_operation();
                        self.applied(operation, Cause::Source);
                        self.prepare_again(&folder, &reason);
                    }
                    Some(Purpose::Plan { .. }) | None => {}
                }
                self.settle_asked_trials();
                self.carry_out_early();
            }
        }
        self.next_reading();
    }

    /// The manifests are not valid.
    pub(super) fn read_bad(&mut self, rejected: &Rejected) {
        match self.reading.under_way.take() {
            Some(Purpose::Plan { question }) => {
                let result = Err(rejected.problems.clone());
                self.actions.push(Action::Planned { question, result });
            }
            // No source is left. Other problems of the manifests are reported when they are read to be applied.
            Some(Purpose::OtherSource { folder, reason }) => self.no_source_left(&folder, &reason, &rejected.refused),
            purpose => {
                self.reading.read = Some(rejected.fingerprint);
                self.rejected(&rejected.problems);
                if let Some(Purpose::Apply { operation, by }) = purpose {
                    let problems = self.problems.clone();
                    self.refused(operation, by, problems);
                }
                self.carry_out_early();
            }
        }
        self.next_reading();
    }

    /// The manifests are being applied: this operation is over when everything is ready.
    fn applied(&mut self, id: u64, by: Cause) {
        if let Some((command, operation)) = self.take_wish(id) {
            // Its client was told when it began.
            self.begin_operation(id, &command, by, operation);
            return;
        }
        let operation = self.ready_of_all();
        self.begin_operation(id, &Command::Apply, by, operation);
        self.actions.push(Action::Accepted { operation: id });
    }

    fn refused(&mut self, id: u64, by: Cause, problems: Vec<Problem>) {
        if let Some(message) = self.broken_manifests()
            && let Some((command, operation)) = self.take_wish(id)
        {
            if let Some((name, _)) = &operation.release {
                self.refuse_trial(name);
            }
            let operation = Operation::failed(format!("the release is there, but {message}"));
            self.begin_operation(id, &command, by, operation);
            return;
        }
        let operation = self.broken_manifests().map_or_else(|| self.ready_of_all(), Operation::failed);
        self.begin_operation(id, &Command::Apply, by, operation);
        self.actions.push(Action::Refused { operation: id, problems });
    }

    fn ready_of_all(&self) -> Operation {
        // What is only tried may fail.
        let all = self.services.iter().filter(|(name, _)| !name.is_trial());
        let all = all.filter(|(name, service)| self.held_back(name, service).is_none());
        let all = all.map(|(name, _)| name.clone()).collect();
        Operation::new(Goal::Ready, all, self.now, None)
    }

    /// Whether a command has to wait for the first reading: it cannot be answered before the manifests were read.
    /// Stopping the stack waits for nothing.
    pub(super) fn comes_early(&self, command: &Command) -> bool {
        let needs_manifests = !matches!(command, Command::Down | Command::Kill | Command::Apply);
        needs_manifests && !self.reading.was_good && self.reading.under_way.is_some()
    }

    pub(super) fn keep_early(&mut self, id: u64, command: &Command, by: Cause) {
        if !mutated!(self, ForgetEarly) {
            self.reading.early.push_back((id, command.clone(), by));
        }
    }

    fn carry_out_early(&mut self) {
        while let Some((id, command, by)) = self.reading.early.pop_front() {
            self.command(id, &command, by);
        }
    }

    /// The stack is being stopped: commands that were still waiting fail.
    pub(super) fn refuse_early(&mut self) {
        while let Some((id, command, by)) = self.reading.early.pop_front() {
            self.begin_operation(id, &command, by, Operation::failed("the stack was ended meanwhile".into()));
            self.actions.push(Action::Accepted { operation: id });
        }
    }
}
