//! What waits for the disk. What follows from a change begins when the change is written down, and what concerns the
//! same service after it; everything else goes on at once. Several changes are one writing.

use std::collections::VecDeque;

use core_engine::Action;
use core_manifest::ServiceName;

/// Number of a writing; each that is asked for has the next one.
pub(super) type Writing = u64;

/// What waits, in order, each for the writing of this number. `T` waits like an action, for all that was asked for
/// before it: somebody who is to be told that something is on disk.
pub(super) struct Queue<T> {
    waiting: VecDeque<(Writing, Item<T>)>,
    /// The last that was asked for.
    asked: Writing,
    /// The last that was begun.
    begun: Writing,
    /// The last that is over, well or not.
    over: Writing,
}

/// Something that waits.
pub(super) enum Item<T> {
    /// An effect to begin.
    Action(Action),
    /// Somebody to tell.
    Told(T),
}

/// What an action is about: actions about the same keep their order.
#[derive(PartialEq, Eq)]
enum Subject<'a> {
    Service(&'a ServiceName),
    History,
    Aside,
    Everything,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), asked: 0, begun: 0, over: 0 }
    }
}

impl<T> Queue<T> {
    /// Takes in the actions of one step. Returns those that need not wait.
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
                _ if is_saving => Some(self.asked),
                subject => self.after(&subject),
            };
            match after {
                Some(after) => self.waiting.push_back((after, Item::Action(action))),
                None => at_once.push(action),
            }
        }
        at_once
    }

    /// Somebody is to be told when all that was asked for so far is on disk; given back where it is.
    pub(super) fn tell(&mut self, who: T) -> Option<T> {
        if self.asked == self.over {
            return Some(who);
        }
        self.waiting.push_back((self.asked, Item::Told(who)));
        None
    }

    /// The same as what is on disk is to be written once more: the last time it could not be.
    pub(super) fn ask_again(&mut self) {
        self.asked += 1;
    }

    /// The writing that is to begin now; none while one is under way, or where all is written.
    pub(super) fn begin(&mut self) -> Option<Writing> {
        if self.begun != self.over || self.asked == self.over {
            return None;
        }
        self.begun = self.asked;
        Some(self.begun)
    }

    /// Whether anything that was asked for is not over.
    pub(super) fn is_open(&self) -> bool {
        self.asked != self.over
    }

    /// A writing is over. Returns what waited for it, in order.
    pub(super) fn end(&mut self, writing: Writing) -> Vec<Item<T>> {
        self.over = self.over.max(writing);
        self.release(writing)
    }

    /// Nobody waits any longer. What is being written is still under way.
    pub(super) fn give_up(&mut self) -> Vec<Item<T>> {
        self.release(self.asked)
    }

    /// Whether anybody waits.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn release(&mut self, upto: Writing) -> Vec<Item<T>> {
        let (released, left) = std::mem::take(&mut self.waiting).into_iter().partition(|(after, _)| *after <= upto);
        self.waiting = left;
        let released: VecDeque<(Writing, Item<T>)> = released;
        released.into_iter().map(|(_, item)| item).collect()
    }

    /// The writing after which an action of this subject is in order; none where nothing of it waits.
    fn after(&self, subject: &Subject<'_>) -> Option<Writing> {
        let is_before = |item: &Item<T>| match item {
            Item::Action(waiting) => *subject == Subject::Everything || self::subject(waiting) == *subject,
            Item::Told(_) => *subject == Subject::Everything,
        };
        self.waiting.iter().filter(|(_, item)| is_before(item)).map(|(after, _)| *after).max()
    }
}

fn subject(action: &Action) -> Subject<'_> {
    match action {
        Action::Save | Action::Exit { .. } => Subject::Everything,
        Action::Record(_) => Subject::History,
        // Who looks after an instance follows from nothing that is written down.
        Action::Yield { .. } | Action::Connect { .. } | Action::Adopt { .. } | Action::Ask { .. } => Subject::Aside,
        Action::Prepare { service, .. } => Subject::Service(service),
        Action::Start(order) => Subject::Service(order.invocation.instance.service()),
        Action::Signal { invocation, .. }
        | Action::ShutdownCommand { invocation, .. }
        | Action::Kill { invocation }
        | Action::Probe { invocation, .. } => Subject::Service(invocation.instance.service()),
        Action::Release { instance } | Action::Count { instance, .. } => Subject::Service(instance.service()),
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

    fn names(items: Vec<Item<&'static str>>) -> Vec<String> {
        let name = |item: Item<&'static str>| match item {
            Item::Action(action) => action_name(&action),
            Item::Told(who) => who.to_owned(),
        };
        items.into_iter().map(name).collect()
    }

    fn action_name(action: &Action) -> String {
        match action {
            Action::Release { instance } => instance.to_string(),
            Action::Exit { .. } => "exit".into(),
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
        assert_eq!(queue.tell("user"), None);
        assert_eq!(names(queue.end(1)), ["web-0@1", "web-1@1", "web-0@2", "user"]);
        assert!(!queue.is_open());
        assert_eq!(queue.tell("user"), Some("user"));
        assert_eq!(queue.take(vec![release("web-0@3")]).len(), 1);
    }

    #[test]
    fn several_saves_are_one_writing_of_the_newest() {
        let mut queue: Queue<&str> = Queue::default();
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
        let mut queue: Queue<&str> = Queue::default();
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
        let mut queue: Queue<&str> = Queue::default();
        queue.take(vec![Action::Save, release("a-0@1")]);
        queue.begin();
        queue.take(vec![Action::Save, release("a-0@2")]);
        queue.tell("user");
        assert_eq!(names(queue.give_up()), ["a-0@1", "a-0@2", "user"]);
        assert!(!queue.is_waited_for() && queue.is_open());
        assert_eq!(queue.begin(), None, "the first is still being written");
        queue.end(1);
        assert_eq!(queue.begin(), Some(2));
    }
}
