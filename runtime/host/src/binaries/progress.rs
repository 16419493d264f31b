//! The progress of each download and build, for display.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A download or build in progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// What it is doing: `downloading`, `building`, …
    pub what: String,
    /// Bytes downloaded so far.
    pub done: u64,
    /// Total bytes, if known.
    pub total: Option<u64>,
}

/// All jobs, by folder of `.dep/`. Written by the effects and read by the view; no decision depends on it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<String, Job>>>);

impl Progress {
    /// Sets what a job is doing now, without a byte count; adds the job if it is new.
    pub fn say(&self, folder: &str, what: &str) {
        let job = Job { what: what.to_owned(), ..Job::default() };
        self.all().insert(folder.to_owned(), job);
    }

    /// Sets how far a download is, in bytes.
    pub fn at(&self, folder: &str, done: u64, total: Option<u64>) {
        if let Some(job) = self.all().get_mut(folder) {
            (job.done, job.total) = (done, total);
        }
    }

    /// Removes a job that has ended.
    pub fn end(&self, folder: &str) {
        self.all().remove(folder);
    }

    /// A copy of all jobs.
    pub fn jobs(&self) -> BTreeMap<String, Job> {
        self.all().clone()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
