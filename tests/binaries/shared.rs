//! One program, several who want it: services of a stack, and stacks that share a `.dep/`.

use std::os::unix::fs::symlink;
use std::process::{Child, Stdio};

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Stack, until};
use crate::parcel::program;
use crate::server::{Answer, Gate, Server};
use crate::shelf::{expect_runs, locked, plain, service, shelf, stack};

pub(crate) const TESTS: &[Test] = tests![
    two_services_share_one_fetch,
    two_roots_share_one_fetch,
    two_roots_fetch_two_versions_at_once,
    one_name_is_one_program,
];

fn two_services_share_one_fetch() {
    let (server, stack) = (Server::new(), stack());
    let gate = Gate::closed();
    let source = json!([plain(&server, "/tool", &program("one"), "1.0")]);
    server.put("/tool", Answer::Held(program("one"), gate.clone()));
    stack.service("one", &service(&source)).service("two", &service(&source));
    let up = begin_up(&stack);
    until("both wait for it", || ["one", "two"].iter().all(|name| waits(&stack, name)));
    gate.open();
    expect_success(up);
    for name in ["one", "two"] {
        expect_runs(&stack, name, "tool-1.0/tool");
    }
    assert_eq!(server.asked("/tool"), 1);
}

fn two_roots_share_one_fetch() {
    let (server, gate) = (Server::new(), Gate::closed());
    let (one, other) = with_one_shelf();
    let source = json!([plain(&server, "/tool", &program("one"), "1.0")]);
    server.put("/tool", Answer::Held(program("one"), gate.clone()));
    for stack in [&one, &other] {
        stack.service("one", &service(&source));
    }
    let ups = [begin_up(&one), begin_up(&other)];
    until("both wait for it", || [&one, &other].iter().all(|stack| waits(stack, "one")));
    gate.open();
    ups.into_iter().for_each(expect_success);
    for stack in [&one, &other] {
        expect_runs(stack, "one", "tool-1.0/tool");
        // Each has a lock file of its own.
        assert_eq!(locked(stack, "tool")["version"], "1.0");
    }
    assert_eq!(server.asked("/tool"), 1);
    assert_eq!(shelf(&one.root), ["tool", "tool-1.0"]);
}

fn two_roots_fetch_two_versions_at_once() {
    let server = Server::new();
    let (one, other) = with_one_shelf();
    let begun = [(&one, "1.2.3"), (&other, "1.2.4")].map(|(stack, version)| {
        let (path, gate) = (format!("/{version}"), Gate::closed());
        stack.service("one", &service(&json!([plain(&server, &path, &program(version), version)])));
        server.put(&path, Answer::Held(program(version), gate.clone()));
        (stack, version, gate, begin_up(stack))
    });
    until("both are half there", || begun.iter().all(|(_, _, gate, _)| gate.waiting() == 1));
    // One ends, and tidies up, while the other is still on its way.
    for (stack, version, gate, up) in begun {
        gate.open();
        expect_success(up);
        expect_runs(stack, "one", &format!("tool-{version}/tool"));
        stack.until_says("one", &format!("this is {version}"));
    }
    assert_eq!(shelf(&one.root), ["tool", "tool-1.2.3", "tool-1.2.4"]);
}

fn one_name_is_one_program() {
    let (server, stack) = (Server::new(), stack());
    for name in ["one", "two"] {
        stack.service(name, &service(&json!([plain(&server, name, &program(name), "1.0")])));
    }
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("other sources than that of `one`"), "{}", said.err);
    assert_eq!(server.asked_at_all(), 0);
}

/// Two stacks with the same `.dep/`. The folder goes with the first.
fn with_one_shelf() -> (Stack, Stack) {
    let (one, other) = (stack(), stack());
    std::fs::create_dir(one.root.join(".dep")).expect(".dep/");
    symlink(one.root.join(".dep"), other.root.join(".dep")).expect("a link to it");
    (one, other)
}

pub(crate) fn begin_up(stack: &Stack) -> Child {
    let mut command = stack.command(&["up", "-d"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("core runs")
}

#[track_caller]
pub(crate) fn expect_success(up: Child) {
    let output = up.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whether a service waits for its program. The stack may not be there yet.
pub(crate) fn waits(stack: &Stack, name: &str) -> bool {
    let said = stack.core(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_default();
    let instances = status["instances"].as_array().cloned().unwrap_or_default();
    let of_it = instances.iter().find(|one| one["service"] == name);
    of_it.is_some_and(|one| one["waiting_on"][0]["code"] == "binary")
}
