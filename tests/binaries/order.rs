//! Several sources: the first that gives the program, and why the others did not.

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, proc, put_program, until};
use crate::parcel::{program, sha256};
use crate::server::{Answer, Server};
use crate::shared::{begin_up, expect_success};
use crate::shelf::{expect_nothing_lands, expect_runs, expect_words, locked, plain, served, service, shelf, stack};

pub(crate) const TESTS: &[Test] = tests![
    the_next_source_is_tried,
    a_mirror_of_the_same_version_is_tried,
    what_the_next_source_gave_is_kept,
    every_source_is_named_with_why_it_failed,
    sources_that_were_passed_over_are_named_too,
    sources_that_come_too_late_are_named_too,
    apply_begins_with_the_first_source_again,
    apply_tries_again_when_no_source_was_left,
    a_program_of_the_right_version_is_not_fetched,
    a_program_of_the_wrong_version_is_passed_over,
];

fn the_next_source_is_tried() {
    let (server, stack) = (Server::new(), stack());
    let first = plain(&server, "/none", &program("one"), "1.0");
    let second = served(&server, "/tool", &program("two"), "0.9");
    stack.service("one", &service(&json!([first, second])));
    stack.up();
    expect_runs(&stack, "one", "tool-0.9/tool");
    assert_eq!((server.asked("/none"), server.asked("/tool")), (1, 1));
    assert_eq!(shelf(&stack.root), ["tool", "tool-0.9"]);
    assert_eq!(locked(&stack, "tool")["version"], "0.9");
}

fn a_mirror_of_the_same_version_is_tried() {
    let (server, stack) = (Server::new(), stack());
    let first = plain(&server, "/none", &program("one"), "1.0");
    let second = served(&server, "/tool", &program("one"), "1.0");
    stack.service("one", &service(&json!([first, second])));
    // Asked for by whoever does not wait for ever: a download is not bounded by any timeout.
    let up = begin_up(&stack);
    stack.until_ready();
    expect_success(up);
    expect_runs(&stack, "one", "tool-1.0/tool");
    assert_eq!((server.asked("/none"), server.asked("/tool")), (1, 1));
}

fn what_the_next_source_gave_is_kept() {
    let (server, stack) = (Server::new(), stack());
    let first = plain(&server, "/none", &program("one"), "1.0");
    let second = served(&server, "/tool", &program("two"), "0.9");
    stack.service("one", &service(&json!([first, second])));
    stack.up();
    let pid = stack.pid("one");
    // The next supervisor does not know that the first source failed.
    stack.kill_supervisor();
    until("it is settled", || {
        let said = stack.core(&["status", "--check"]);
        said.code == 0 && server.asked("/none") == 2
    });
    assert_eq!(stack.pid("one"), pid);
    // Nor does the next stack; without a network it comes to the same.
    stack.ok(&["down"]);
    assert_eq!(server.asked("/tool"), 1);
    drop(server);
    stack.up();
    expect_runs(&stack, "one", "tool-0.9/tool");
}

fn every_source_is_named_with_why_it_failed() {
    let (server, stack) = (Server::new(), stack());
    let contents = program("one");
    let missing = plain(&server, "/none", &contents, "1.0");
    let broken = plain(&server, "/cut", &contents, "1.1");
    server.put("/cut", Answer::Cut(contents.clone()));
    let wrong = plain(&server, "/wrong", &contents, "1.2");
    server.put("/wrong", Answer::Whole(b"another".to_vec()));
    stack.service("one", &service(&json!([missing, broken, wrong])));
    let found = sha256(b"another");
    let words = [&*server.url("/none"), "404", &server.url("/cut"), "broke off", &server.url("/wrong"), &found];
    let said = expect_nothing_lands(&stack, &words);
    // Each was tried once, and is told once.
    let error = said.err.lines().find(|line| line.starts_with("error:")).expect("an error");
    for path in ["/none", "/cut", "/wrong"] {
        assert_eq!(server.asked(path), 1, "{path}");
        assert_eq!(error.matches(&server.url(path)).count(), 1, "{path}: {error}");
    }
}

fn sources_that_were_passed_over_are_named_too() {
    let (server, stack) = (Server::new(), with_program("1.9.0"));
    let elsewhere = json!({"source": "url", "url": server.url("/x"), "sha256": sha256(b""), "version": "2.0",
        "platform": "plan9-vax"});
    let missing = plain(&server, "/none", &program("one"), "2.1");
    let on_path = json!({"source": "path", "version": ">=2"});
    stack.service("one", &service(&json!([on_path, elsewhere, missing])));
    expect_nothing_lands(&stack, &["1.9.0", ">=2", "plan9-vax", &server.url("/none"), "404"]);
}

fn sources_that_come_too_late_are_named_too() {
    let (server, stack) = (Server::new(), stack());
    let missing = plain(&server, "/none", &program("one"), "2.1");
    let on_path = json!({"source": "path", "program": "no-such-program"});
    stack.service("one", &service(&json!([missing, on_path])));
    expect_nothing_lands(&stack, &[&server.url("/none"), "404", "no-such-program"]);
}

fn apply_begins_with_the_first_source_again() {
    let (server, stack) = (Server::new(), stack());
    let first = plain(&server, "/1", &program("one"), "1.0");
    let second = plain(&server, "/2", &program("two"), "0.9");
    stack.service("one", &service(&json!([first, second])));
    expect_nothing_lands(&stack, &[&server.url("/1"), &server.url("/2")]);
    for path in ["/1", "/2"] {
        server.put(path, Answer::Whole(program(if path == "/1" { "one" } else { "two" })));
    }
    stack.ok(&["apply"]);
    expect_runs(&stack, "one", "tool-1.0/tool");
    assert_eq!((server.asked("/1"), server.asked("/2")), (2, 1));
}

fn apply_tries_again_when_no_source_was_left() {
    let (server, stack) = (Server::new(), stack());
    let first = plain(&server, "/1", &program("one"), "1.0");
    let on_path = json!({"source": "path", "program": "no-such-program"});
    stack.service("one", &service(&json!([first, on_path])));
    expect_nothing_lands(&stack, &[&server.url("/1")]);
    server.put("/1", Answer::Whole(program("one")));
    stack.ok(&["apply"]);
    expect_runs(&stack, "one", "tool-1.0/tool");
}

fn a_program_of_the_right_version_is_not_fetched() {
    let (server, stack) = (Server::new(), with_program("2.1.0"));
    stack.service("one", &service(&path_or_fetch(&server)));
    stack.up();
    assert_eq!(server.asked_at_all(), 0);
    assert_eq!(shelf(&stack.root), [""; 0]);
    let program = stack.root.join("bin/tool").display().to_string();
    let process = proc::Process::of(stack.pid("one")).expect("the process");
    assert!(process.args.contains(&program), "{:?}", process.args);
    // What the machine has is nobody's to lock.
    assert_eq!(locked(&stack, "tool"), Value::Null);
}

fn a_program_of_the_wrong_version_is_passed_over() {
    let (server, stack) = (Server::new(), with_program("1.9.0"));
    stack.service("one", &service(&path_or_fetch(&server)));
    stack.up();
    expect_runs(&stack, "one", "tool-2.0/tool");
    // Without another source it is the reason why there is no program.
    stack.ok(&["down"]);
    stack.service("one", &service(&json!([{"source": "path", "version": ">=2"}])));
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 2, "{said:?}");
    expect_words(&said.err, &["`tool`", "version 1.9.0", ">=2 is wanted"]);
    // So it is when nothing of that name is there.
    let unheard_of = json!({"source": "path", "program": "no-such-program"});
    stack.service("one", &service(&json!([{"source": "path", "version": ">=2"}, unheard_of])));
    let said = stack.core(&["up", "-d"]);
    expect_words(&said.err, &["version 1.9.0", "there is no `no-such-program` in PATH"]);
}

fn path_or_fetch(server: &Server) -> Value {
    json!([{"source": "path", "version": ">=2"}, served(server, "/tool", &program("fetched"), "2.0")])
}

/// A stack with a program `tool` in its PATH that says this version.
fn with_program(version: &str) -> Stack {
    let stack = stack();
    let folder = stack.root.join("bin");
    let script = format!("#!/bin/sh\n[ \"$1\" = --version ] && echo 'tool version {version}' && exit\nsleep 1000\n");
    put_program(&folder.join("tool"), &script);
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    stack.env("PATH", &path)
}
