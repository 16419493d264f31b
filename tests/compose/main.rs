//! Leaving core: the stack as a project of process-compose, and `core probe`, which asks there what it cannot ask.
//!
//! The real program is looked for on PATH only. Where it is not, the tests that need it say so and assert nothing.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests speak to whoever runs them")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../fixture/mod.rs"]
mod fixture;

mod file;
mod probe;
mod real;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == "fixture") {
        fixture::run(&words[2..]);
        return;
    }
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    for (name, run) in [file::TESTS, probe::TESTS, real::TESTS].concat() {
        trials.push(Trial::test(name, move || {
            run();
            Ok(())
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}
