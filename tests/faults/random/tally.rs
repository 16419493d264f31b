//! What was done, what came of it, and the table made of that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// All that was counted.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) sequences: usize,
    /// How often each fault was injected.
    pub(crate) faults: BTreeMap<String, usize>,
    /// From the end of the faults until all was well.
    pub(crate) well: Vec<Duration>,
    /// How long `core status` took then.
    pub(crate) status: Vec<Duration>,
    /// How long `core down` took.
    pub(crate) down: Vec<Duration>,
    /// Requests that `web` was sent.
    pub(crate) requests: usize,
    /// Lines of `chatty` that were read.
    pub(crate) lines: u64,
    pub(crate) broken: Vec<Broken>,
}

/// A sequence after which not all was well.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) seed: u64,
    /// What was done, and when.
    pub(crate) told: Vec<String>,
    /// What was not well.
    pub(crate) lacks: Vec<String>,
    /// The end of `core.log`.
    pub(crate) log: String,
    /// Where all of it is.
    pub(crate) folder: PathBuf,
}

impl Broken {
    /// In words.
    pub(crate) fn words(&self) -> String {
        format!(
            "seed {} is broken\n  {}\n  what was done:\n  {}\n  core.log:\n{}\n  kept: {}",
            self.seed,
            self.lacks.join("\n  "),
            self.told.join("\n  "),
            self.log,
            self.folder.display()
        )
    }
}

impl Figures {
    /// Takes those of another worker in.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { sequences, faults, well, status, down, requests, lines, broken } = other;
        self.sequences += sequences;
        for (name, count) in faults {
            *self.faults.entry(name).or_default() += count;
        }
        self.well.extend(well);
        self.status.extend(status);
        self.down.extend(down);
        self.requests += requests;
        self.lines += lines;
        self.broken.extend(broken);
    }

    /// Tables in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("\n| fault | injected |\n|---|---|\n");
        for (name, count) in &self.faults {
            text.push_str(&format!("| {name} | {count} |\n"));
        }
        let all: usize = self.faults.values().sum();
        text.push_str(&format!("| all | {all} |\n\n| checked | |\n|---|---|\n"));
        let (sequences, broken) = (self.sequences, self.broken.len());
        text.push_str(&format!("| sequences | {sequences} |\n| broken | {broken} |\n"));
        text.push_str(&format!("| lines of output | {} |\n| requests | {} |\n", self.lines, self.requests));
        let late = self.well.iter().filter(|took| **took > Duration::from_secs(2)).count();
        text.push_str(&format!("| well again later than 2 s | {late} |\n"));
        text.push_str("\n| | half within | 9 of 10 | 99 of 100 | all |\n|---|---|---|---|---|\n");
        for (name, all) in [("well again", &self.well), ("`core status`", &self.status), ("`core down`", &self.down)] {
            let mut all = all.clone();
            all.sort_unstable();
            let at = |hundredth: usize| all.get(all.len().saturating_sub(1) * hundredth / 100).copied();
            let cell = |hundredth| at(hundredth).map_or("-".into(), |took| format!("{:.2} s", took.as_secs_f64()));
            text.push_str(&format!("| {name} | {} | {} | {} | {} |\n", cell(50), cell(90), cell(99), cell(100)));
        }
        text
    }
}
