//! The control socket, and those who only sit on it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{PATIENCE, Stack, proc, until};

pub(crate) const TESTS: &[Test] = tests![
    who_waits_sees_for_what_and_not_for_ever,
    who_says_nothing_is_closed_and_keeps_nobody_out,
    without_a_descriptor_for_who_comes_the_supervisor_waits,
    an_end_says_how_long_it_may_take,
    a_crowd_is_answered_one_after_the_other,
];

/// More than the supervisor lets in at a time.
const IDLE: usize = 500;

fn who_says_nothing_is_closed_and_keeps_nobody_out() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let (supervisor, run) = (stack.supervisor(), stack.run_folder().expect("a run folder"));
    let count = || proc::descriptors(supervisor).len();
    let before = count();
    let mut idle: Vec<UnixStream> =
        (0..IDLE).map(|_| UnixStream::connect(run.join("core.sock")).expect("a connection")).collect();
    let began = Instant::now();
    stack.ok(&["status"]);
    println!("status beside {IDLE} idle connections: {} ms", began.elapsed().as_millis());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(count() < before + 200, "{} descriptors", count());
    for stream in &mut idle {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // Closed; or reset, where that was before it was let in.
        assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0);
    }
    until("its descriptors are as many as before", || count() <= before);
    assert_eq!(stack.supervisor(), supervisor);
}

/// Whoever comes waits in the line, and the supervisor for a descriptor: it does not ask again and again.
fn without_a_descriptor_for_who_comes_the_supervisor_waits() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let supervisor = stack.supervisor();
    let limit = |most: usize| {
        let limited =
            Command::new("prlimit").args([format!("--pid={supervisor}"), format!("--nofile={most}:")]).status();
        assert!(limited.expect("prlimit, of util-linux").success());
    };
    // The lowest number that is free is one too much.
    let numbers: Vec<u32> = proc::descriptors(supervisor).into_iter().map(|(number, _)| number).collect();
    let first = (0..=u32::MAX).find(|number| !numbers.contains(number)).expect("a number");
    limit(first as usize);
    // What is in reserve for those who ask is soon given away.
    let socket = stack.run_folder().expect("a run folder").join("core.sock");
    let guests: Vec<UnixStream> = (0..20).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    let (began, before) = (Instant::now(), processor_time(supervisor));
    assert_eq!(stack.core(&["status"]).code, 1);
    let (took, used) = (began.elapsed(), processor_time(supervisor).saturating_sub(before));
    println!("{} ms of the processor in {} ms", used.as_millis(), took.as_millis());
    assert!(used < took / 4, "{used:?} of {took:?}");
    limit(1000);
    drop(guests);
    stack.ok(&["status"]);
    assert_eq!(stack.supervisor(), supervisor);
}

/// What a process has used of the processor.
fn processor_time(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("its times");
    Duration::from_nanos(text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number"))
}

/// As the services are declared: one after the other where one depends on another, side by side where not.
fn an_end_says_how_long_it_may_take() {
    let stack = Stack::new();
    let seconds = |seconds: u32, more: Value| {
        let mut compose = json!({"shutdown": {"timeout_seconds": seconds}});
        compose.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        compose
    };
    stack.shell("db", "exec sleep 1000", seconds(30, json!({})));
    stack.shell("web", "exec sleep 1000", seconds(40, json!({"depends_on": {"db": {}}})));
    stack.shell("other", "exec sleep 1000", seconds(50, json!({})));
    stack.up();
    let run = stack.run_folder().expect("a run folder");
    let ask = |verb: &str| {
        let mut stream = UnixStream::connect(run.join("core.sock")).expect("a connection");
        write!(stream, "POST /v1/{verb} HTTP/1.1\r\nhost: core\r\ncontent-length: 0\r\n\r\n").expect("it is asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let body: Value = serde_json::from_str(answer.lines().last().expect("a body")).expect("JSON");
        body["within_seconds"].as_f64().expect("a time")
    };
    let asked = ask("down");
    assert!((70.0..85.0).contains(&asked), "{asked}");
    stack.ok(&["down"]);
    stack.expect_nothing_left(Some(&run));
    stack.up();
    let killed = ask("kill");
    assert!((0.0..15.0).contains(&killed), "{killed}");
    stack.ok(&["down"]);
    stack.expect_nothing_left(Some(&run));
}

/// Who has just come and says what he wants is not taken for one who says nothing.
fn a_crowd_is_answered_one_after_the_other() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let socket = stack.run_folder().expect("a run folder").join("core.sock");
    let ask = || {
        let mut stream = UnixStream::connect(&socket).expect("a connection");
        write!(stream, "GET /v1/alive HTTP/1.1\r\nhost: core\r\n\r\n").expect("it is asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    };
    std::thread::scope(|scope| {
        for _ in 0..IDLE {
            scope.spawn(ask);
        }
    });
}

fn who_waits_sees_for_what_and_not_for_ever() {
    let stack = Stack::new();
    let probe = json!({"exec": {"command": "test -e there"}, "period_seconds": 0.1, "failure_threshold": 1});
    stack.shell("db", "exec sleep 1000", json!({"readiness_probe": probe}));
    stack.shell("worker", "exec sleep 1000", json!({"depends_on": {"db": {"condition": "process_healthy"}}}));
    stack.write("there", "");
    stack.up();
    fs::remove_file(stack.root.join("there")).expect("removed");
    until("it is not ready", || stack.instance("db")["ready"] == false);
    let said = stack.core(&["scale", "worker=2", "--timeout", "1"]);
    assert_eq!(said.code, 1);
    for part in ["not done within 1 s", "worker-1@1 waits for db", "it goes on"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    assert_eq!(stack.instances("worker").len(), 2, "what was begun goes on");
}
