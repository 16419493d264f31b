//! Leaving core: the stack as a project of process-compose, and `core probe`, which asks there what it cannot ask.
//!
//! The real program is looked for on PATH only. Where it is not, the tests that need it are ignored, and it is said why.

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests speak to whoever runs them"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../fixture/mod.rs"]
mod fixture;

mod file;
mod probe;
mod real;

use common::trials;

fn main() {
    if fixture::ran() {
        return;
    }
    let mut all = trials::of(&[file::TESTS, probe::TESTS]);
    let is_here = real::is_here();
    if !is_here {
        eprintln!("process-compose was looked for on PATH and is not there: what it makes of the file is not tested");
    }
    all.extend(trials::of(&[real::TESTS]).into_iter().map(|trial| trial.with_ignored_flag(!is_here)));
    trials::run(all);
}
