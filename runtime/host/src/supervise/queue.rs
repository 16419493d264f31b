//! Actions that wait for the disk. What follows from a change starts once the change is saved, and later actions for
//! the same service after it; all other actions start at once. Several changes are saved with one write.

use std::collections::VecDeque;

use core_engine::Action;
use core_manifest::ServiceName;

/// Number of a write; each request to save gets the next number.
pub(super) type Writing = u64;

/// The actions that wait, in order, each with the number of the write that it waits for.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<(Writing, Action)>,
    /// The last write that was requested.
    asked: Writing,
    /// The last write that was started.
    begun: Writing,
    /// The last write that ended, successfully or not.
    over: Writing,
}

/// What an action is about: actions about the same subject keep their order.
#[derive(PartialEq, Eq)]
enum Subject<'a> {
    Service(&'a ServiceName),
    History,
    /// A client that is told when all changes so far are on disk.
    Asker,
    Aside,
    Everything,
}

impl Queue {
    /// Adds the actions of one step. Returns those that need not wait.
    pub(super) fn take(&mut self, step: Vec<Action>) -> Vec<Action> {
        let mut at_once = Vec::new();
        let mut is_saving = false;
        for action in step {
            if matches!(action, Action::Save) {
                self.asked += 1;
                is_saving = true;
                continue;
            }
            let after = match subject(&action) {
                Subject::Aside => None,
                Subject::Asker => self.is_open().then_some(self.asked),
                _ if is_saving => Some(self.asked),
                subject => self.after(&subject),
            };
            match after {
                Some(after) => self.waiting.push_back((after, action)),
                None => at_once.push(action),
            }
        }
        at_once
    }

    /// Requests another write of the same state, because the last one failed.
    pub(super) fn ask_again(&mut self) {
        self.asked += 1;
    }

    /// The write to start now; `None` while one is in progress, or if everything was written.
    pub(super) fn begin(&mut self) -> Option<Writing> {
        if self.begun != self.over || self.asked == self.over {
            return None;
        }
        self.begun = self.asked;
        Some(self.begun)
    }

    /// Whether a requested write has not ended yet.
    pub(super) fn is_open(&self) -> bool {
        self.asked != self.over
    }

    /// Ends a write. Returns the actions that waited for it, in order.
    pub(super) fn end(&mut self, writing: Writing) -> Vec<Action> {
        self.over = self.over.max(writing);
        self.release(writing)
    }

    /// Returns all actions, so that none waits any longer. A write in progress continues.
    pub(super) fn give_up(&mut self) -> Vec<Action> {
        self.release(self.asked)
    }

    /// Whether any action waits.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn release(&mut self, upto: Writing) -> Vec<Action> {
        let (released, left) = std::mem::take(&mut self.waiting).into_iter().partition(|(after, _)| *after <= upto);
        self.waiting = left;
        let released: VecDeque<(Writing, Action)> = released;
        released.into_iter().map(|(_, action)| action).collect()
    }

    /// The write after which an action about this subject keeps its order; `None` if no other one waits.
    fn after(&self, subject: &Subject<'_>) -> Option<Writing> {
        let is_before = |waiting: &Action| *subject == Subject::Everything || self::subject(waiting) == *subject;
        self.waiting.iter().filter(|(_, action)| is_before(action)).map(|(after, _)| *after).max()
    }
}

fn subject(action: &Action) -> Subject<'_> {
    match action {
        Action::Save | Action::Exit { .. } => Subject::Everything,
        Action::Record(_) => Subject::History,
        Action::Accepted { .. } => Subject::Asker,
        // Reading, refusing, repeatable effects and connections to shims do not depend on anything that was saved.
        Action::Read { .. }
        | Action::Planned { .. }
        | Action::Refused { .. }
        | Action::Hold { .. }
        | Action::KeepLogs { .. }
        | Action::CutLog { .. }
        | Action::Yield { .. }
        | Action::Connect { .. }
        | Action::Adopt { .. }
        | Action::Ask { .. } => Subject::Aside,
        Action::Prepare { service, .. }
        | Action::MakeRelease { service, .. }
        | Action::DropRelease { service, .. }
        | Action::Hook { service, .. }
        | Action::MarkLive { service, .. } => Subject::Service(service),
        Action::Start(order) => Subject::Service(order.invocation.instance.service()),
        Action::Signal { invocation, .. }
        | Action::ShutdownCommand { invocation, .. }
        | Action::Kill { invocation }
        | Action::Probe { invocation, .. } => Subject::Service(invocation.instance.service()),
        Action::Release { instance }
        | Action::Direct { instance }
        | Action::Count { instance, .. }
        | Action::TellRole { instance, .. } => Subject::Service(instance.service()),
        Action::Route(table) => Subject::Service(&table.service),
        Action::Verify(asked) => Subject::Service(&asked.service),
    }
}

#[cfg(test)]
mod tests {
    use core_engine::InstanceId;

    use super::*;

    fn release(instance: &str) -> Action {
        Action::Release { instance: instance.parse::<InstanceId>().unwrap() }
    }

    fn names(actions: Vec<Action>) -> Vec<String> {
        actions.iter().map(action_name).collect()
    }

    fn action_name(action: &Action) -> String {
        match action {
            Action::Release { instance } => instance.to_string(),
            Action::Exit { .. } => "exit".into(),
            Action::Accepted { operation } => format!("accepted {operation}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_follows_a_save_waits_and_another_service_does_not() {
        let mut queue = Queue::default();
        assert!(queue.take(vec![Action::Save, release("web-0@1"), release("web-1@1")]).is_empty());
        assert_eq!(queue.begin(), Some(1));
        let at_once = queue.take(vec![release("db-0@1"), release("web-0@2")]);
        assert_eq!(at_once.iter().map(action_name).collect::<Vec<_>>(), ["db-0@1"]);
        assert!(queue.take(vec![Action::Accepted { operation: 1 }]).is_empty());
        assert_eq!(names(queue.end(1)), ["web-0@1", "web-1@1", "web-0@2", "accepted 1"]);
        assert!(!queue.is_open());
        assert_eq!(names(queue.take(vec![Action::Accepted { operation: 2 }])), ["accepted 2"]);
        assert_eq!(queue.take(vec![release("web-0@3")]).len(), 1);
    }

    #[test]
    fn several_saves_are_one_writing_of_the_newest() {
        let mut queue: Queue = Queue::default();
        queue.take(vec![Action::Save, release("a-0@1")]);
        assert_eq!(queue.begin(), Some(1));
        queue.take(vec![Action::Save, release("b-0@1")]);
        queue.take(vec![Action::Save, release("c-0@1")]);
        assert_eq!(queue.begin(), None, "one at a time");
        assert_eq!(names(queue.end(1)), ["a-0@1"]);
        assert_eq!(queue.begin(), Some(3));
        assert_eq!(names(queue.end(3)), ["b-0@1", "c-0@1"]);
        assert_eq!(queue.begin(), None);
    }

    #[test]
    fn the_end_waits_for_all_that_waits() {
        let mut queue: Queue = Queue::default();
        queue.take(vec![Action::Save, release("a-0@1")]);
        queue.begin();
        queue.take(vec![Action::Save, Action::Exit { code: 0 }]);
        assert_eq!(names(queue.end(1)), ["a-0@1"]);
        assert_eq!(queue.begin(), Some(2));
        assert!(queue.take(vec![Action::Exit { code: 0 }]).is_empty());
        assert_eq!(names(queue.end(2)), ["exit", "exit"]);
    }

    #[test]
    fn who_no_longer_waits_for_a_disk_that_does_not_answer_goes_on_in_order() {
        let mut queue: Queue = Queue::default();
        queue.take(vec![Action::Save, release("a-0@1")]);
        queue.begin();
        queue.take(vec![Action::Save, release("a-0@2")]);
        queue.take(vec![Action::Accepted { operation: 1 }]);
        assert_eq!(names(queue.give_up()), ["a-0@1", "a-0@2", "accepted 1"]);
        assert!(!queue.is_waited_for() && queue.is_open());
        assert_eq!(queue.begin(), None, "the first is still being written");
        queue.end(1);
        assert_eq!(queue.begin(), Some(2));
    }
}
