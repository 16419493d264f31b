//! A supervisor that says nothing: whatever is asked of it, there is an answer within seconds.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{PATIENCE, Said, Stack, proc, until};

pub(crate) const TESTS: &[Test] = tests![
    who_asks_is_answered_at_once,
    every_question_to_a_silent_supervisor_ends,
    a_silent_supervisor_is_replaced_when_somebody_asks,
    down_of_a_silent_stack_goes_on_by_itself,
    down_with_kill_of_a_silent_stack_goes_on_by_itself,
    an_end_that_is_not_done_in_time_is_done_without_the_supervisor,
];

/// What a command may take when nobody answers: 6 s, on a slow machine more.
const LONGEST: Duration = Duration::from_secs(15);

/// A stack whose keeper and supervisor are held still.
fn silent() -> Stack {
    let stack = Stack::new();
    stack.shell("one", "echo its last words; exec sleep 1000", json!({}));
    stack.up();
    stack.until_says("one", "its last words");
    // The keeper first: it would put another in the place of a supervisor that does not answer.
    for pid in [stack.keeper(), stack.supervisor()] {
        proc::hold(pid);
    }
    stack
}

#[track_caller]
fn within(stack: &Stack, words: &[&str], longest: Duration) -> Said {
    let began = Instant::now();
    let said = stack.core(words);
    println!("{}: {} ms", words.join(" "), began.elapsed().as_millis());
    assert!(began.elapsed() < longest, "{words:?} took {:?}", began.elapsed());
    said
}

fn every_question_to_a_silent_supervisor_ends() {
    let stack = silent();
    let pid = proc::of_stack(&stack.root).into_iter().find(|one| one.args[0] == "sleep").expect("the service").pid;
    let ask = |words: &[&str]| {
        let said = within(&stack, words, LONGEST);
        assert!(said.err.contains("the supervisor does not answer"), "{words:?}: {}", said.err);
        said
    };
    // All at the same time: each of them waits.
    std::thread::scope(|scope| {
        for words in [
            &["status"][..],
            &["status", "--check"],
            &["why", "one"],
            &["plan"],
            &["graph"],
            &["stop", "one"],
            &["logs", "-f"],
            &["up", "-d", "--timeout", "5"],
        ] {
            let ask = &ask;
            scope.spawn(move || assert_eq!(ask(words).code, 1, "{words:?}"));
        }
        scope.spawn(|| {
            let said = ask(&["logs"]);
            assert!(said.code == 0 && said.out.contains("its last words"), "{said:?}");
        });
    });
    assert!(proc::lives(pid), "nobody asked it to end");
}

/// Its keeper is asked to look, and the question is put again.
fn a_silent_supervisor_is_replaced_when_somebody_asks() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let (pid, supervisor) = (stack.pid("one"), stack.supervisor());
    proc::hold(supervisor);
    assert_eq!(within(&stack, &["status", "--check"], LONGEST).code, 0);
    assert!(!proc::lives(supervisor));
    assert_eq!(stack.pid("one"), pid);
}

fn down_of_a_silent_stack_goes_on_by_itself() {
    let stack = silent();
    let run = stack.run_folder();
    let said = within(&stack, &["down"], 3 * LONGEST);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("the supervisor does not answer; ending the stack without it"), "{}", said.err);
    stack.expect_nothing_left(run.as_deref());
}

fn down_with_kill_of_a_silent_stack_goes_on_by_itself() {
    let stack = silent();
    let run = stack.run_folder();
    let said = within(&stack, &["down", "--kill"], 2 * LONGEST);
    assert_eq!(said.code, 0, "{said:?}");
    stack.expect_nothing_left(run.as_deref());
}

/// The supervisor answers, and takes the order; but what would carry it out is held still.
fn an_end_that_is_not_done_in_time_is_done_without_the_supervisor() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({"shutdown": {"timeout_seconds": 1}}));
    stack.up();
    let (pid, shim, run) = (stack.pid("one"), stack.shim("one-0@1"), stack.run_folder());
    let supervisor = stack.supervisor();
    proc::hold(shim);
    let said = within(&stack, &["down"], 4 * LONGEST);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!proc::lives(pid) && !proc::lives(supervisor));
    assert!(stack.core(&["status"]).code == 3, "a supervisor is left");
    proc::kill(shim);
    stack.expect_nothing_left(run.as_deref());
}

/// Whatever stands still: who asks has his answer within half a second on a machine that does nothing else.
fn who_asks_is_answered_at_once() {
    let stack = Stack::new();
    let names: Vec<String> = (0..50).map(|number| format!("one{number}x")).collect();
    for name in &names {
        stack.shell(name, "exec sleep 1000", json!({}));
    }
    stack.up();
    let asked = || {
        let began = Instant::now();
        stack.ok(&["status"]);
        began.elapsed()
    };
    // In the first second of a new supervisor, of which one shim stands still.
    let shim = stack.shim("one7x-0@1");
    proc::hold(shim);
    let one_stands_still = asked();
    let supervisor = stack.supervisor();
    proc::kill(supervisor);
    until("it is gone", || !proc::lives(supervisor));
    let (new, again) = (asked(), asked());
    println!(
        "one of fifty shims stands still: {} ms; and the supervisor is new: {} ms, {} ms",
        one_stands_still.as_millis(),
        new.as_millis(),
        again.as_millis()
    );
    for took in [one_stands_still, new, again] {
        assert!(took < PATIENCE / 20, "{took:?}");
    }
    until("another shim has its place", || !proc::lives(shim));
    stack.until_ready();
    let run = stack.run_folder();
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}
