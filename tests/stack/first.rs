//! `core up` as process 1, as in a container.

use std::process::Stdio;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{CORE, Stack, eventually, proc, until};

pub(crate) const TESTS: &[Test] = tests![process_1_reaps_and_ends_with_the_code];

fn process_1_reaps_and_ends_with_the_code() {
    let stack = Stack::new();
    let line = "while ! test -e go; do sleep 0.05; done; exit 9";
    stack.shell("one", line, json!({"availability": {"restart": "exit_on_failure"}}));
    let root = stack.root.to_str().expect("text");
    let mut outside = std::process::Command::new("unshare")
        .args(["--map-root-user", "--pid", "--fork", "--mount-proc", CORE, "--root", root, "up"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("unshare, of util-linux");
    stack.until_ready();
    let children = |of: u32| proc::all().into_iter().filter(move |one| one.parent == of);
    let first = eventually("process 1", || children(outside.id()).map(|one| one.pid).next());
    assert!(proc::status_line(first, "NSpid").ends_with("\t1"), "{}", proc::status_line(first, "NSpid"));
    // Whoever's parent dies becomes its child, and is reaped by it.
    // What the stack says is a number within; a process of that number outside is a stranger.
    let within = format!("\t{}", stack.pid("one"));
    let is_service = |one: &proc::Process| proc::status_line(one.pid, "NSpid").ends_with(&within);
    let service = eventually("the service", || stack.processes().into_iter().find(is_service)).pid;
    let is_keeper = |one: &proc::Process| one.args.first().is_some_and(|word| word.ends_with("core-shim"));
    let keeper = eventually("the keeper", || children(first).find(is_keeper)).pid;
    proc::kill(keeper);
    until("another keeper runs", || children(first).any(|one| is_keeper(&one) && one.pid != keeper));
    until("nobody is left unreaped", || !children(first).any(|one| one.state == 'Z'));
    stack.until_ready();
    assert!(proc::lives(service));
    stack.write("go", "");
    assert_eq!(outside.wait().expect("it ends").code(), Some(9));
    let run = stack.run_folder();
    stack.expect_nothing_left(run.as_deref());
}
