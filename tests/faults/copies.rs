//! Never a second copy, whatever became of the record; and `down` ends all of it, or says what it leaves.

use std::fs;
use std::time::Duration;

use crate::common::Stack;
use crate::common::proc;
use crate::common::trials::{Test, tests};
use crate::random::tried::{DOWN, SOON, Tried, found_within, soon};

use super::one_shim::always;

pub(crate) const TESTS: &[Test] = tests![
    an_empty_record_makes_no_second_copy,
    half_a_record_makes_no_second_copy,
    a_record_of_garbage_makes_no_second_copy,
    a_record_of_another_process_makes_no_second_copy,
    without_a_cgroup_an_empty_record_makes_no_second_copy,
    without_a_cgroup_half_a_record_makes_no_second_copy,
    without_a_cgroup_a_record_of_garbage_makes_no_second_copy,
    without_a_cgroup_a_record_of_another_process_makes_no_second_copy,
    a_down_that_is_alone_leaves_nothing,
];

/// How long a second copy is waited for.
const A_WHILE: Duration = Duration::from_secs(2);

fn empty(_: &str) -> String {
    String::new()
}

fn half(text: &str) -> String {
    text[..text.len() / 2].to_owned()
}

fn garbage(text: &str) -> String {
    "\u{1}\u{7f}x y\n".repeat(text.len() / 5)
}

fn other_process(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("pid ").and_then(|pid| pid.parse::<u32>().ok()) {
        Some(pid) => format!("pid {}\n", pid ^ 1),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Those that live of all that were ever begun.
fn copies(stack: &Tried) -> Vec<u32> {
    let text = fs::read_to_string(stack.root.join("begun")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| proc::lives(*pid)).collect()
}

/// Helpers that have dropped the mark.
fn helpers(stack: &Tried) -> usize {
    stack.everybody().iter().filter(|one| one.args == ["sleep", "5551"]).count()
}

#[track_caller]
fn never_twice(stack: &Tried) {
    let second = found_within(A_WHILE, || Some(copies(stack)).filter(|all| all.len() > 1 || helpers(stack) > 1));
    assert!(second.is_none(), "a second copy: {second:?}, {} helpers", helpers(stack));
}

fn is_never_copied(tear: fn(&str) -> String, with_cgroup: bool) {
    let stack = if with_cgroup { Tried::new() } else { Tried::of(Stack::new().env("CORE_NO_CGROUP", "1")) };
    let name = stack.name("a");
    let helper = if with_cgroup { "" } else { "env -i setsid sleep 5551 & " };
    stack.shell(&name, &format!("{helper}echo $$$$ >> begun; exec sleep 4321"), always());
    stack.up();
    let instance = format!("{name}-0@1");
    let count = usize::from(!with_cgroup);
    soon("it is there", || (copies(&stack).len() == 1 && helpers(&stack) == count).then_some(()));
    let path = stack.place(&instance).invocation();
    let text = fs::read_to_string(&path).expect("its record");
    fs::write(&path, tear(&text)).expect("the record");
    let shim = stack.shim(&instance);
    proc::kill(shim);
    soon("its shim is gone", || (!proc::lives(shim)).then_some(()));
    never_twice(&stack);
    let run = stack.run_folder();
    let before = copies(&stack);
    let said = stack.within(DOWN, &["down"]);
    println!("down: {} {}{}", said.code, said.out, said.err);
    if said.code == 0 {
        stack.expect_nothing(run);
    } else {
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(&name), "it ended with 1, and does not say what is left: {said:?}");
        assert!(copies(&stack).iter().all(|pid| before.contains(pid)), "down has begun another");
    }
    let said = stack.within(Duration::from_secs(30), &["up", "-d", "--timeout", "10"]);
    println!("up: {} {}{}", said.code, said.out, said.err);
    let one = found_within(SOON, || (copies(&stack).len() == 1).then_some(()));
    assert!(one.is_some(), "{:?} live of those that were ever begun", copies(&stack));
    never_twice(&stack);
}

fn an_empty_record_makes_no_second_copy() {
    is_never_copied(empty, true);
}

fn half_a_record_makes_no_second_copy() {
    is_never_copied(half, true);
}

fn a_record_of_garbage_makes_no_second_copy() {
    is_never_copied(garbage, true);
}

fn a_record_of_another_process_makes_no_second_copy() {
    is_never_copied(other_process, true);
}

fn without_a_cgroup_an_empty_record_makes_no_second_copy() {
    is_never_copied(empty, false);
}

fn without_a_cgroup_half_a_record_makes_no_second_copy() {
    is_never_copied(half, false);
}

fn without_a_cgroup_a_record_of_garbage_makes_no_second_copy() {
    is_never_copied(garbage, false);
}

fn without_a_cgroup_a_record_of_another_process_makes_no_second_copy() {
    is_never_copied(other_process, false);
}

/// Neither keeper nor supervisor answers: what they would have taken away, it takes away.
fn a_down_that_is_alone_leaves_nothing() {
    let stack = Tried::new();
    let name = stack.name("a");
    stack.shell(&name, "exec sleep 4321", always());
    for round in 0..5 {
        stack.up();
        let pid = stack.leader(&format!("{name}-0@{}", stack.generation()));
        let run = stack.run_folder();
        let (keeper, supervisor) = (stack.keeper(), stack.supervisor());
        proc::hold(keeper);
        proc::hold(supervisor);
        let said = stack.well(DOWN, &["down"]);
        assert!(!proc::lives(pid), "round {round}: the stack is down, and the service lives: {said:?}");
        assert!(!proc::lives(keeper) && !proc::lives(supervisor), "round {round}: they were to be killed");
        // At once: whoever begins the stack anew makes them anew.
        assert_eq!(stack.left(), [""; 0], "round {round}");
        stack.expect_nothing(run);
    }
}

impl Tried {
    /// The generation that runs.
    fn generation(&self) -> u64 {
        self.status()["generation"].as_u64().expect("a generation")
    }
}
