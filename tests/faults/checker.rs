//! Whoever checks the random sequences sees what is wrong: a stack is spoiled behind his back, in one way each.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use core_shim::place::Stream;

use crate::common::proc;
use crate::common::trials::{Test, tests};
use crate::random::life::Life;
use crate::random::sequence::look;
use crate::random::tried::{Tried, soon};

pub(crate) const TESTS: &[Test] = tests![
    what_is_well_is_said_to_be_well,
    a_service_that_was_begun_anew_is_noticed,
    a_line_that_nobody_wrote_is_noticed,
    a_second_copy_is_noticed,
    a_second_run_is_noticed,
    a_wrong_code_is_noticed,
    what_down_leaves_is_noticed,
];

/// What the checker says of a stack that was spoiled.
fn said_of(spoil: impl FnOnce(&Tried) -> Option<Child>) -> String {
    let mut life = Life::begin().expect("a stack");
    let child = spoil(&life.stack);
    let said = look(&mut life).join("\n");
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
    let root = life.stack.root.clone();
    drop(life);
    let _ = std::fs::remove_dir_all(root);
    println!("{said}");
    said
}

fn what_is_well_is_said_to_be_well() {
    assert_eq!(said_of(|_| None), "");
}

fn a_service_that_was_begun_anew_is_noticed() {
    let said = said_of(|stack| {
        proc::kill(stack.leader(&format!("{}-0@1", stack.name("quiet"))));
        None
    });
    assert!(said.contains("nobody touched quiet"), "{said}");
}

fn a_line_that_nobody_wrote_is_noticed() {
    let said = said_of(|stack| {
        let pipe = stack.place(&format!("{}-0@1", stack.name("chatty"))).fifo(Stream::Out);
        let mut pipe = OpenOptions::new().write(true).open(pipe).expect("its pipe");
        pipe.write_all(b"0 00000000\n").expect("written");
        None
    });
    assert!(said.contains("was to come"), "{said}");
}

/// As a service is begun, by somebody else.
fn copy(stack: &Tried) -> Child {
    let mut copy = Command::new(std::env::current_exe().expect("this program"));
    copy.args(["role", "quiet"]).current_dir(&stack.root).stdin(Stdio::null()).stdout(Stdio::null());
    copy.env("INSTANCE", format!("{}-0@1", stack.name("quiet"))).env("CORE_INSTANCE", "none");
    let child = copy.spawn().expect("a copy");
    let is_there = || stack.everybody().iter().any(|one| one.pid == child.id() && one.args.get(1).is_some());
    crate::common::until("it is there", is_there);
    child
}

fn a_second_copy_is_noticed() {
    let said = said_of(|stack| Some(copy(stack)));
    assert!(said.contains("is there 2 times"), "{said}");
}

fn a_second_run_is_noticed() {
    let said = said_of(|stack| {
        let ledger = OpenOptions::new().append(true).open(stack.root.join("ledger/once"));
        ledger.expect("the ledger").write_all(b"begin x 1\nend x 0\n").expect("written");
        None
    });
    assert!(said.contains("the one-shot was begun 2 times"), "{said}");
}

fn a_wrong_code_is_noticed() {
    let said = said_of(|stack| {
        let instance = format!("{}-0@1", stack.name("once"));
        let path = stack.place(&instance).exit();
        let mut end = soon("there is a record of the end", || stack.end(&instance));
        (end.status, end.wall_ns) = (-1, end.wall_ns + 60_000_000_000);
        end.write(&path).expect("the record");
        None
    });
    assert!(said.contains("the record says -1, its ledger Some(0)"), "{said}");
}

fn what_down_leaves_is_noticed() {
    let life = Life::begin().expect("a stack");
    let (mut child, root) = (copy(&life.stack), life.stack.root.clone());
    let (_, fault) = life.end().expect_err("something was left");
    let _ = child.kill();
    let _ = child.wait();
    let _ = std::fs::remove_dir_all(root);
    assert!(fault.contains("left after `core down`"), "{fault}");
    assert!(fault.contains("role quiet"), "{fault}");
}
