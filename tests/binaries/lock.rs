//! The lock file: what was fetched once is what is fetched from then on.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::Stack;
use crate::common::trials::{Test, tests};
use crate::parcel::{program, sha256};
use crate::server::{Answer, Gate, Server};
use crate::shared::expect_success;
use crate::shelf::{expect_runs, expect_words, locked, of_its_own, plain, served, service, shelf, stack};

pub(crate) const TESTS: &[Test] = tests![
    another_file_than_the_locked_one_is_refused,
    another_version_than_the_locked_one_is_refused,
    what_is_right_all_the_same_is_locked_by_command,
    a_lock_that_cannot_be_updated_stays,
    a_broken_lock_file_is_named,
    other_entries_of_the_lock_file_stay,
    a_run_by_hand_locks_as_the_supervisor_does,
    runs_by_hand_at_the_same_time_lock_one_after_the_other,
];

const FILE: &str = "manifests/dep.lock.json";
/// Enough to be in each other's way.
const RUNS: usize = 8;

fn another_file_than_the_locked_one_is_refused() {
    let (_server, stack) = fetched();
    stack.ok(&["down"]);
    let right = sha256(&program("one"));
    edit(&stack, |entry| entry["sha256"] = json!("0".repeat(64)));
    let edited = read(&stack);
    fs::remove_dir_all(stack.root.join(".dep")).expect(".dep/");
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1, "{said:?}");
    // What it is, what it should be, and what to do when it is right all the same.
    expect_words(&said.err, &["tool", &right, &"0".repeat(64), "the lock file", "core lock --update tool"]);
    assert_eq!(shelf(&stack.root), [""; 0]);
    assert_eq!(read(&stack), edited, "it is not changed by itself");
    // The file is put right, and nothing has to be cleaned up.
    edit(&stack, |entry| entry["sha256"] = json!(right));
    stack.ok(&["apply"]);
    expect_runs(&stack, "one", "tool-1.0/tool");
}

fn another_version_than_the_locked_one_is_refused() {
    let (server, stack) = fetched();
    let pid = stack.pid("one");
    stack.service("one", &service(&json!([served(&server, "/2", &program("two"), "2.0")])));
    let said = stack.core(&["apply"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["version 2.0 of tool", "holds 1.0", "core lock --update tool"]);
    assert_eq!(stack.pid("one"), pid);
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0"]);
    assert_eq!(locked(&stack, "tool")["version"], "1.0");
}

fn what_is_right_all_the_same_is_locked_by_command() {
    let (server, stack) = fetched();
    let pid = stack.pid("one");
    stack.service("one", &service(&json!([served(&server, "/2", &program("two"), "2.0")])));
    assert_eq!(stack.core(&["apply"]).code, 1);
    // Asked for by a wrong name nothing happens; by its own, it is fetched and locked.
    let said = stack.core(&["lock", "--update", "tol"]);
    assert!(said.code == 2 && said.err.contains("did you mean `tool`?"), "{said:?}");
    let said = stack.ok(&["lock", "--update", "tool"]);
    expect_words(&said.out, &["tool", "2.0", &sha256(&program("two"))]);
    assert_eq!((locked(&stack, "tool")["version"].as_str(), stack.pid("one")), (Some("2.0"), pid));
    stack.ok(&["apply"]);
    expect_runs(&stack, "one", "tool-2.0/tool");
}

fn a_lock_that_cannot_be_updated_stays() {
    let (server, stack) = fetched();
    let before = read(&stack);
    drop(server);
    let said = stack.core(&["lock", "--update"]);
    assert_eq!((said.code, read(&stack)), (1, before), "{said:?}");
    expect_runs(&stack, "one", "tool-1.0/tool");
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0"]);
}

fn a_broken_lock_file_is_named() {
    let (server, stack) = (Server::new(), stack());
    stack.service("one", &service(&json!([served(&server, "/tool", &program("one"), "1.0")])));
    for (text, words) in [
        ("{", &[FILE, "is broken", "restore it"][..]),
        (r#"{"version": 2, "binaries": {}}"#, &[FILE, "has version 2"]),
        (r#"{"version": 1, "binaries": {}, "more": 1}"#, &[FILE, "`more`"]),
    ] {
        stack.write(FILE, text);
        let said = stack.core(&["up", "-d"]);
        assert_eq!(said.code, 1, "{said:?}");
        expect_words(&said.err, words);
        assert_eq!(shelf(&stack.root), [""; 0]);
        assert_eq!(read(&stack), text, "it is not changed by itself");
        stack.ok(&["down"]);
    }
}

fn other_entries_of_the_lock_file_stay() {
    let (server, stack) = (Server::new(), stack());
    let entry = json!({"source": "pypi", "version": "7", "file": "x.whl", "sha256": "ab"});
    let lock = json!({"version": 1, "binaries": {"tool": {"plan9-vax": entry}, "other": {"plan9-vax": entry}}});
    stack.write(FILE, &lock.to_string());
    stack.service("one", &service(&json!([served(&server, "/tool", &program("one"), "1.0")])));
    stack.up();
    let after: Value = serde_json::from_str(&read(&stack)).expect("JSON");
    assert_eq!(after["binaries"]["other"], lock["binaries"]["other"]);
    assert_eq!(after["binaries"]["tool"]["plan9-vax"], entry);
    assert_eq!(locked(&stack, "tool")["sha256"], sha256(&program("one")));
    assert!(!stack.root.join("manifests/dep.lock.json.new").exists());
}

fn a_run_by_hand_locks_as_the_supervisor_does() {
    let (server, stack) = (Server::new(), stack());
    let script = b"#!/bin/sh\necho 'this is it'\n";
    stack.service("one", &service(&json!([served(&server, "/tool", script, "1.0")])));
    for _ in 0..2 {
        let said = stack.ok(&["one", "run"]);
        assert_eq!(said.out, "this is it\n");
    }
    assert_eq!(server.asked_at_all(), 1);
    assert_eq!(locked(&stack, "tool")["sha256"], sha256(script));
    // What stands there must still be what is locked.
    edit(&stack, |entry| entry["sha256"] = json!("0".repeat(64)));
    let said = stack.core(&["one", "run"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &[&sha256(script), "core lock --update tool"]);
}

fn runs_by_hand_at_the_same_time_lock_one_after_the_other() {
    let (server, stack, gate) = (Server::new(), stack(), Gate::together(RUNS));
    let names: Vec<String> = (0..RUNS).map(|number| format!("s{number}x")).collect();
    let script = b"#!/bin/sh\n";
    for name in &names {
        let path = format!("/{name}");
        server.put(&path, Answer::Held(script.to_vec(), gate.clone()));
        stack.service(name, &of_its_own(name, &plain(&server, &path, script, "1.0")));
    }
    // All of them end their downloads at once, and want to write then.
    let begin = |name: &String| stack.command(&[name, "run"]).stderr(Stdio::piped()).spawn().expect("core runs");
    let runs: Vec<_> = names.iter().map(begin).collect();
    runs.into_iter().for_each(expect_success);
    for name in &names {
        assert_eq!(locked(&stack, name)["sha256"], sha256(script), "{name}");
    }
}

/// A stack whose program was fetched and runs.
fn fetched() -> (Server, Stack) {
    let (server, stack) = (Server::new(), stack());
    stack.service("one", &service(&json!([served(&server, "/tool", &program("one"), "1.0")])));
    stack.up();
    (server, stack)
}

fn read(stack: &Stack) -> String {
    fs::read_to_string(stack.root.join(FILE)).expect("the lock file")
}

/// Edits the entry of `tool` for this platform.
fn edit(stack: &Stack, change: impl Fn(&mut Value)) {
    let mut lock: Value = serde_json::from_str(&read(stack)).expect("JSON");
    let platforms = lock["binaries"]["tool"].as_object_mut().expect("its platforms");
    platforms.values_mut().for_each(change);
    stack.write(FILE, &lock.to_string());
}
