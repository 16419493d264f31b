//! How far each download and build is, for whoever looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One download or build that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// What is being done: `downloading`, `building`, …
    pub what: String,
    /// Bytes so far, for a download.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
}

/// All of them, by folder of `.dep/`. Written by the effects, read by the view; nothing is decided by it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<String, Job>>>);

impl Progress {
    /// Says what is being done now.
    pub fn say(&self, folder: &str, what: &str) {
        let job = Job { what: what.to_owned(), ..Job::default() };
        self.all().insert(folder.to_owned(), job);
    }

    /// Says how far a download is.
    pub fn at(&self, folder: &str, done: u64, total: Option<u64>) {
        if let Some(job) = self.all().get_mut(folder) {
            (job.done, job.total) = (done, total);
        }
    }

    /// It is over.
    pub fn end(&self, folder: &str) {
        self.all().remove(folder);
    }

    /// All of them now.
    pub fn jobs(&self) -> BTreeMap<String, Job> {
        self.all().clone()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
