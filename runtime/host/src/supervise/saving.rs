//! Saves the state outside of the loop: a disk may be slow, and only what depends on it waits.

use std::io;
use std::time::Duration;

use core_engine::{Action, Saved};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Supervisor;
use super::queue::{Queue, Writing};
use crate::descriptors;
use crate::journal::Journal;
use crate::own_log;

/// How long to wait for a disk before going on without it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a stack that is being stopped, which must not be delayed.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(1);
/// The pause before a failed write is repeated.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// A state to write.
struct Task {
    writing: Writing,
    profile: String,
    saved: Saved,
}

/// The result of a write.
pub(super) struct Written {
    writing: Writing,
    result: io::Result<()>,
}

/// The write in progress, and what waits for it.
pub(super) struct Saving {
    queue: Queue,
    pen: Pen,
    /// When the last write was started.
    began: Instant,
    /// Whether it takes longer than the time limit.
    is_stuck: bool,
    retry_at: Option<Instant>,
    /// Why the state is not on disk; `None` if it is.
    unsaved: Option<String>,
}

/// How the state is written.
enum Pen {
    Thread(std::sync::mpsc::Sender<Task>),
    /// In the loop, if the system has no thread left: slower, but just as durable.
    Loop(Journal, mpsc::UnboundedSender<Written>),
}

impl Saving {
    pub(super) fn new(journal: Journal, written: mpsc::UnboundedSender<Written>) -> Self {
        let (tasks, told) = std::sync::mpsc::channel::<Task>();
        let (mut own, tell) = (journal.clone(), written.clone());
        let work = move || {
            while let Ok(task) = told.recv() {
                let result = descriptors::with_reserve(|| own.write(&task.profile, &task.saved));
                let _ = tell.send(Written { writing: task.writing, result });
            }
        };
        let pen = match std::thread::Builder::new().name("state".into()).spawn(work) {
            Ok(_) => Pen::Thread(tasks),
            Err(_) => Pen::Loop(journal, written),
        };
        Self { queue: Queue::default(), pen, began: Instant::now(), is_stuck: false, retry_at: None, unsaved: None }
    }

    /// Why the state is not on disk; `None` if it is.
    pub(super) fn unsaved(&self) -> Option<&str> {
        self.unsaved.as_deref()
    }

    /// Whether anything is still to be written.
    pub(super) fn is_open(&self) -> bool {
        self.queue.is_open()
    }

    /// When [`Supervisor::look_at_the_disk`] is due.
    pub(super) fn alarm(&self, is_stopping: bool) -> Option<Instant> {
        let patience = if is_stopping { PATIENCE_AT_THE_END } else { PATIENCE };
        let patience = if self.is_stuck { Duration::ZERO } else { patience };
        let late = self.queue.is_waited_for().then(|| self.began + patience);
        [late, self.retry_at].into_iter().flatten().min()
    }

    fn write(&mut self, task: Task) {
        self.began = Instant::now();
        match &mut self.pen {
            Pen::Thread(tasks) => drop(tasks.send(task)),
            Pen::Loop(journal, written) => {
                let result = descriptors::with_reserve(|| journal.write(&task.profile, &task.saved));
                let _ = written.send(Written { writing: task.writing, result });
            }
        }
    }
}

impl Supervisor {
    /// Starts the actions of a step that need not wait for the disk; the others wait for a write.
    pub(super) fn begin_actions(&mut self, actions: Vec<Action>) {
        for action in self.saving.queue.take(actions) {
            self.begin(action);
        }
        self.save();
    }

    /// Starts to write the newest state, if that is due and no write is in progress.
    fn save(&mut self) {
        if let Some(writing) = self.saving.queue.begin() {
            self.saving.retry_at = None;
            self.saving.write(Task { writing, profile: self.reading.profile(), saved: self.engine.saved() });
        }
    }

    /// Handles the end of a write: waiting actions start. A failure is logged, and the write is repeated later.
    pub(super) fn written(&mut self, written: Written) {
        self.saving.is_stuck = false;
        let failure =
            written.result.err().map(|error| format!("state.json cannot be written: {}", own_log::in_words(&error)));
        if let Some(failure) = failure.as_ref().filter(|failure| Some(*failure) != self.saving.unsaved.as_ref()) {
            tracing::error!("{failure}");
        }
        self.saving.retry_at = failure.as_ref().map(|_| Instant::now() + TRY_AGAIN);
        self.saving.unsaved = failure;
        self.saving.queue.end(written.writing).into_iter().for_each(|action| self.begin(action));
        self.save();
    }

    /// Handles a disk that is late, or repeats a failed write.
    pub(super) fn look_at_the_disk(&mut self) {
        let now = Instant::now();
        if self.saving.retry_at.is_some_and(|at| at <= now) {
            self.saving.retry_at = None;
            self.saving.queue.ask_again();
            self.save();
            return;
        }
        if !self.saving.is_stuck {
            self.saving.is_stuck = true;
            let unsaved = format!(
                "state.json is not written: its disk has not answered for {:.0} s",
                self.saving.began.elapsed().as_secs_f64()
            );
            tracing::error!("{unsaved}");
            self.saving.unsaved = Some(unsaved);
        }
        self.saving.queue.give_up().into_iter().for_each(|action| self.begin(action));
    }
}
