//! What a machine has in its PATH, and what it lacks.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::common::{Stack, put_program};
use crate::shelf::shelf;

/// What shell scripts of these tests call.
const BASICS: &[&str] = &["sh", "sleep", "cat", "cp", "mkdir", "touch", "chmod", "dirname", "env"];

/// A stack whose PATH begins with a folder that has these programs: shell scripts, with `NOTES` to write to.
pub(crate) fn with_programs(stack: Stack, programs: &[(&str, &str)]) -> Stack {
    let path = std::env::var("PATH").unwrap_or_default();
    with_path(stack, programs, &path)
}

/// The same on a machine that has nothing else.
pub(crate) fn with_only(stack: Stack, programs: &[(&str, &str)]) -> Stack {
    let basics = stack.root.join("basics");
    fs::create_dir(&basics).expect("a folder");
    for name in BASICS {
        let all = ["/usr/bin", "/bin"].map(|folder| format!("{folder}/{name}"));
        let program = all.iter().find(|path| fs::exists(path).unwrap_or_default()).expect(name);
        symlink(program, basics.join(name)).expect("a link");
    }
    let basics = basics.display().to_string();
    with_path(stack, programs, &basics)
}

fn with_path(stack: Stack, programs: &[(&str, &str)], rest: &str) -> Stack {
    let folder = stack.root.join("programs");
    for (name, script) in programs {
        put_program(&folder.join(name), &format!("#!/bin/sh\n{script}\n"));
    }
    let notes = stack.root.join("notes").display().to_string();
    stack.env("PATH", &format!("{}:{rest}", folder.display())).env("NOTES", &notes)
}

/// What was noted by such programs.
pub(crate) fn notes(stack: &Stack) -> Vec<String> {
    let text = fs::read_to_string(stack.root.join("notes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What stands in `.dep/`, but for what builds keep for the next one.
pub(crate) fn landed(stack: &Stack) -> Vec<String> {
    let mut all = shelf(&stack.root);
    all.retain(|name| name != ".cache");
    all
}

/// The folders of a binary that is built; expects that nothing else has landed, and that nothing is locked.
#[track_caller]
pub(crate) fn built(stack: &Stack, binary: &str) -> Vec<String> {
    let mut all = landed(stack);
    all.retain(|name| name != binary);
    assert!(all.iter().all(|name| name.starts_with(&format!("{binary}-"))), "{all:?}");
    assert_eq!(crate::shelf::locked(stack, binary), Value::Null);
    all
}
