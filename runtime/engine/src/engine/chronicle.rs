//! What the history gets about operations: one entry when they start, one when they are over.

use std::collections::BTreeMap;

use core_manifest::spec::Strategy;
use core_manifest::{Problem, ServiceName};

use super::operation::{Operation, OperationState, Telling};
use super::{Basis, Engine};
use crate::action::Action;
use crate::event::Command;
use crate::ids::Generation;
use crate::plan::{Change, Planned};
use crate::record::{Begun, Cause, Outcome, Record};

/// Changes that are not in the history yet: the next operation's entry includes them.
#[derive(Clone, Debug, Default)]
pub(super) struct Untold {
    /// The generation before the first change.
    from: Option<Generation>,
    changes: BTreeMap<ServiceName, Planned>,
}

impl Engine {
    /// A new generation, after `from`, makes these changes. Older operations will not reach their goals for them now.
    pub(super) fn note_changes(&mut self, from: Generation, changes: impl IntoIterator<Item = (ServiceName, Planned)>) {
        let changes: BTreeMap<ServiceName, Planned> =
            changes.into_iter().filter(|(_, planned)| planned.change != Change::Keep).collect();
        let by = self.generation;
        let mut replaced = Vec::new();
        for (id, operation) in &mut self.operations {
            let is_over = operation.state != OperationState::Running;
            let touches = |telling: &mut Telling| {
                operation.pending.iter().any(|name| telling.changed.contains(name) && changes.contains_key(name))
            };
            if !is_over && operation.telling.take_if(touches).is_some() {
                replaced.push(*id);
            }
        }
        for operation in replaced {
            self.actions.push(Action::Record(Record::Ended { operation, outcome: Outcome::Replaced { by } }));
        }
        self.untold.from.get_or_insert(from);
        self.untold.changes.extend(changes);
    }

    /// A change of one service that a command asks for.
    pub(super) fn note_change(&mut self, from: Generation, name: &ServiceName, change: Change, reason: String) {
        self.note_changes(from, [(name.clone(), Planned { change, reasons: vec![reason] })]);
    }

    /// The change by which a service is replaced, from its strategy.
    pub(super) fn replacement(&self, name: &ServiceName) -> Change {
        let strategy = self.services.get(name).map(|service| service.spec.update.strategy);
        if strategy == Some(Strategy::Restart) { Change::Restart } else { Change::Swap }
    }

    /// Records the start of an operation, unless it is an unrequested reading that changed nothing.
    pub(super) fn tell_begun(&mut self, id: u64, command: &Command, by: Cause, operation: &mut Operation) {
        // Changes made before any operation was recorded go with the first operation that can make a generation.
        let makes_one = matches!(
            command,
            Command::Apply
                | Command::Restart { .. }
                | Command::Renew { .. }
                | Command::Scale { .. }
                | Command::Deploy { .. }
                | Command::Rollback { .. }
                | Command::Promote { .. }
        );
        let Untold { from, changes } = if makes_one { std::mem::take(&mut self.untold) } else { Untold::default() };
        let is_asked = matches!(by, Cause::User(_)) || *command != Command::Apply;
        if !is_asked && from.is_none() {
            return;
        }
        operation.has_changed = !changes.is_empty();
        operation.telling = Some(Telling { changed: changes.keys().cloned().collect() });
        let begun = Begun {
            operation: id,
            command: command.clone(),
            by,
            from: from.unwrap_or(self.generation),
            to: self.generation,
            changes,
        };
        self.actions.push(Action::Record(Record::Begun(Box::new(begun))));
    }

    /// Records the end of an operation that is over, once.
    pub(super) fn tell_ended(actions: &mut Vec<Action>, id: u64, operation: &mut Operation) {
        let outcome = match &operation.state {
            OperationState::Running => return,
            OperationState::Done => Outcome::Done,
            OperationState::Failed { message, culprit } => {
                Outcome::Failed { message: message.clone(), culprit: culprit.clone() }
            }
        };
        if operation.telling.take().is_some() {
            actions.push(Action::Record(Record::Ended { operation: id, outcome }));
        }
    }

    /// The message that the manifests are not valid: it says where, but does not quote them.
    pub(super) fn broken_manifests(&self) -> Option<String> {
        let place = |problem: &Problem| {
            let place = problem.file.as_ref().or(problem.service.as_ref());
            let line = problem.line.map_or_else(String::new, |line| format!(":{line}"));
            place.map_or_else(|| problem.code.clone(), |place| format!("{place}{line} ({})", problem.code))
        };
        let first = self.problems.first()?;
        let more = match self.problems.len() - 1 {
            0 => String::new(),
            number => format!(", and {number} more"),
        };
        let what = if self.basis == Basis::Nothing { "nothing was started" } else { "nothing was changed" };
        Some(format!("the manifests are broken, {what}: {}{more}", place(first)))
    }
}
