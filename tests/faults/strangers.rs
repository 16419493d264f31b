//! Whoever connects to the socket of a shim, and says nothing of use: the shim stays the one that it has, and not a line
//! of output is lost. So it does when a shim stands still while the supervisor is replaced.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use super::one_shim::{always, expect_well, sleeper};
use crate::common::proc;
use crate::common::trials::{Test, tests};
use crate::random::knock::connect;
use crate::random::lines::Lines;
use crate::random::role;
use crate::random::tried::{DOWN, SOON, Tried, soon};

pub(crate) const TESTS: &[Test] = tests![
    one_who_says_nothing_changes_nothing,
    two_hundred_who_say_garbage_change_nothing,
    lines_are_whole_while_strangers_connect,
    lines_are_whole_after_a_shim_stood_still,
    a_shim_that_stood_still_for_a_takeover_leaves,
];

/// Lines of output for which something is held.
const A_WHILE: u64 = 30_000;

/// A stack of a service that writes numbered lines as fast as it can.
struct Chatty {
    stack: Tried,
    name: String,
    instance: String,
    pid: u32,
}

impl Chatty {
    fn new() -> Self {
        let stack = Tried::new();
        let name = stack.name("chatty");
        let mut compose = always();
        compose["log_configuration"] = json!({"rotation": {"max_size_mb": 1, "max_backups": 0}});
        stack.service(&name, &json!({"process": role::process("chatty", &["fast"], &compose)}));
        stack.up();
        let instance = format!("{name}-0@1");
        let pid = stack.leader(&instance);
        let chatty = Self { stack, name, instance, pid };
        chatty.goes_on();
        chatty
    }

    fn mark(&self) -> String {
        self.stack.record(&self.instance).expect("its record").mark
    }

    /// Waits until it has come to write more: its output has a reader.
    #[track_caller]
    fn goes_on(&self) {
        let mark = self.mark();
        let before = role::written(&self.stack.root, &mark);
        soon("its output flows", || (role::written(&self.stack.root, &mark) >= before + A_WHILE).then_some(()));
    }

    fn socket(&self) -> PathBuf {
        self.stack.place(&self.instance).socket()
    }

    /// It was the same process all the time, with one shim; all that it wrote is there; nothing is left.
    #[track_caller]
    fn expect_all_of_it(&self) {
        let stack = &self.stack;
        soon("it has one shim", || (stack.shims_of(&self.name).len() == 1).then_some(()));
        soon("all is well", || stack.is_well().then_some(()));
        self.goes_on();
        assert_eq!(stack.leader(&self.instance), self.pid, "it has another process");
        let mark = self.mark();
        let run = stack.run_folder();
        stack.well(SOON, &["stop", &self.name]);
        let mut lines = Lines::new(stack, &self.name);
        lines.read();
        assert!(lines.broken().is_empty(), "{:#?}\n{}", lines.broken(), stack.own_log());
        let (there, written) = (lines.count(&mark), role::written(&stack.root, &mark));
        println!("{there} lines, {written} written down");
        assert!(there >= written, "{there} lines are there of {written}");
        stack.well(DOWN, &["down"]);
        stack.expect_nothing(run);
    }
}

/// Comes to a socket.
#[track_caller]
fn come(socket: &Path) -> UnixStream {
    soon("somebody can connect", || connect(socket))
}

fn one_who_says_nothing_changes_nothing() {
    let (stack, name, instance) = sleeper();
    let (pid, shim) = (stack.leader(&instance), stack.shim(&instance));
    let held = come(&stack.place(&instance).socket());
    // Twenty answers later the supervisor has noticed what there is to notice; after two deaths of it, the next one.
    for _ in 0..20 {
        stack.is_well();
    }
    assert_eq!(stack.shims_of(&name), [shim], "it had this one, which lives");
    stack.kill_supervisor();
    stack.kill_supervisor();
    soon("all is well", || stack.is_well().then_some(()));
    assert_eq!(stack.shims_of(&name), [shim], "it had this one, which lives");
    drop(held);
    ends_well(&stack, &name, &instance, pid);
}

#[track_caller]
fn ends_well(stack: &Tried, name: &str, instance: &str, pid: u32) {
    expect_well(stack, name, instance, pid);
    let run = stack.run_folder();
    stack.well(DOWN, &["down"]);
    stack.expect_nothing(run);
}

fn two_hundred_who_say_garbage_change_nothing() {
    let (stack, name, instance) = sleeper();
    let (pid, shim) = (stack.leader(&instance), stack.shim(&instance));
    let mut held = Vec::new();
    for number in 0..200_u8 {
        // A socket may have a limit; what is asked here is what becomes of those that it takes.
        let Some(mut stream) = connect(&stack.place(&instance).socket()) else { continue };
        let garbage: Vec<u8> = (0..=number).map(|byte| byte.wrapping_mul(37).wrapping_add(number)).collect();
        let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
        let _ = stream.write_all(&garbage);
        if number % 3 == 0 {
            held.push(stream);
        }
    }
    assert_eq!(stack.shims_of(&name), [shim], "it had this one, which lives");
    drop(held);
    ends_well(&stack, &name, &instance, pid);
}

fn lines_are_whole_while_strangers_connect() {
    let chatty = Chatty::new();
    let shim = chatty.stack.shim(&chatty.instance);
    for _ in 0..5 {
        let held = come(&chatty.socket());
        chatty.goes_on();
        drop(held);
        let mut said = come(&chatty.socket());
        let _ = said.write_all(b"\xff\xff\xff\xffgarbage");
        chatty.goes_on();
    }
    assert_eq!(chatty.stack.shims_of(&chatty.name), [shim], "it had this one, which lives");
    chatty.expect_all_of_it();
}

fn lines_are_whole_after_a_shim_stood_still() {
    let chatty = Chatty::new();
    let shim = chatty.stack.shim(&chatty.instance);
    proc::hold(shim);
    stand_still(&chatty.stack, shim);
    chatty.expect_all_of_it();
}

/// Replaces the supervisor while the shim is held, and lets it go on after 7 s: longer than anybody waits for its answer.
fn stand_still(stack: &Tried, shim: u32) {
    let until = Instant::now() + Duration::from_secs(7);
    let before = stack.supervisor();
    proc::kill(before);
    soon("another supervisor runs", || (!proc::lives(before) && stack.supervisor() != before).then_some(()));
    while Instant::now() < until {
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
    proc::send(shim, "CONT");
}

fn a_shim_that_stood_still_for_a_takeover_leaves() {
    let (stack, name, instance) = sleeper();
    let (pid, shim) = (stack.leader(&instance), stack.shim(&instance));
    proc::hold(shim);
    stand_still(&stack, shim);
    ends_well(&stack, &name, &instance, pid);
}
