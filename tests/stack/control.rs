//! The control socket, and those who only sit on it.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{PATIENCE, Stack, proc, until};

pub(crate) const TESTS: &[Test] = tests![who_says_nothing_is_closed_and_keeps_nobody_out];

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
