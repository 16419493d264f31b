//! How a service ended is known, whoever of ours was dead or stood still when it did; what ended well is not run twice.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::proc;
use crate::common::trials::{Test, tests};
use crate::random::dice::Dice;
use crate::random::role;
use crate::random::tried::{SOON, Tried, found_within, soon};

pub(crate) const TESTS: &[Test] = tests![
    a_code_is_known_when_the_keeper_reaps_late,
    a_code_is_known_when_no_shim_was_there,
    what_ended_well_while_its_shim_was_killed_is_not_run_twice,
];

/// Times that a shim is killed around the end of what it stands over.
const ROUNDS: usize = 40;

/// A stack of two that end when they are told: with a code, or well; the one that ends well would else run again.
struct Ending {
    stack: Tried,
    instances: Vec<(String, String, i32)>,
}

impl Ending {
    fn new() -> Self {
        let stack = Tried::new();
        let instances = [("zero", 0, "on_failure"), ("seven", 7, "no")].map(|(role, code, restart)| {
            let name = stack.name(role);
            let process = role::process("once", &[role], &json!({"availability": {"restart": restart}}));
            stack.service(&name, &json!({"process": process}));
            (format!("{name}-0@1"), role.to_owned(), code)
        });
        stack.up();
        Self { stack, instances: instances.into() }
    }

    /// Tells them to end, and waits until they have.
    fn tell(&self) {
        for (instance, file, code) in &self.instances {
            let pid = self.stack.leader(instance);
            self.stack.write(&format!("{file}.new"), &code.to_string());
            let path = self.stack.root.join(file);
            fs::rename(path.with_extension("new"), &path).expect("renamed");
            soon("it has ended", || (!proc::lives(pid)).then_some(()));
        }
    }

    /// What both the record and the supervisor say, and that neither was run again.
    #[track_caller]
    fn expect_known(&self) {
        for (instance, _, code) in &self.instances {
            let ended = soon("there is a record of the end", || self.stack.end(instance));
            assert_eq!(ended.status, code << 8, "{instance} ended with {code}, and that is not what the record says");
            soon("the supervisor knows", || {
                let said = self.stack.within(SOON, &["status", "--json"]);
                let status: Value = serde_json::from_str(&said.out).ok()?;
                let all = status["instances"].as_array()?.clone();
                let is_told = |one: &Value| one["id"] == instance.as_str() && one["exit_code"] == *code;
                all.iter().any(is_told).then_some(())
            });
        }
        let begun = role::ledger(&self.stack.root, "once").iter().filter(|(word, _, _)| word == "begin").count();
        assert_eq!(begun, self.instances.len(), "somebody was run twice");
    }
}

/// A shim that took over sees the end before the keeper, who is the parent then, has fetched the code.
fn a_code_is_known_when_the_keeper_reaps_late() {
    let ending = Ending::new();
    let stack = &ending.stack;
    for (instance, _, _) in &ending.instances {
        stack.kill_shim(instance);
    }
    soon("all is well", || stack.is_well().then_some(()));
    let keeper = stack.keeper();
    proc::hold(keeper);
    ending.tell();
    // Whoever writes down now what he knows knows nothing; whoever waits is not to be waited for.
    found_within(Duration::from_secs(1), || {
        ending.instances.iter().all(|(instance, _, _)| stack.end(instance).is_some()).then_some(())
    });
    proc::send(keeper, "CONT");
    ending.expect_known();
}

/// The shim is killed, and its successor cannot be forked before the service has ended.
fn a_code_is_known_when_no_shim_was_there() {
    let ending = Ending::new();
    let stack = &ending.stack;
    let keeper = stack.keeper();
    proc::hold(keeper);
    for (instance, _, _) in &ending.instances {
        let shim = stack.shim(instance);
        proc::kill(shim);
        soon("it is gone", || (!proc::lives(shim)).then_some(()));
    }
    ending.tell();
    proc::send(keeper, "CONT");
    ending.expect_known();
}

fn what_ended_well_while_its_shim_was_killed_is_not_run_twice() {
    let stack = Tried::new();
    let name = stack.name("once");
    let process = role::process("once", &["30"], &json!({"availability": {"restart": "on_failure"}}));
    stack.service(&name, &json!({"process": process}));
    // One that stays, so that the stack is one.
    stack.shell(&stack.name("a"), "exec sleep 4321", json!({}));
    stack.up();
    let words = |word: &str| role::ledger(&stack.root, "once").iter().filter(|(have, _, _)| have == word).count();
    soon("it has run", || (words("end") == 1).then_some(()));
    let mut dice = Dice::new(1);
    let (mut twice, mut unknown) = (Vec::new(), Vec::new());
    let mut runs = 1;
    for round in 0..ROUNDS {
        let mut start = stack.begin(&["start", &name]);
        soon("it runs", || (words("begin") > runs).then_some(()));
        std::thread::sleep(dice.millis(0, 60));
        for shim in stack.shims_of(&name) {
            proc::kill(shim);
        }
        start.within(SOON).expect("`core start` ends");
        let said = soon("it is said how it ended", || {
            let said = stack.within(SOON, &["status", "--json"]);
            let status: Value = serde_json::from_str(&said.out).ok()?;
            let instance = status["instances"].as_array()?.iter().find(|one| one["service"] == name.as_str())?.clone();
            (instance["phase"] == "ended").then_some(instance)
        });
        soon("its last run is over", || (words("end") == words("begin")).then_some(()));
        if said["exit_code"] != 0 {
            unknown.push(round);
        }
        if words("begin") != runs + 1 {
            twice.push(round);
        }
        runs = words("begin");
    }
    assert!(twice.is_empty() && unknown.is_empty(), "run twice: rounds {twice:?}; unknown: rounds {unknown:?}");
}
