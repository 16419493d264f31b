//! `core.log`: what core logs of itself.

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, proc, until};

pub(crate) const TESTS: &[Test] =
    tests![entries_are_json_where_that_is_asked_for, an_option_makes_it_say_more, a_wrong_level_is_an_error];

/// A stack of one service that was started and killed once.
fn crashed(stack: &Stack) {
    stack.shell("one", "exec sleep 1000", json!({"availability": {"restart": "always"}}));
    stack.up();
    let pid = stack.pid("one");
    proc::kill(pid);
    stack.next_pid("one", pid);
}

fn entries_are_json_where_that_is_asked_for() {
    let stack = Stack::new().env("CORE_LOG", "debug,json");
    crashed(&stack);
    let entries =
        || -> Vec<Value> { stack.own_log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect() };
    let killed = |entry: &Value| entry["instance"] == "one-0@1.1" && entry["level"] == "INFO";
    until("its end is logged", || entries().iter().any(killed));
    let all = entries();
    assert!(all.iter().all(|entry| entry["timestamp"].is_string() && entry["message"].is_string()), "{all:#?}");
    assert!(all.iter().any(|entry| entry["operation"].is_u64()), "{all:#?}");
    assert!(all.iter().any(|entry| entry["generation"] == "1"), "{all:#?}");
    assert!(all.iter().any(|entry| entry["level"] == "DEBUG"), "{all:#?}");
    // What is core's own is kept from services.
    assert!(!proc::env(stack.pid("one")).iter().any(|one| one.starts_with("CORE_LOG")));
}

fn an_option_makes_it_say_more() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    let up = stack.ok(&["-v", "up", "-d"]);
    assert!(up.err.contains("DEBUG asking the supervisor method=POST path=\"/v1/up\""), "{}", up.err);
    until("the supervisor says more, too", || stack.own_log().contains("DEBUG the manifests were read"));
    assert!(stack.ok(&["status"]).err.is_empty());
}

fn a_wrong_level_is_an_error() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let stack = stack.env("CORE_LOG", "loud");
    let said = stack.core(&["status"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("CORE_LOG: `loud` is not a level: error, warn"), "{}", said.err);
}
