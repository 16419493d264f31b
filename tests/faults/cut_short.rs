//! A service of which a part is left when the rest has ended: it is begun again when that is gone too, and once.

use serde_json::json;

use super::one_shim::always;
use crate::common::proc;
use crate::common::trials::{Test, tests};
use crate::random::role::{self, HELPER, HELPERS};
use crate::random::tried::{DOWN, SOON, Tried, found_within, soon};

pub(crate) const TESTS: &[Test] = tests![what_left_helpers_is_started_once, what_was_being_stopped_is_started_once];

/// A service with helpers that cannot end: they are held.
struct Forks {
    stack: Tried,
    name: String,
    instance: String,
    leader: u32,
    helpers: Vec<u32>,
}

impl Forks {
    fn new() -> Self {
        let stack = Tried::new();
        let name = stack.name("forks");
        stack.service(&name, &json!({"process": role::process("forks", &[], &always())}));
        stack.up();
        let instance = format!("{name}-0@1");
        let helpers = soon("its helpers are there", || {
            let all = stack.everybody();
            let pids: Vec<u32> = all.iter().filter(|one| one.args == HELPER).map(|one| one.pid).collect();
            (pids.len() == HELPERS).then_some(pids)
        });
        for pid in &helpers {
            proc::hold(*pid);
        }
        let leader = stack.leader(&instance);
        Self { stack, name, instance, leader, helpers }
    }

    /// Those of before are ended, and it is begun again: once it is there it stays.
    #[track_caller]
    fn expect_once(&self) {
        let stack = &self.stack;
        soon("those of before are gone", || (!self.helpers.iter().any(|pid| proc::lives(*pid))).then_some(()));
        let pid = soon("it is there again", || {
            let pid = stack.record(&self.instance)?.pid;
            (pid != self.leader && proc::lives(pid)).then_some(pid)
        });
        let another = found_within(SOON / 6, || stack.record(&self.instance).filter(|record| record.pid != pid));
        assert!(another.is_none(), "it is started again and again: {:?}", another.map(|record| record.number));
        let begun = role::ledger(&stack.root, "forks").iter().filter(|(word, _, _)| word == "begin").count();
        assert!(begun <= 3, "it was started {begun} times");
        let run = stack.run_folder();
        stack.well(DOWN, &["down"]);
        stack.expect_nothing(run);
    }
}

/// Its first process was killed.
fn what_left_helpers_is_started_once() {
    let forks = Forks::new();
    proc::kill(forks.leader);
    forks.expect_once();
}

/// It was stopped, and while it was all of ours were killed; `up` wants it again.
fn what_was_being_stopped_is_started_once() {
    let forks = Forks::new();
    let stop = forks.stack.begin(&["stop", &forks.name]);
    soon("its first process has ended", || (!proc::lives(forks.leader)).then_some(()));
    forks.stack.kill_all_of_ours();
    drop(stop);
    forks.stack.within(DOWN, &["up", "-d", "--timeout", "10"]);
    forks.expect_once();
}
