//! The history, written beside the loop: a file of many years may have to be read and cut, and the name of a user may
//! have to come from another host.

use std::sync::mpsc;
use std::thread;

use core_engine::record::Record;
use core_stack::Hidden;
use tokio::sync::oneshot;

use super::Journal;
use crate::paths::Paths;

/// What the thread is told, in this order.
enum Task {
    Write(Record),
    Flush(oneshot::Sender<()>),
}

/// The way to the thread that writes.
#[derive(Clone)]
pub struct Writer {
    tasks: mpsc::Sender<Task>,
    supervisor: String,
}

impl Writer {
    /// Of a stack, for a new supervisor. Where the system has no thread, there is no history: nothing that runs needs
    /// it.
    pub(crate) fn new(paths: &Paths, hidden: Hidden) -> Self {
        let (tasks, told) = mpsc::channel();
        let (supervisor, paths) = (super::supervisor(), paths.clone());
        let name = supervisor.clone();
        let work = move || {
            let mut history = Journal::new(&paths, name, hidden);
            while let Ok(task) = told.recv() {
                match task {
                    Task::Write(record) => history.write(&record),
                    Task::Flush(done) => drop(done.send(())),
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("history".into()).spawn(work) {
            tracing::warn!("history.jsonl is not written: {error}");
        }
        Self { tasks, supervisor }
    }

    /// Whose entries may still be under way.
    pub(crate) fn supervisor(&self) -> &str {
        &self.supervisor
    }

    /// Has something written down.
    pub(crate) fn write(&self, record: Record) {
        let _ = self.tasks.send(Task::Write(record));
    }

    /// Waits until all that was told is written.
    pub(crate) async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        if self.tasks.send(Task::Flush(done)).is_ok() {
            let _ = is_done.await;
        }
    }
}
