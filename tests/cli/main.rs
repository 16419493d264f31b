//! What people see: help, tables, trees, complaints; and what shells and manuals make of it. Most of it is compared with
//! a snapshot. `INSTA_UPDATE=always` writes the snapshots again; look at them before you commit them.

#![allow(clippy::disallowed_macros, clippy::print_stderr, reason = "tests speak to whoever runs them")]

#[path = "../common/mod.rs"]
mod common;

mod analyze;
mod canned;
mod doctor;
mod gone;
mod graph;
mod help;
mod password;
mod people;
mod phrases;
mod shell;
mod terminal;
mod top;
mod watch;

use common::{Said, Stack};

/// What `core` says to a person without colours, on a terminal of this width.
fn told(stack: &Stack, words: &[&str], width: usize) -> String {
    let output = stack.command(words).env("COLUMNS", width.to_string()).env("NO_COLOR", "1").output();
    let said = Said::of(output.expect("core runs"));
    assert!(!said.err.contains("panicked"), "{}", said.err);
    let text = format!("{}{}", said.out, said.err).replace(&stack.root.display().to_string(), "<root>");
    assert!(!text.contains('\u{1b}'), "colours: {text:?}");
    text
}

/// No line is wider than the terminal.
#[track_caller]
fn expect_fits(text: &str, width: usize) {
    for line in text.lines() {
        assert!(line.chars().count() <= width, "wider than {width}: {line:?}");
    }
}
