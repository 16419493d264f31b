//! A shim or a keeper that has no descriptor left: what it cannot look at is not dead, and how it ended is not lost.

use std::io::Write as _;
use std::time::Duration;

use super::one_shim::{expect_well, sleeper};
use crate::common::proc;
use crate::common::trials::{Test, tests};
use crate::random::squeeze;
use crate::random::tried::{DOWN, found_within, soon};

pub(crate) const TESTS: &[Test] =
    tests![a_shim_without_descriptors_takes_nobody_for_dead, an_end_that_the_keeper_cannot_look_at_is_known];

/// Longer than a service has to end when it is stopped.
const A_WHILE: Duration = Duration::from_secs(4);

/// It is no parent of what it took over, so it looks; and looking takes a descriptor.
fn a_shim_without_descriptors_takes_nobody_for_dead() {
    let (stack, name, instance) = sleeper();
    let pid = stack.leader(&instance);
    stack.kill_shim(&instance);
    soon("all is well", || stack.is_well().then_some(()));
    let shim = stack.shim(&instance);
    // Its output makes it look.
    let pipe = stack.place(&instance).fifo(core_shim::place::Stream::Out);
    let mut pipe = std::fs::OpenOptions::new().write(true).open(pipe).expect("its pipe");
    assert!(squeeze::files(shim), "its limit can be set");
    pipe.write_all(b"a line\n").expect("written");
    let lost = found_within(A_WHILE, || (!proc::lives(pid) || stack.end(&instance).is_some()).then_some(()));
    squeeze::ease(shim);
    assert!(lost.is_none(), "it was taken for dead; it lives: {}", proc::lives(pid));
    expect_well(&stack, &name, &instance, pid);
    let run = stack.run_folder();
    stack.well(DOWN, &["down"]);
    stack.expect_nothing(run);
}

/// Nobody but the keeper is there to see how it ended, and cannot look at it.
fn an_end_that_the_keeper_cannot_look_at_is_known() {
    let (stack, _, instance) = sleeper();
    let (pid, keeper, supervisor) = (stack.leader(&instance), stack.keeper(), stack.supervisor());
    let shim = stack.shim(&instance);
    proc::hold(supervisor);
    assert!(squeeze::all_files(keeper), "its limit can be set");
    proc::kill(shim);
    proc::kill(pid);
    let is_gone = || !std::path::Path::new(&format!("/proc/{pid}")).exists();
    let gone = found_within(Duration::from_millis(600), || is_gone().then_some(()));
    proc::kill(supervisor);
    squeeze::ease(keeper);
    assert!(gone.is_none(), "it was reaped, and nobody had looked at it");
    soon("it is started again", || stack.record(&instance).filter(|record| record.pid != pid && record.pid > 0));
    let end = stack.end(&instance).expect("a record of its end");
    assert_eq!((end.number, end.status), (1, 9));
}
