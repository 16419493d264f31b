//! The stack that is measured, and its edits.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::demo::{Demo, UP, copy};
use crate::common::load::Load;
use crate::common::{checkout, proc, until};
use crate::figures::Window;

/// The four services, with the edge and the app running.
pub(crate) struct Place {
    /// Where they run.
    pub(crate) demo: Demo,
}

impl Place {
    /// Brings the stack up.
    pub(crate) fn new() -> Self {
        let demo = Demo::new();
        copy(&checkout().join("benches/swap/app"), &demo.stack.root.join("services/web/app/app"));
        let place = Self { demo };
        place.demo.stack.edit("web", |manifest| manifest["process"]["env"]["LEDGER"] = json!(place.ledger_path()));
        place.demo.stack.ok(&UP);
        place
    }

    /// Host and port of the edge.
    pub(crate) fn address(&self) -> String {
        self.demo.page.trim_start_matches("http://").to_owned()
    }

    /// The port of the edge.
    pub(crate) fn port(&self) -> u16 {
        self.demo.page.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Takes a binary out of the lock file: another version is meant.
    pub(crate) fn unlock(&self, binary: &str) {
        let path = self.demo.stack.root.join("manifests/dep.lock.json");
        let mut lock: Value = serde_json::from_slice(&fs::read(&path).expect("the lock")).expect("JSON");
        lock["binaries"].as_object_mut().expect("binaries").remove(binary);
        fs::write(&path, lock.to_string()).expect("written");
    }

    /// Edits a service, and waits until nothing is left of what ran before. Only `/proc` is looked at meanwhile, so that
    /// looking costs nothing.
    pub(crate) fn replace(&self, load: &Load, service: &str, change: impl FnOnce(&mut Value)) -> Window {
        self.replace_other(load, service, service, change)
    }

    /// Edits one service, and waits until nothing is left of another.
    pub(crate) fn replace_other(
        &self,
        load: &Load,
        service: &str,
        other: &str,
        change: impl FnOnce(&mut Value),
    ) -> Window {
        let before = self.demo.stack.pids_of(other);
        let from = load.began.elapsed();
        self.demo.stack.edit(service, change);
        until("what ran before has ended", || !before.iter().any(|pid| proc::lives(*pid)));
        (from, load.began.elapsed())
    }

    /// The same with something that shows nowhere else.
    pub(crate) fn swap(&self, load: &Load, number: u64) -> Window {
        self.replace(load, "web", |manifest| manifest["process"]["env"]["EDIT"] = json!(number.to_string()))
    }

    /// Waits until all is ready.
    pub(crate) fn settle(&self) {
        self.demo.stack.until_ready();
    }

    fn ledger_path(&self) -> PathBuf {
        self.demo.stack.root.join("ledger")
    }

    /// How many requests were begun and not ended, by the app's own writing.
    pub(crate) fn left_open(&self) -> usize {
        let text = fs::read_to_string(self.ledger_path()).unwrap_or_default();
        let count = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
        count("begin").saturating_sub(count("end"))
    }
}

/// A pause in which nothing is replaced: what is within is compared with it.
pub(crate) fn rest() {
    std::thread::sleep(Duration::from_secs(2));
}
