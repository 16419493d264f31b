//! Hosts that refuse: an old kernel has no such call (`ENOSYS`), a container's filter forbids it (`EPERM`). For each call
//! there is another way, and a stack is as well by that one.

use std::fs;
use std::process::Command;

use nix::libc::{ENOSYS, EPERM};
use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, proc, until};
use crate::fixture;

pub(crate) const TESTS: &[Test] = tests![
    output_is_copied_where_it_cannot_be_spliced,
    processes_are_forked_without_clone3,
    descriptors_are_closed_one_by_one,
    processes_are_signalled_without_handles,
    handles_that_take_no_signals_are_no_hindrance,
    edits_are_looked_for_where_nobody_tells_of_them,
    listeners_are_read_from_files_without_netlink,
    all_of_it_at_once,
];

/// Says numbered lines, and is heard until somebody makes it crash.
const CHATTER: &str = "i=0; while ! test -e crash; do echo n $i; i=$((i+1)); test $((i % 200)) = 0 && sleep 0.05; done; \
                       rm crash; echo end $i; exit 3";
/// A tree that nobody of which goes by itself: in sessions of their own, two of them deaf.
const TREE: &str =
    "setsid sh -c \"trap '' TERM; sleep 1000\" & setsid setsid sleep 1000 & trap '' TERM; sleep 1000; wait";

const BOTH: [i32; 2] = [ENOSYS, EPERM];

/// `core`, where these calls are refused.
fn refused(stack: &Stack, errno: i32, calls: &str, words: &[&str]) -> Command {
    let core = stack.command(words);
    let mut command = Command::new(fixture::command());
    command.args(["fixture", "refuse", &errno.to_string(), calls, "--"]).arg(core.get_program()).args(core.get_args());
    for (name, value) in core.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(&stack.root);
    command
}

fn said(mut command: Command) -> Said {
    Said::of(command.output().expect("core runs"))
}

/// What `core doctor` says of one thing there.
fn doctor(stack: &Stack, errno: i32, calls: &str, check: &str) -> Value {
    let said = said(refused(stack, errno, calls, &["doctor", "--json"]));
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let checks = answer["checks"].as_array().expect("checks");
    checks.iter().find(|one| one["name"] == check).unwrap_or_else(|| panic!("no {check}: {answer}")).clone()
}

/// Brings a stack up where these calls are refused, and looks at all that a user counts on.
#[track_caller]
fn expect_well(stack: Stack, errno: i32, calls: &str) {
    stack.service(
        "chatty",
        &json!({"process": {"command": CHATTER, "shell": true, "compose": {
            "availability": {"restart": "always", "backoff_seconds": 0.1},
            "log_configuration": {"rotation": {"max_size_mb": 1, "max_backups": 0}}}}}),
    );
    stack.shell("tree", TREE, json!({"shutdown": {"timeout_seconds": 1}}));
    stack.service(
        "probed",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "http", "${port.http}"], "compose": {
            "readiness_probe": {"http_get": {"port": "${port.http}"}, "period_seconds": 0.2},
            "liveness_probe": {"exec": {"command": "true"}, "period_seconds": 0.2}}},
            "ports": {"http": {"port": "auto"}}}),
    );
    let up = said(refused(&stack, errno, calls, &["up", "-d"]));
    assert_eq!(up.code, 0, "{calls}, {errno}: {up:?}\n{}", stack.own_log());
    let run = stack.run_folder();
    let first = stack.pid("chatty");
    until("it has said a lot", || stack.lines("chatty").len() > 2000);
    stack.write("crash", "");
    stack.next_pid("chatty", first);
    expect_every_number(&stack);
    until("the whole tree is there", || sleepers(&stack) == 3);
    stack.ok(&["stop", "tree"]);
    assert_eq!(sleepers(&stack), 0, "{calls}, {errno}: stopped, and some live");
    assert_eq!(stack.instance("probed")["restarts"], 0);
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

fn sleepers(stack: &Stack) -> usize {
    stack.processes().into_iter().filter(|one| one.args == ["sleep", "1000"]).count()
}

/// Every line of the first invocation is there, once and in order, to its last word.
fn expect_every_number(stack: &Stack) {
    let folder = stack.root.join(".core-stack/logs/chatty/chatty-0");
    let segment = |number: u32| fs::read(folder.join(format!("1.1.out.{number}.log"))).ok();
    let text: Vec<u8> = (0..).map_while(segment).flatten().collect();
    let text = String::from_utf8(text).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    let (last, numbers) = lines.split_last().expect("lines");
    for (number, line) in numbers.iter().enumerate() {
        assert_eq!(*line, format!("n {number}"));
    }
    assert_eq!(*last, format!("end {}", numbers.len()));
}

fn output_is_copied_where_it_cannot_be_spliced() {
    for errno in BOTH {
        let stack = Stack::new();
        let check = doctor(&stack, errno, "splice", "splice");
        assert_eq!(check["state"], "weaker", "{check}");
        assert!(check["without"].as_str().is_some_and(|text| text.starts_with("output is copied")), "{check}");
        expect_well(stack, errno, "splice");
    }
}

/// With EPERM there would be no thread either: the C library asks by clone3 for it, and goes on by clone after ENOSYS only.
fn processes_are_forked_without_clone3() {
    let stack = Stack::new();
    assert_ne!(doctor(&stack, ENOSYS, "clone3", "clone-into-cgroup")["state"], "ok");
    expect_well(stack, ENOSYS, "clone3");
}

fn descriptors_are_closed_one_by_one() {
    for errno in BOTH {
        expect_well(Stack::new(), errno, "close_range");
    }
}

fn processes_are_signalled_without_handles() {
    for errno in BOTH {
        let stack = Stack::new();
        let check = doctor(&stack, errno, "pidfd_open", "pidfd");
        assert_eq!(check["state"], "missing", "{check}");
        expect_well(stack, errno, "pidfd_open");
        // And where no cgroup kills all at once.
        expect_well(Stack::new().env("CORE_NO_CGROUP", "1"), errno, "pidfd_open");
        one_copy_after_the_loss_of_a_shim(errno);
    }
}

/// It runs on, the same process, and once.
fn one_copy_after_the_loss_of_a_shim(errno: i32) {
    for stack in [Stack::new(), Stack::new().env("CORE_NO_CGROUP", "1")] {
        stack.shell("one", "exec sleep 1000", json!({"availability": {"restart": "always"}}));
        let up = said(refused(&stack, errno, "pidfd_open", &["up", "-d"]));
        assert_eq!(up.code, 0, "{up:?}");
        let before = stack.pid("one");
        stack.kill_shim("one-0@1");
        until("it runs under its new shim", || {
            let instance = stack.instance("one");
            instance["memory_bytes"].is_u64() && instance["ready"] == true && instance["pid"] == before
        });
        assert_eq!(sleepers(&stack), 1);
        stack.ok(&["down"]);
    }
}

fn handles_that_take_no_signals_are_no_hindrance() {
    for errno in BOTH {
        let stack = Stack::new().env("CORE_NO_CGROUP", "1");
        let check = doctor(&stack, errno, "pidfd_send_signal", "pidfd");
        assert_eq!(check["state"], "weaker", "{check}");
        expect_well(stack, errno, "pidfd_send_signal");
    }
}

fn edits_are_looked_for_where_nobody_tells_of_them() {
    for (errno, calls) in BOTH.into_iter().flat_map(|errno| [(errno, "inotify_init1"), (errno, "inotify_add_watch")]) {
        let stack = Stack::new();
        let check = doctor(&stack, errno, calls, "inotify");
        assert_eq!(check["state"], "missing", "{check}");
        let local = fs::read_to_string(stack.root.join("manifests/local.json")).expect("the profile");
        let mut local: Value = serde_json::from_str(&local).expect("JSON");
        local["watch"] = json!(true);
        stack.write("manifests/local.json", &local.to_string());
        stack.shell("one", "exec sleep 1000", json!({}));
        let up = said(refused(&stack, errno, calls, &["up", "-d"]));
        assert_eq!(up.code, 0, "{up:?}");
        let pid = stack.pid("one");
        stack.shell("one", "exec sleep 2000", json!({}));
        until("the edit is carried out", || {
            let pid = stack.instance("one")["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
            pid.and_then(proc::Process::of).is_some_and(|one| one.args == ["sleep", "2000"])
        });
        assert!(!proc::lives(pid));
    }
}

fn listeners_are_read_from_files_without_netlink() {
    for errno in BOTH {
        let stack = Stack::new();
        let check = doctor(&stack, errno, "netlink", "sock-diag");
        assert_eq!(check["state"], "weaker", "{check}");
        expect_well(stack, errno, "netlink");
    }
}

fn all_of_it_at_once() {
    for errno in BOTH {
        let calls = "splice,close_range,pidfd_open,pidfd_send_signal,inotify_init1,inotify_add_watch,netlink";
        expect_well(Stack::new().env("CORE_NO_CGROUP", "1"), errno, calls);
    }
}
