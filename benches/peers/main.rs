//! `core` beside its peers, in one run: `cargo bench --bench peers [-- TOOL…]`.
//!
//! Every tool runs the same programs. Rounds are interleaved, and medians are printed as a table in Markdown, with their
//! ratio to a bare loop of fork and exec where that has a number. A peer that is not on PATH is named; what a tool
//! cannot do, or was not told how, is `n/a`; what did not happen in time is `timeout`. A machine that does something
//! else at the same time measures that.
//!
//! | variable | default | |
//! |---|---|---|
//! | `TOOLS=core,s6` | all | parts of names of tools (`tools/`); the same as words behind `--` |
//! | `ROWS=start,kill` | all | names of rows: start, restart, stop, memory, idle, probes, chain, logs, kill, change |
//! | `ROUNDS=n` | 5 | rounds of start, restart, stop, memory, chain and change |
//! | `LONG_ROUNDS=n` | 1 | how many of these also take idle, probes, logs and kill |
//! | `SIZES=1,50` | 1,50,200,1000 | how many services, for start, restart (1), stop, memory and idle (from 50 on) |
//! | `MANY=n` | 200 | how many services, for probes and change |
//! | `IDLE=seconds` | 60 | how long processor time is watched |
//! | `LOG_MB=n` | 500 | how much is logged, in each size of block |
//! | `PATIENCE=seconds` | 60 | how long anything may take |
//! | `BEFORE=FILE` | | another build of `core`, run beside this one |
//! | `SHOW=1` | | lets the tools be heard |
//!
//! The program is four things: what watches that nothing is left behind (`guard.rs`), what measures (below), a service
//! (`acting.rs`), and the bare loop (`tools/bare.rs`). All of it is loopback only.

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark speaks to whoever runs it"
)]

mod acting;
mod children;
mod guard;
mod lines;
mod place;
mod processes;
mod rows;
mod run;
mod service;
mod settings;
mod sheet;
mod tools;

use std::io;
use std::process::ExitCode;

use settings::Settings;
use sheet::Sheet;
use tools::Tool;

fn main() -> io::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("--service") => acting::act(&words[1..]).map(|()| ExitCode::SUCCESS),
        Some("--inner") => {
            guard::inner()?;
            measure();
            Ok(ExitCode::SUCCESS)
        }
        _ => guard::watch(),
    }
}

/// All rounds of all rows with all tools, and the table.
fn measure() {
    let settings = Settings::read();
    for word in settings.strangers() {
        println!("no such row: {word}");
    }
    let (here, missing): (Vec<_>, Vec<_>) = settings.tools().into_iter().partition(|tool| tool.is_here());
    for tool in &missing {
        println!("not on PATH: {}", tool.name());
    }
    let mut sheet = Sheet::default();
    for round in 0..settings.rounds {
        eprintln!("round {} of {}", round + 1, settings.rounds);
        take(&settings, &here, round < settings.long_rounds, &mut sheet);
    }
    let names: Vec<&str> = here.iter().map(|tool| tool.name()).collect();
    sheet.print(&names);
}

/// Takes one row, or several that belong together, with one tool.
type Take = fn(&Settings, &'static dyn Tool, &mut Sheet);

/// One round.
fn take(settings: &Settings, tools: &[&'static dyn Tool], long: bool, sheet: &mut Sheet) {
    if ["start", "restart", "stop", "memory", "idle"].iter().any(|row| settings.wants(row)) {
        for size in &settings.sizes {
            for tool in tools {
                rows::sizes::take(settings, *tool, *size, long, sheet);
            }
        }
    }
    let kinds: [(&str, bool, Take); 5] = [
        ("chain", true, rows::chain::take),
        ("change", true, rows::change::take),
        ("probes", long, rows::probes::take),
        ("logs", long, rows::logs::take),
        ("kill", long, rows::kill::take),
    ];
    for (row, now, take) in kinds {
        if now && settings.wants(row) {
            for tool in tools {
                take(settings, *tool, sheet);
            }
        }
    }
}
