//! What came of the loads, and the table made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::common::load::Outcome;

/// A span of a load's time in which something was replaced.
pub(crate) type Window = (Duration, Duration);

/// One run of one row.
struct Figure {
    row: String,
    requests: usize,
    failed: usize,
    reopened: usize,
    outside: Option<f64>,
    inside: Option<f64>,
    note: String,
}

/// All runs.
#[derive(Default)]
pub(crate) struct Figures {
    runs: Vec<Figure>,
    /// What is no load: said below the table.
    lines: Vec<String>,
}

impl Figures {
    /// Takes a run down. Failures are shown at once, by kind.
    pub(crate) fn note(&mut self, row: &str, outcome: &Outcome, windows: &[Window], note: &str) {
        let is_inside = |due: Duration| windows.iter().any(|(from, to)| (*from..=*to).contains(&due));
        let millis = |inside: bool| -> Vec<f64> {
            let samples = outcome.samples.iter().filter(|sample| is_inside(sample.due) == inside);
            samples.map(|sample| sample.took.as_secs_f64() * 1000.0).collect()
        };
        let figure = Figure {
            row: row.into(),
            requests: outcome.samples.len(),
            failed: outcome.failures().len(),
            reopened: outcome.reopened,
            outside: percentile(millis(false)),
            inside: percentile(millis(true)),
            note: note.into(),
        };
        eprintln!("    {}", figure.cells().join(" | "));
        if std::env::var_os("SHOW").is_some() {
            show(outcome, windows);
        }
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for sample in outcome.failures() {
            *kinds
                .entry(format!("{} {}", sample.method, sample.failure.as_deref().unwrap_or_default()))
                .or_default() += 1;
        }
        for (kind, count) in kinds {
            eprintln!("      {count} × {kind}");
        }
        self.runs.push(figure);
    }

    /// Takes down a run beside one of the same length in which nothing happened.
    pub(crate) fn compare(&mut self, row: &str, with: &Outcome, without: &Outcome, note: &str) {
        let p99 = |outcome: &Outcome| {
            percentile(outcome.samples.iter().map(|sample| sample.took.as_secs_f64() * 1000.0).collect())
        };
        let figure = Figure {
            row: row.into(),
            requests: with.samples.len() + without.samples.len(),
            failed: with.failures().len() + without.failures().len(),
            reopened: with.reopened + without.reopened,
            outside: p99(without),
            inside: p99(with),
            note: note.into(),
        };
        eprintln!("    {}", figure.cells().join(" | "));
        self.runs.push(figure);
    }

    /// Takes down how long something took.
    pub(crate) fn line(&mut self, what: &str, took: Duration, note: &str) {
        let line = format!("{what} {:.1} ms ({note})", took.as_secs_f64() * 1000.0);
        eprintln!("    {line}");
        self.lines.push(line);
    }

    /// Prints the table in Markdown.
    pub(crate) fn print(&self) {
        println!("\n| | requests | failed | idle closed | p99 outside, ms | p99 within, ms | ratio | |");
        println!("|---|---|---|---|---|---|---|---|");
        for figure in &self.runs {
            println!("| {} |", figure.cells().join(" | "));
        }
        let mut ratios: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for figure in &self.runs {
            ratios.entry(&figure.row).or_default().extend(figure.ratio());
        }
        for (row, mut ratios) in ratios.into_iter().filter(|(_, ratios)| ratios.len() > 1) {
            ratios.sort_by(f64::total_cmp);
            println!("\n{row}: median of {} ratios {:.2}", ratios.len(), ratios[ratios.len() / 2]);
        }
        for line in &self.lines {
            println!("\n{line}");
        }
    }
}

impl Figure {
    fn ratio(&self) -> Option<f64> {
        Some(self.inside? / self.outside?)
    }

    fn cells(&self) -> Vec<String> {
        let number = |value: Option<f64>, digits| value.map_or_else(String::new, |value| format!("{value:.digits$}"));
        vec![
            self.row.clone(),
            self.requests.to_string(),
            self.failed.to_string(),
            self.reopened.to_string(),
            number(self.outside, 1),
            number(self.inside, 1),
            number(self.ratio(), 2),
            self.note.clone(),
        ]
    }
}

/// The 99th.
fn percentile(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied()
}

/// The course of it: what a window is like in each half second since its beginning.
fn show(outcome: &Outcome, windows: &[Window]) {
    let mut course: BTreeMap<u128, Vec<f64>> = BTreeMap::new();
    for sample in &outcome.samples {
        if let Some((from, _)) = windows.iter().rev().find(|(from, _)| *from <= sample.due) {
            let bin = sample.due.saturating_sub(*from).as_millis() / 500;
            course.entry(bin).or_default().push(sample.took.as_secs_f64() * 1000.0);
        }
    }
    for (bin, values) in course {
        let begins = std::time::Duration::from_millis(500 * u64::try_from(bin).unwrap_or(0));
        eprintln!("      from {begins:?}: p99 {:.0} ms", percentile(values).unwrap_or(0.0));
    }
}
