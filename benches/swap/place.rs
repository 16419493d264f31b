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
        place.edit("web", |manifest| manifest["process"]["env"]["LEDGER"] = json!(place.ledger_path()));
        place.demo.stack.ok(&UP);
        place
    }

    /// Host and port of the edge.
    pub(crate) fn address(&self) -> String {
        self.demo.page.trim_start_matches("http://").to_owned()
    }

    /// Changes a manifest, as an editor does: written beside, renamed.
    pub(crate) fn edit(&self, service: &str, change: impl FnOnce(&mut Value)) {
        let path = self.demo.stack.root.join(format!("services/{service}/service.json"));
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).expect("the manifest")).expect("JSON");
        change(&mut manifest);
        let beside = path.with_extension("new");
        fs::write(&beside, serde_json::to_string_pretty(&manifest).expect("JSON")).expect("a file");
        fs::rename(&beside, &path).expect("renamed");
    }

    /// Takes a binary out of the lock file: another version is meant.
    pub(crate) fn unlock(&self, binary: &str) {
        let path = self.demo.stack.root.join("manifests/dep.lock.json");
        let mut lock: Value = serde_json::from_slice(&fs::read(&path).expect("the lock")).expect("JSON");
        lock["binaries"].as_object_mut().expect("binaries").remove(binary);
        fs::write(&path, lock.to_string()).expect("written");
    }

    /// The processes of a service.
    pub(crate) fn pids(&self, service: &str) -> Vec<u32> {
        let status = self.demo.stack.status();
        let instances = status["instances"].as_array().expect("instances");
        let mine = instances.iter().filter(|one| one["service"] == service);
        mine.filter_map(|one| u32::try_from(one["pid"].as_u64()?).ok()).collect()
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
        let before = self.pids(other);
        let from = load.began.elapsed();
        self.edit(service, change);
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
