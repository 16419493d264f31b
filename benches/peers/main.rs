//! `core` beside its peers, in one run: `cargo bench --bench peers [-- FILTER…]`.
//!
//! The same shell line is run by each tool, so many times; rounds are interleaved, medians are printed with their ratio
//! to a bare loop of fork and exec. A peer that is not on PATH is named, not silently left out. `ROUNDS=n` (5) and
//! `SIZES=1,50,200,1000` change how much is done. A machine that does something else at the same time measures that.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to whoever runs it")]

mod measure;
mod place;
mod tool;

use std::collections::BTreeMap;
use std::time::Duration;

use measure::{crash_to_restarted, memory, start};
use place::Place;
use tool::Tool;

/// What is measured, and in which unit it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    /// From the command to the last of so many processes having run its first line.
    FanOut(usize),
    /// From the death of one to its next first line.
    Restart,
    /// From the request to the last process being gone, of so many.
    Stop(usize),
    /// Proportional set size of the tool's own processes, with so many services that do nothing.
    Memory(usize),
}

impl Row {
    fn words(self) -> String {
        match self {
            Self::FanOut(count) => format!("start of {count}, ms"),
            Self::Restart => "crash to restarted, ms".into(),
            Self::Stop(count) => format!("stop of {count}, ms"),
            Self::Memory(count) => format!("own memory at {count}, MiB"),
        }
    }
}

type Samples = BTreeMap<(Row, Tool), Vec<f64>>;

fn main() {
    let filters: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wanted = |tool: &Tool| filters.is_empty() || filters.iter().any(|filter| tool.name().contains(filter.as_str()));
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let sizes = std::env::var("SIZES").unwrap_or_else(|_| "1,50,200,1000".into());
    let sizes: Vec<usize> = sizes.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    let (here, missing): (Vec<Tool>, Vec<Tool>) = Tool::ALL.into_iter().filter(wanted).partition(|tool| tool.is_here());
    for tool in &missing {
        println!("not on PATH: {}", tool.name());
    }
    let mut samples = Samples::new();
    for round in 0..number("ROUNDS", 5) {
        for size in &sizes {
            for tool in &here {
                eprintln!("round {}: {} with {size}", round + 1, tool.name());
                take(*tool, *size, &mut samples);
            }
        }
    }
    print(&here, &samples);
}

/// One round of one tool with so many services.
fn take(tool: Tool, size: usize, samples: &mut Samples) {
    let mut note = |row, value: f64| samples.entry((row, tool)).or_default().push(value);
    let place = Place::new(size);
    let (mut running, took) = start(tool, &place);
    note(Row::FanOut(size), millis(took));
    if size == 1 && tool.restarts() {
        note(Row::Restart, millis(crash_to_restarted(&place)));
    }
    if size >= 50 {
        note(Row::Memory(size), memory(&running));
    }
    let took = running.stop(&place);
    if size >= 50 {
        note(Row::Stop(size), millis(took));
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A table in Markdown: a row for each thing that is measured, a column for each tool, with the ratio to bare.
fn print(tools: &[Tool], samples: &Samples) {
    let mut rows: Vec<Row> = samples.keys().map(|(row, _)| *row).collect();
    rows.dedup();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    println!("\n| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(tools.len()));
    for row in rows {
        let bare = samples.get(&(row, Tool::Bare)).map(|values| median(values));
        let cells: Vec<String> = tools
            .iter()
            .map(|tool| match (samples.get(&(row, *tool)), bare) {
                (None, _) => String::new(),
                (Some(values), Some(bare)) if *tool != Tool::Bare && bare > 0.0 => {
                    let value = median(values);
                    format!("{value:.1} ({:.1} ×)", value / bare)
                }
                (Some(values), _) => format!("{:.1}", median(values)),
            })
            .collect();
        println!("| {} | {} |", row.words(), cells.join(" | "));
    }
}
