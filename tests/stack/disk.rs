//! Disks that are full, slow, or do not answer: what cannot be written down is not acknowledged, and nobody waits who
//! need not.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, eventually, preload, proc, until};

pub(crate) const TESTS: &[Test] = tests![
    a_full_disk_stops_nobody_and_takes_no_order,
    what_could_not_be_written_is_tried_again,
    who_only_looks_does_not_wait_for_a_slow_disk,
    a_disk_that_does_not_answer_holds_nobody_up_for_ever,
    what_is_being_written_is_there_for_the_next_keeper,
    a_stop_whose_end_was_not_written_is_over_for_the_next_start,
];

/// A stack whose disk is slow while the file `slow` is there.
fn on_slow_disk() -> Stack {
    let stack = Stack::new();
    let library = preload::library(&stack.root, preload::SLOW_DISK);
    let file = stack.root.join("slow");
    stack.env("LD_PRELOAD", library.to_str().expect("text")).env("SLOW_DISK", file.to_str().expect("text"))
}

fn problems(stack: &Stack) -> Vec<(String, String)> {
    let status = stack.status();
    let all = status["problems"].as_array().cloned().unwrap_or_default();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    all.iter().map(|one| (text(one, "code"), text(one, "message"))).collect()
}

fn a_full_disk_stops_nobody_and_takes_no_order() {
    let stack = Stack::new().on_small_disk();
    stack.shell("one", "exec sleep 1000", json!({"availability": {"restart": "always"}}));
    stack.up();
    let (pid, supervisor, generation) = (stack.pid("one"), stack.supervisor(), stack.status()["generation"].clone());
    stack.disk().fill();
    let log = stack.disk().file("core.log");
    let mut file = OpenOptions::new().append(true).open(&log).expect("the log");
    while file.write_all(b"x\n").is_ok() {}

    proc::kill(pid);
    let pid = stack.next_pid("one", pid);
    let (_, message) = eventually("the log that takes nothing is a problem", || {
        problems(&stack).into_iter().find(|(code, _)| code == "unsaid")
    });
    assert!(message.contains("core.log cannot be written: No space left on device"), "{message}");
    for words in
        [&["stop", "one"][..], &["restart", "one"], &["start", "one"], &["scale", "one=2"], &["apply"], &["up", "-d"]]
    {
        let said = stack.core(words);
        assert_eq!(said.code, 1, "{words:?}: {said:?}");
        let why = ".core-stack cannot be written: No space left on device; nothing was changed; make room";
        assert!(said.err.contains(why), "{words:?}: {}", said.err);
    }
    let (_, message) = problems(&stack).into_iter().find(|(code, _)| code == "no-room").expect("the edit that waits");
    assert_eq!(message, ".core-stack cannot be written: No space left on device");
    assert_eq!((stack.pid("one"), stack.supervisor()), (pid, supervisor));
    assert_eq!(stack.status()["generation"], generation);

    stack.disk().empty();
    until("the log is written again", || !problems(&stack).iter().any(|(code, _)| code == "unsaid"));
    let said = fs::read_to_string(&log).expect("the log");
    assert!(said.contains(" lines before this one are lost: No space left on device"), "{said}");
    stack.ok(&["scale", "one=2"]);

    stack.disk().fill();
    let run = stack.disk().file("run");
    let run = fs::read_link(run).ok();
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("No space left on device"), "{}", said.err);
    stack.expect_nothing_left(None);
}

fn what_could_not_be_written_is_tried_again() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    // There is room, and it cannot be written all the same.
    let beside = stack.root.join(".core-stack/state.json.new");
    fs::create_dir(&beside).expect("a folder");
    let said = stack.core(&["scale", "one=2"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("it is being done, but state.json cannot be written: Is a directory"), "{}", said.err);
    assert!(problems(&stack).iter().any(|(code, _)| code == "unsaved"), "{:?}", problems(&stack));
    until("it is done", || stack.pids_of("one").len() == 2);
    fs::remove_dir(&beside).expect("a folder");
    until("it is written", || problems(&stack).is_empty());
    stack.kill_supervisor();
    until("it is known to another supervisor", || stack.pids_of("one").len() == 2);
}

fn who_only_looks_does_not_wait_for_a_slow_disk() {
    let stack = on_slow_disk();
    stack.shell("one", "exec sleep 1000", json!({"availability": {"restart": "always"}}));
    stack.shell("two", "exec sleep 1000", json!({}));
    stack.shell("off", "exec sleep 1000", json!({"disabled": true}));
    stack.up();
    let one = stack.pid("one");
    stack.write("slow", "");
    let scale = stack.command(&["scale", "two=2"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut scale = scale.expect("core runs");
    let beside = stack.root.join(".core-stack/state.json.new");
    until("it is being written", || beside.exists());
    // There is nothing to be done for it, but that it is to stay so.
    let mut stop = stack.command(&["stop", "off"]).spawn().expect("core runs");

    let began = Instant::now();
    stack.ok(&["status"]);
    let took = began.elapsed();
    println!("status while the disk does not answer: {} ms", took.as_millis());
    assert!(took < Duration::from_millis(1500), "{took:?}");
    for words in [&["why", "two"][..], &["history"], &["logs", "-n", "1"]] {
        stack.ok(words);
    }
    proc::kill(one);
    stack.next_pid("one", one);
    // What follows from a change waits until that is written down, and so does who asked for it.
    assert_eq!(stack.pids_of("two").len(), 1);
    assert!(scale.try_wait().expect("it is ours").is_none() && beside.exists());
    assert!(stop.try_wait().expect("it is ours").is_none());

    fs::remove_file(stack.root.join("slow")).expect("the file");
    let said = Said::of(scale.wait_with_output().expect("it ends"));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(stack.pids_of("two").len(), 2);
    assert!(stop.wait().expect("it ends").success());
    let state = fs::read_to_string(stack.root.join(".core-stack/state.json")).expect("the state");
    assert!(state.contains(r#""scale":2"#) && state.contains("stopped"), "{state}");
}

fn a_disk_that_does_not_answer_holds_nobody_up_for_ever() {
    let stack = on_slow_disk();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let run = stack.run_folder();
    stack.write("slow", "");
    let said = stack.core(&["scale", "one=2"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("it is being done, but state.json is not written: its disk"), "{}", said.err);
    assert!(problems(&stack).iter().any(|(code, _)| code == "unsaved"), "{:?}", problems(&stack));
    until("it is done", || stack.pids_of("one").len() == 2);
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

/// A supervisor whose keeper dies leaves nothing half done.
fn what_is_being_written_is_there_for_the_next_keeper() {
    let stack = on_slow_disk();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let (supervisor, keeper, pid) = (stack.supervisor(), stack.keeper(), stack.pid("one"));
    stack.write("slow", "");
    let scale = stack.command(&["scale", "one=2"]).stderr(Stdio::null()).spawn().expect("core runs");
    let beside = stack.root.join(".core-stack/state.json.new");
    until("it is being written", || beside.exists());
    proc::kill(keeper);
    until("it was seen", || stack.own_log().contains("the keeper is gone"));
    fs::remove_file(stack.root.join("slow")).expect("the file");
    until("another supervisor runs", || !proc::lives(supervisor) && stack.supervisor() != supervisor);
    stack.until_ready();
    assert_eq!(stack.pids_of("one").len(), 2);
    assert_eq!(stack.pid("one"), pid);
    // Its line broke; or it was told before.
    let _ = scale.wait_with_output();
}

/// As after a power cut in the middle of `core down`.
fn a_stop_whose_end_was_not_written_is_over_for_the_next_start() {
    let stack = on_slow_disk();
    let go = stack.root.join("go");
    let last = format!("while ! test -e {}; do sleep 0.02; done; exit 0", go.display());
    stack.shell("one", &format!("trap '{last}' TERM; while true; do sleep 0.05; done"), json!({}));
    stack.up();
    let mut down = stack.command(&["down"]).spawn().expect("core runs");
    let state = || fs::read_to_string(stack.root.join(".core-stack/state.json")).expect("the state");
    until("it is written down that it ends", || state().contains(r#""down":true"#));
    stack.write("slow", "");
    stack.write("go", "");
    assert!(down.wait().expect("it is ours").success());
    assert!(state().contains(r#""down":true"#));
    fs::remove_file(stack.root.join("slow")).expect("the file");
    stack.up();
    stack.until_ready();
}
