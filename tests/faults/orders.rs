//! What goes over the line between supervisor and shim: what is too large, and what cannot be sent.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::one_shim::{always, sleeper_with_failing_calls};
use crate::common::proc;
use crate::common::trials::{Test, tests};
use crate::random::tried::{DOWN, SOON, Tried, soon};

pub(crate) const TESTS: &[Test] = tests![
    an_order_that_is_too_large_is_refused,
    an_end_is_told_although_one_send_failed,
    an_environment_of_800_kb_is_passed_on,
];

/// No shim is left of a start that cannot be ordered.
fn an_order_that_is_too_large_is_refused() {
    let stack = Tried::new();
    let (large, small) = (stack.name("large"), stack.name("small"));
    stack.shell(&large, &format!(": {}", "x".repeat(20 << 20)), json!({}));
    stack.shell(&small, "exec sleep 4321", always());
    for attempt in 0..3 {
        let said = stack.within(Duration::from_secs(30), &["up", "-d", "--timeout", "20"]);
        assert_ne!(said.code, 0, "it was begun with 20 MB of words");
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains(&large), "attempt {attempt}: nobody says which it is: {all}");
        soon("it has no shim", || stack.shims_of(&large).is_empty().then_some(()));
    }
    let run = stack.run_folder();
    stack.within(DOWN, &["down"]);
    stack.expect_nothing(run);
}

fn an_end_is_told_although_one_send_failed() {
    let (stack, name, instance) = sleeper_with_failing_calls();
    let pid = stack.leader(&instance);
    stack.write("fail-send", "");
    proc::kill(pid);
    soon("it is started again", || {
        stack.record(&instance).filter(|record| record.pid != pid && proc::lives(record.pid))
    });
    assert!(!stack.root.join("fail-send").exists(), "nothing was sent");
    soon("all is well", || stack.is_well().then_some(()));
    soon("it has one shim", || (stack.shims_of(&name).len() == 1).then_some(()));
    let run = stack.run_folder();
    stack.well(DOWN, &["down"]);
    stack.expect_nothing(run);
}

fn an_environment_of_800_kb_is_passed_on() {
    let stack = Tried::new();
    let name = stack.name("rich");
    let variable = |number: u32| (format!("V{number:02}"), Value::from(format!("{number:02}").repeat(5_000)));
    let env: Map<String, Value> = (0..80).map(variable).collect();
    stack.service(
        &name,
        &json!({"process": {"command": "exec sleep 4321", "shell": true, "env": env,
        "compose": {"shutdown": {"timeout_seconds": 2}}}}),
    );
    stack.well(SOON, &["up", "-d", "--timeout", "10"]);
    let pid = stack.leader(&format!("{name}-0@1"));
    // The environment of a process that is about to become another ends in the middle when it is read; and the kernel shows
    // its new arguments before it knows where the new environment ends.
    soon("the shell has become the program", || {
        let is_program = proc::Process::of(pid).is_some_and(|one| one.args == ["sleep", "4321"]);
        (is_program && proc::env(pid).iter().any(|one| !one.is_empty())).then_some(())
    });
    let have = proc::env(pid);
    for (name, value) in env {
        let pair = format!("{name}={}", value.as_str().unwrap_or_default());
        assert!(have.contains(&pair), "{name} did not come");
    }
    let run = stack.run_folder();
    stack.well(Duration::from_secs(8), &["down"]);
    stack.expect_nothing(run);
}
