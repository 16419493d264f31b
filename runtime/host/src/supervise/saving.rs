//! What is wanted, written down beside the loop: a disk may take its time, and only who needs it waits for it.

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

/// How long a disk may take before nobody waits for it any longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a stack that is being ended, which nothing holds up.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(1);
/// Until what could not be written is tried once more.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// A state to be written.
struct Task {
    writing: Writing,
    profile: String,
    saved: Saved,
}

/// How a writing went.
pub(super) struct Written {
    writing: Writing,
    result: io::Result<()>,
}

/// What is to be written, and what waits for it.
pub(super) struct Saving {
    queue: Queue,
    pen: Pen,
    /// When what is being written was begun.
    began: Instant,
    /// It takes longer than anybody waits.
    is_stuck: bool,
    retry_at: Option<Instant>,
    /// Why the state is not on disk.
    unsaved: Option<String>,
}

/// Who writes.
enum Pen {
    Thread(std::sync::mpsc::Sender<Task>),
    /// The system has no thread for it: slower, and as durable.
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

    /// Why the state is not on disk, while it is not.
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
    /// Begins the actions of a step: what need not wait for the disk at once.
    pub(super) fn begin_actions(&mut self, actions: Vec<Action>) {
        for action in self.saving.queue.take(actions) {
            self.begin(action);
        }
        self.save();
    }

    /// Has the newest state written down, where that is due and nothing is being written.
    fn save(&mut self) {
        if let Some(writing) = self.saving.queue.begin() {
            self.saving.retry_at = None;
            self.saving.write(Task { writing, profile: self.reading.profile(), saved: self.engine.saved() });
        }
    }

    /// A writing is over: what waited for it goes on. What could not be written is said, and tried again by itself.
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

    /// A disk was late, or is to be tried once more.
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
