//! A shim that stands still: whatever waits for it has an end.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use super::one_shim::{always, expect_well, sleeper};
use crate::common::proc;
use crate::common::trials::{Test, tests};
use crate::random::tried::{DOWN, SOON, Tried, found_within, soon};

pub(crate) const TESTS: &[Test] = tests![
    a_shim_that_stands_still_is_noticed,
    a_stop_ends_although_a_shim_stands_still,
    a_down_ends_although_a_shim_stands_still,
    a_down_that_kills_ends_although_a_shim_stands_still,
    a_supervisor_answers_although_a_shim_stands_still,
    a_stop_asks_whoever_has_left_the_session,
];

fn a_shim_that_stands_still_is_noticed() {
    let (stack, name, instance) = sleeper();
    let (pid, shim) = (stack.leader(&instance), stack.shim(&instance));
    proc::hold(shim);
    let began = Instant::now();
    let noticed = found_within(Duration::from_secs(15), || {
        let is_replaced = stack.shims_of(&name) != [shim];
        (is_replaced || !stack.is_well()).then_some(is_replaced)
    });
    let is_replaced = noticed.expect("it stands still, and all is said to be well");
    println!("noticed after {} ms, by then replaced: {is_replaced}", began.elapsed().as_millis());
    assert!(proc::lives(pid), "the service was ended");
    // Whoever wakes finds that he has been replaced, if he was.
    proc::send(shim, "CONT");
    expect_well(&stack, &name, &instance, pid);
    let run = stack.run_folder();
    stack.well(DOWN, &["down"]);
    stack.expect_nothing(run);
}

/// The service has 2 s to end, and we have another 2 to notice that nobody listens; the rest is for slow machines.
fn a_stop_ends_although_a_shim_stands_still() {
    let (stack, name, instance) = sleeper();
    let (pid, shim) = (stack.leader(&instance), stack.shim(&instance));
    proc::hold(shim);
    let began = Instant::now();
    stack.well(SOON, &["stop", &name]);
    println!("stopped after {} ms", began.elapsed().as_millis());
    assert!(!proc::lives(pid), "it was stopped, and lives");
    proc::send(shim, "CONT");
    soon("nobody stands over what was stopped", || stack.shims_of(&name).is_empty().then_some(()));
    stack.well(SOON, &["start", &name]);
    soon("it has one shim", || (stack.shims_of(&name).len() == 1).then_some(()));
}

fn is_down_by(words: &[&str]) {
    let (stack, _, instance) = sleeper();
    let (pid, shim) = (stack.leader(&instance), stack.shim(&instance));
    let run = stack.run_folder();
    proc::hold(shim);
    let began = Instant::now();
    stack.well(DOWN, words);
    println!("down after {} ms", began.elapsed().as_millis());
    assert!(!proc::lives(pid), "the stack is down, and the service lives");
    proc::send(shim, "CONT");
    stack.expect_nothing(run);
}

fn a_down_ends_although_a_shim_stands_still() {
    is_down_by(&["down"]);
}

fn a_down_that_kills_ends_although_a_shim_stands_still() {
    is_down_by(&["down", "--kill"]);
}

/// One of ten; it waits for none of them.
fn a_supervisor_answers_although_a_shim_stands_still() {
    let stack = Tried::new();
    let names: Vec<String> = (0..10).map(|number| stack.name(&format!("a{number}"))).collect();
    for name in &names {
        stack.shell(name, "exec sleep 4321", always());
    }
    stack.up();
    let pids: Vec<u32> = names.iter().map(|name| stack.leader(&format!("{name}-0@1"))).collect();
    let (supervisor, held) = (stack.supervisor(), stack.shim(&format!("{}-0@1", names[5])));
    proc::hold(held);
    proc::kill(supervisor);
    let began = Instant::now();
    soon("status answers", || stack.begin(&["status"]).within(SOON).is_some_and(|said| said.code == 0).then_some(()));
    let took = began.elapsed();
    println!("answered after {} ms", took.as_millis());
    proc::send(held, "CONT");
    assert!(took < Duration::from_secs(4), "it answered after {took:?}");
    soon("all is well", || stack.is_well().then_some(()));
    let now: Vec<u32> = names.iter().map(|name| stack.leader(&format!("{name}-0@1"))).collect();
    assert_eq!(now, pids, "a service has another process");
}

fn a_stop_asks_whoever_has_left_the_session() {
    let stack = Tried::new();
    let name = stack.name("a");
    let helper = |number: u32| {
        format!(
            "setsid sh -c 'trap \"echo > got.{number}; exit 0\" TERM; echo > up.{number}; while :; do sleep 0.02; done' &"
        )
    };
    let line: Vec<String> = (0..3).map(helper).collect();
    stack.shell(&name, &format!("{} exec sleep 4321", line.join(" ")), json!({}));
    stack.up();
    let files =
        |word: &str| -> Vec<PathBuf> { (0..3).map(|number| stack.root.join(format!("{word}.{number}"))).collect() };
    soon("its helpers are there", || files("up").iter().all(|file| file.exists()).then_some(()));
    let began = Instant::now();
    stack.well(DOWN, &["stop", &name]);
    let took = began.elapsed();
    println!("stopped after {} ms", took.as_millis());
    let asked = files("got").iter().filter(|file| fs::exists(file).unwrap_or(false)).count();
    assert_eq!(asked, 3, "helpers that were asked to end");
    // All of them end when they are asked: nobody waits for the 10 s that they have.
    assert!(took < Duration::from_secs(6), "it took {took:?}");
    soon("its shim is gone", || stack.shims_of(&name).is_empty().then_some(()));
}
