//! The control socket, and those who only sit on it.

use std::fs;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{PATIENCE, Stack, proc, until};

pub(crate) const TESTS: &[Test] =
    tests![who_says_nothing_is_closed_and_keeps_nobody_out, without_a_descriptor_for_who_comes_the_supervisor_waits,];

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
    let first = (0..).find(|number| !numbers.contains(number)).expect("a number");
    limit(first as usize);
    let (began, before) = (Instant::now(), processor_time(supervisor));
    assert_eq!(stack.core(&["status"]).code, 1);
    let (took, used) = (began.elapsed(), processor_time(supervisor) - before);
    println!("{} ms of the processor in {} ms", used.as_millis(), took.as_millis());
    assert!(used < took / 4, "{used:?} of {took:?}");
    limit(1000);
    stack.ok(&["status"]);
    assert_eq!(stack.supervisor(), supervisor);
}

/// What a process has used of the processor.
fn processor_time(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("its times");
    Duration::from_nanos(text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number"))
}
