//! A headless browser, by the scripts in tests/browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::{Said, checkout};

/// Tests of one program may need it at the same time; its packages are installed once.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Runs a script with these arguments, and returns what it said. `path` is the PATH, `npm` how to call npm.
pub(crate) fn run(path: &str, node: &str, npm: &[&str], arguments: &[&str]) -> String {
    install(path, npm);
    said(path, &[&[node], arguments].concat())
}

/// A command in the folder of the scripts.
pub(crate) fn command(path: &str, words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder()).env("PATH", path).env_remove("NODE_ENV");
    command
}

/// Installs the packages that the scripts need, where they are not there.
pub(crate) fn install(path: &str, npm: &[&str]) {
    let tests = folder();
    let installed = tests.join("node_modules/.package-lock.json");
    let age = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let turn = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if age(&installed) < age(&tests.join("package-lock.json")) {
        said(path, &[npm, &["ci", "--no-audit", "--no-fund"]].concat());
    }
    drop(turn);
}

fn folder() -> PathBuf {
    checkout().join("tests/browser")
}

fn said(path: &str, words: &[&str]) -> String {
    let said = Said::of(command(path, words).output().expect("Node.js runs"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    said.out
}
