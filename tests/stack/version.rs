//! The program that runs a stack goes away, as version managers and upgrades have it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{CORE, Said, Stack, proc, until};

pub(crate) const TESTS: &[Test] =
    tests![a_stack_outlives_its_program_and_moves_to_another, a_supervisor_without_its_program_is_replaced,];

/// A stack that was begun by a program of its own, in a folder that is gone.
fn without_its_program() -> (Stack, PathBuf) {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({"availability": {"restart": "always"}}));
    let folder = stack.root.join("v1");
    fs::create_dir(&folder).expect("a folder");
    let core = folder.join("core");
    fs::copy(CORE, &core).expect("a copy");
    let mut up = Command::new(&core);
    let said = proc::output_of_new(up.args(["up", "-d", "--no-watch"]).current_dir(&stack.root));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(stack.status()["program"], json!({"path": core, "deleted": false}));
    fs::remove_dir_all(&folder).expect("the folder");
    (stack, core)
}

fn a_stack_outlives_its_program_and_moves_to_another() {
    let (stack, core) = without_its_program();
    let (pid, keeper, supervisor) = (stack.pid("one"), stack.keeper(), stack.supervisor());
    assert_eq!(stack.status()["program"], json!({"path": core, "deleted": true}));
    let said = Said::of(stack.command(&["status"]).env("COLUMNS", "400").output().expect("core runs"));
    let words = format!("of {}, whose file is gone or replaced; `core up` moves it to", core.display());
    assert!(said.out.contains(&words), "{}", said.out);

    // Its keeper is replaced by what the kernel still has of the program.
    proc::kill(keeper);
    until("another keeper runs", || !proc::lives(supervisor) && stack.keeper() != keeper);
    stack.until_ready();
    assert_eq!(stack.pid("one"), pid);
    proc::kill(pid);
    let pid = stack.next_pid("one", pid);
    stack.until_ready();

    let said = stack.up();
    assert!(said.err.contains("it is replaced, and the services go on"), "{}", said.err);
    assert_eq!(stack.pid("one"), pid);
    let status = stack.status();
    assert_eq!(status["program"], json!({"path": fs::canonicalize(CORE).expect("core"), "deleted": false}));
    assert!(!stack.ok(&["status"]).out.contains("core up"), "there is nothing to move");
    let (keeper, supervisor) = (stack.keeper(), stack.supervisor());
    let args = proc::Process::of(supervisor).expect("it runs").args;
    assert!(args.contains(&"--no-watch".into()), "what was said when the stack was begun still holds: {args:?}");
    stack.up();
    assert_eq!((stack.keeper(), stack.supervisor()), (keeper, supervisor));
}

/// The keeper holds its supervisor's file open.
fn a_supervisor_without_its_program_is_replaced() {
    let (stack, _) = without_its_program();
    let pid = stack.pid("one");
    stack.kill_supervisor();
    assert_eq!(stack.pid("one"), pid);
    stack.up();
    assert_eq!(stack.pid("one"), pid);
}
