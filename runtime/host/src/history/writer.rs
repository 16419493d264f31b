//! Writes the history in a thread: reading and cutting a large file takes time, and the name of a user may come from
//! another host.

use std::sync::mpsc;
use std::thread;

use core_engine::record::Record;
use core_stack::Hidden;
use tokio::sync::oneshot;

use super::Journal;
use crate::paths::Paths;

/// A task for the thread, carried out in order.
enum Task {
    Write(Record),
    Flush(oneshot::Sender<()>),
}

/// The sender of tasks to the thread.
#[derive(Clone)]
pub struct Writer {
    tasks: mpsc::Sender<Task>,
    supervisor: String,
}

impl Writer {
    /// Starts the thread for a new supervisor. If the system has no thread left, no history is written: nothing that
    /// runs needs it.
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

    /// The supervisor whose entries may still be under way.
    pub(crate) fn supervisor(&self) -> &str {
        &self.supervisor
    }

    /// Queues a record to be written.
    pub(crate) fn write(&self, record: Record) {
        let _ = self.tasks.send(Task::Write(record));
    }

    /// Waits until everything that was queued is written.
    pub(crate) async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        if self.tasks.send(Task::Flush(done)).is_ok() {
            let _ = is_done.await;
        }
    }
}
