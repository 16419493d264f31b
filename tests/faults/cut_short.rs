//! A stop that was under way when all of ours were killed.

use serde_json::json;

use super::one_shim::always;
use crate::common::proc;
use crate::common::trials::{Test, tests};
use crate::random::role::{self, HELPER, HELPERS};
use crate::random::tried::{DOWN, SOON, Tried, found_within, soon};

pub(crate) const TESTS: &[Test] = tests![what_was_being_stopped_is_started_once];

/// Its first process has ended, its helpers have not; whoever takes over ends them, and starts it as often as it is wanted.
fn what_was_being_stopped_is_started_once() {
    let stack = Tried::new();
    let name = stack.name("forks");
    stack.service(&name, &json!({"process": role::process("forks", &[], &always())}));
    stack.up();
    let instance = format!("{name}-0@1");
    let helpers =
        || -> Vec<u32> { stack.everybody().iter().filter(|one| one.args == HELPER).map(|one| one.pid).collect() };
    soon("its helpers are there", || (helpers().len() == HELPERS).then_some(()));
    let (leader, held) = (stack.leader(&instance), helpers());
    // So they cannot end before all of ours are dead, whoever asks them to.
    for pid in &held {
        proc::hold(*pid);
    }
    let stop = stack.begin(&["stop", &name]);
    soon("its first process has ended", || (!proc::lives(leader)).then_some(()));
    stack.kill_all_of_ours();
    drop(stop);
    stack.within(DOWN, &["up", "-d", "--timeout", "10"]);
    soon("those of before are gone", || (!held.iter().any(|pid| proc::lives(*pid))).then_some(()));
    let begun = || role::ledger(&stack.root, "forks").iter().filter(|(word, _, _)| word == "begin").count();
    // `up` wants it: once it is there it stays.
    let pid = soon("it is there again", || {
        stack.record(&instance).map(|record| record.pid).filter(|pid| *pid != leader && proc::lives(*pid))
    });
    let another = found_within(SOON / 6, || stack.record(&instance).filter(|record| record.pid != pid));
    assert!(another.is_none(), "it is started again and again: {:?}", another.map(|record| record.number));
    assert!(begun() <= 3, "it was started {} times", begun());
    let run = stack.run_folder();
    stack.well(DOWN, &["down"]);
    stack.expect_nothing(run);
}
