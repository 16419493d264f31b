//! One shim for each instance, and always one: a takeover that fails is tried again.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, preload, proc};
use crate::random::squeeze::{self, Processes};
use crate::random::tried::{DOWN, SOON, Tried, found_within, soon};

pub(crate) const TESTS: &[Test] = tests![
    a_shim_that_is_killed_twice_is_there_again,
    a_shim_that_is_killed_five_times_is_there_again,
    a_stop_ends_while_shims_are_killed,
    a_down_ends_while_shims_are_killed,
    a_shim_is_waited_for_while_the_keeper_cannot_fork,
];

/// What is always started again, at once.
pub(crate) fn always() -> Value {
    json!({"availability": {"restart": "always", "backoff_seconds": 0}, "shutdown": {"timeout_seconds": 2}})
}

/// A stack of one service `a` that sleeps, and its instance.
pub(crate) fn sleeper() -> (Tried, String, String) {
    sleeper_of(Stack::new())
}

/// The same, where a message of a shim fails when the file `fail-send` is there, and the keeper cannot fork as long as
/// `no-fork` is.
pub(crate) fn sleeper_with_failing_calls() -> (Tried, String, String) {
    let stack = Stack::new();
    let library = preload::library(&stack.root, preload::FAILING_CALLS);
    let path = |name: &str| stack.root.join(name).display().to_string();
    let (send, fork) = (path("fail-send"), path("no-fork"));
    sleeper_of(stack.env("LD_PRELOAD", &library.display().to_string()).env("FAIL_SEND", &send).env("NO_FORK", &fork))
}

fn sleeper_of(stack: Stack) -> (Tried, String, String) {
    let stack = Tried::of(stack);
    let name = stack.name("a");
    stack.shell(&name, "exec sleep 4321", always());
    stack.up();
    let instance = format!("{name}-0@1");
    (stack, name, instance)
}

/// Kills the shim of an instance, and each that takes over as soon as it is there. Returns how many there were.
fn kill_in_a_row(stack: &Tried, instance: &str, count: usize) -> usize {
    let (keeper, first) = (stack.keeper(), stack.shim(instance));
    // Only the keeper's children, and by no name: to look at all processes takes longer than a takeover.
    let children = || -> Vec<u32> {
        let text = std::fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    };
    // Whose shim has died is a child of the keeper, too.
    let mut known = children();
    known.push(stack.leader(instance));
    proc::kill(first);
    let mut killed = 1;
    let until = Instant::now() + SOON;
    while killed < count && Instant::now() < until {
        for child in children() {
            if !known.contains(&child) {
                proc::kill(child);
                known.push(child);
                killed += 1;
            }
        }
    }
    killed
}

impl Tried {
    /// The shim of an instance, if it has one now.
    fn shim_or_none(&self, instance: &str) -> Option<u32> {
        self.shims().into_iter().find(|(name, _)| name == instance).map(|(_, one)| one.pid)
    }
}

/// It has one shim, the same process as before, and all of it works: what is killed comes back, what is stopped ends.
#[track_caller]
pub(crate) fn expect_well(stack: &Tried, name: &str, instance: &str, pid: u32) {
    soon("it has one shim", || (stack.shims_of(name).len() == 1).then_some(()));
    soon("all is well", || stack.is_well().then_some(()));
    assert_eq!(stack.leader(instance), pid, "it has another process");
    assert!(proc::lives(pid));
    proc::kill(pid);
    soon("it is started again", || {
        stack.record(instance).filter(|record| record.pid != pid && proc::lives(record.pid))
    });
    soon("all is well", || stack.is_well().then_some(()));
    assert_eq!(stack.shims_of(name).len(), 1, "it has one shim");
}

fn is_there_again(count: usize, rounds: usize) {
    let (stack, name, instance) = sleeper();
    // Whether one is killed before or after it stands over the service is a matter of luck.
    for _ in 0..rounds {
        let pid = stack.leader(&instance);
        let killed = kill_in_a_row(&stack, &instance, count);
        // Nobody stands over it: nobody may say that all is well.
        if stack.shim_or_none(&instance).is_none() {
            let is_well = stack.is_well();
            let has_none = stack.shim_or_none(&instance).is_none();
            assert!(!(is_well && has_none), "all is said to be well, and nobody stands over it");
        }
        assert_eq!(killed, count, "after {killed} of them none came");
        expect_well(&stack, &name, &instance, pid);
    }
    stack.well(SOON, &["stop", &name]);
    soon("its shim is gone", || stack.shims_of(&name).is_empty().then_some(()));
    let run = stack.run_folder();
    stack.well(DOWN, &["down"]);
    stack.expect_nothing(run);
}

fn a_shim_that_is_killed_twice_is_there_again() {
    is_there_again(2, 3);
}

fn a_shim_that_is_killed_five_times_is_there_again() {
    is_there_again(5, 1);
}

fn a_stop_ends_while_shims_are_killed() {
    let (stack, name, instance) = sleeper();
    let pid = stack.leader(&instance);
    kill_in_a_row(&stack, &instance, 2);
    stack.well(SOON, &["stop", &name]);
    assert!(!proc::lives(pid), "it was stopped, and lives");
    soon("its shim is gone", || stack.shims_of(&name).is_empty().then_some(()));
}

fn a_down_ends_while_shims_are_killed() {
    let (stack, _, instance) = sleeper();
    let run = stack.run_folder();
    kill_in_a_row(&stack, &instance, 2);
    stack.well(DOWN, &["down"]);
    stack.expect_nothing(run);
}

/// Takes away that the keeper can fork, in the way that this host has.
enum Squeeze {
    Cgroup(Processes),
    Limit(u32),
    /// The file that lets a fork of the keeper fail.
    File(PathBuf),
}

impl Squeeze {
    fn begin(stack: &Tried) -> Self {
        let keeper = stack.keeper();
        let group = Processes::make(&format!("core-test-{}", stack.hash()));
        if let Some(group) = group.filter(|group| group.take(keeper) && group.squeeze()) {
            return Self::Cgroup(group);
        }
        if squeeze::processes(keeper) {
            return Self::Limit(keeper);
        }
        let file = Self::File(stack.root.join("no-fork"));
        file.again();
        file
    }

    fn again(&self) {
        match self {
            Self::Cgroup(group) => {
                group.squeeze();
            }
            Self::Limit(pid) => {
                squeeze::processes(*pid);
            }
            Self::File(file) => fs::write(file, "").expect("a file"),
        }
    }

    fn end(&self) {
        match self {
            Self::Cgroup(group) => group.ease(),
            Self::Limit(pid) => squeeze::ease(*pid),
            Self::File(file) => fs::remove_file(file).expect("the file"),
        }
    }
}

fn a_shim_is_waited_for_while_the_keeper_cannot_fork() {
    let (stack, name, instance) = sleeper_with_failing_calls();
    let pid = stack.leader(&instance);
    let squeeze = Squeeze::begin(&stack);
    for _ in 0..2 {
        let shim = stack.shim(&instance);
        proc::kill(shim);
        let limited = found_within(SOON, || (!stack.is_well()).then_some(()));
        assert!(limited.is_some(), "nobody stands over it, and all is said to be well");
        assert!(stack.shims_of(&name).is_empty(), "it was to have none");
        squeeze.end();
        expect_well(&stack, &name, &instance, stack.leader(&instance));
        squeeze.again();
    }
    squeeze.end();
    assert_ne!(stack.leader(&instance), pid, "it was killed, and started again");
    // With none to stand over it, it can be stopped all the same once there can be one.
    squeeze.again();
    proc::kill(stack.shim(&instance));
    soon("it has none", || stack.shims_of(&name).is_empty().then_some(()));
    let mut stop = stack.begin(&["stop", &name]);
    let run = stack.run_folder();
    squeeze.end();
    let said = stop.within(SOON).expect("`core stop` ends");
    assert_eq!(said.code, 0, "{said:?}");
    stack.well(DOWN, &["down"]);
    stack.expect_nothing(run);
}
