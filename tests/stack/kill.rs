//! `kill -9` of the supervisor: nothing that serves is touched.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::ours::Part;
use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, proc, until};
use crate::fixture;

pub(crate) const TESTS: &[Test] = tests![
    the_supervisor_is_killed_fifty_times,
    what_dies_without_a_supervisor_is_restarted_once,
    a_killed_keeper_is_replaced,
    a_killed_shim_is_replaced,
    a_takeover_that_fails_leaves_the_output_where_it_is,
    a_supervisor_that_ends_by_a_signal_without_a_name_is_replaced,
    everything_of_ours_is_killed,
    what_nobody_stands_over_is_not_ready,
    down_works_without_a_supervisor,
    a_killed_up_leaves_the_stack_running,
];

/// A service that says numbers until it is stopped.
const CHATTER: &str = "i=0; while true; do echo n $i; i=$((i+1)); test $((i % 200)) = 0 && sleep 0.05; done";

fn chatty_stack() -> Stack {
    let stack = Stack::new();
    stack.shell("chatty", CHATTER, json!({"log_configuration": {"rotation": {"max_size_mb": 1, "max_backups": 0}}}));
    stack.service(
        "probed",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "http", "${port.http}"],
            "compose": {"readiness_probe": {"http_get": {"port": "${port.http}"}, "period_seconds": 0.2}}},
            "ports": {"http": {"port": "auto"}}}),
    );
    stack
}

/// All lines of a stream of numbers are there, once and in order.
fn expect_every_number(stack: &Stack, service: &str) -> usize {
    let folder = stack.root.join(format!(".core-stack/logs/{service}/{service}-0"));
    let mut segments: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("its logs").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(number) = name.strip_suffix(".log").and_then(|name| name.strip_prefix("1.1.out.")) {
            segments.insert(number.parse().expect("a number"), fs::read(entry.path()).expect("a segment"));
        }
    }
    let text: Vec<u8> = segments.into_values().flatten().collect();
    let text = String::from_utf8(text).expect("text");
    for (number, line) in text.lines().enumerate() {
        assert_eq!(line, format!("n {number}"));
    }
    text.lines().count()
}

fn the_supervisor_is_killed_fifty_times() {
    let stack = chatty_stack();
    stack.up();
    let pids = (stack.pid("chatty"), stack.pid("probed"));
    let run = stack.run_folder();
    let mut slowest = Duration::ZERO;
    for round in 0..50 {
        let supervisor = stack.supervisor();
        proc::kill(supervisor);
        until("it is gone", || !proc::lives(supervisor));
        let began = Instant::now();
        eventually("status answers", || (stack.core(&["status"]).code == 0).then_some(()));
        slowest = slowest.max(began.elapsed());
        assert_eq!((stack.pid("chatty"), stack.pid("probed")), pids, "round {round}");
        stack.until_ready();
    }
    println!("slowest answer after a kill: {} ms", slowest.as_millis());
    // Within a second on a machine that does nothing else; a noisy one gets its time.
    assert!(slowest < Duration::from_secs(10), "status took {slowest:?}");
    stack.ok(&["stop", "chatty"]);
    let lines = expect_every_number(&stack, "chatty");
    assert!(lines > 1000, "it said only {lines} lines");
    assert_eq!(stack.instance("probed")["restarts"], 0);
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

fn what_dies_without_a_supervisor_is_restarted_once() {
    let stack = Stack::new();
    stack.shell("mortal", "echo begin >> begins; while ! test -e die; do sleep 0.02; done; rm die; exit 42", json!({}));
    stack.up();
    for round in 1..=5_u64 {
        let pid = stack.pid("mortal");
        let (supervisor, keeper) = (stack.supervisor(), stack.keeper());
        // The keeper is held still, so that no supervisor is there when it dies.
        proc::hold(keeper);
        proc::kill(supervisor);
        until("no supervisor runs", || !proc::lives(supervisor));
        stack.write("die", "");
        until("it has died", || !proc::lives(pid));
        proc::send(keeper, "CONT");
        stack.until_ready();
        let instance = stack.instance("mortal");
        assert_eq!(
            (instance["exit_code"].as_u64(), instance["restarts"].as_u64()),
            (Some(42), Some(round)),
            "{instance}"
        );
    }
    let begins = fs::read_to_string(stack.root.join("begins")).expect("the file").lines().count();
    assert_eq!(begins, 6, "once at first, and once after each of five deaths");
}

fn a_killed_keeper_is_replaced() {
    let stack = chatty_stack();
    stack.up();
    let pids = (stack.pid("chatty"), stack.pid("probed"));
    for _ in 0..3 {
        let (supervisor, keeper) = (stack.supervisor(), stack.keeper());
        proc::kill(keeper);
        until("those of before are gone", || !proc::lives(supervisor) && !proc::lives(keeper));
        until("another supervisor runs under another keeper", || {
            proc::Process::of(stack.supervisor()).is_some_and(|one| one.parent == stack.keeper())
        });
        stack.until_ready();
        assert_eq!((stack.pid("chatty"), stack.pid("probed")), pids);
    }
    stack.ok(&["stop", "chatty"]);
    expect_every_number(&stack, "chatty");
    let run = stack.run_folder();
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

fn a_killed_shim_is_replaced() {
    let stack = chatty_stack();
    stack.up();
    let pids = (stack.pid("chatty"), stack.pid("probed"));
    for _ in 0..5 {
        stack.kill_shim("chatty-0@1");
        stack.kill_shim("probed-0@1");
    }
    stack.until_ready();
    assert_eq!((stack.pid("chatty"), stack.pid("probed")), pids);
    // It is still measured; its end is still seen, and what it had said is all there.
    assert!(stack.instance("probed")["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    stack.ok(&["stop", "chatty"]);
    assert!(!proc::lives(pids.0));
    expect_every_number(&stack, "chatty");
    proc::kill(pids.1);
    until("it runs again", || stack.instance("probed")["restarts"] == 1);
    let run = stack.run_folder();
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

/// Whoever cannot take over takes nothing away: what the service writes to is there for the next.
fn a_takeover_that_fails_leaves_the_output_where_it_is() {
    let stack = chatty_stack();
    stack.up();
    let pid = stack.pid("chatty");
    let record = stack.place_of("chatty").invocation();
    let aside = record.with_extension("aside");
    fs::rename(&record, &aside).expect("its record");
    fs::create_dir(&record).expect("something that is no record");
    proc::kill(stack.shim("chatty-0@1"));
    until("it cannot be taken over", || stack.own_log().matches("cannot take over").count() >= 2);
    fs::remove_dir(&record).expect("what is no record");
    fs::rename(&aside, &record).expect("its record");
    stack.until_ready();
    assert_eq!(stack.pid("chatty"), pid);
    let before = stack.lines("chatty").len();
    until("it is heard again", || stack.lines("chatty").len() > before + 1000);
    stack.ok(&["stop", "chatty"]);
    expect_every_number(&stack, "chatty");
    stack.ok(&["down"]);
}

/// The C library gives no names to some of the signals.
fn a_supervisor_that_ends_by_a_signal_without_a_name_is_replaced() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let (pid, supervisor) = (stack.pid("one"), stack.supervisor());
    let nameless = nix::libc::SIGRTMIN() + 2;
    // SAFETY: a plain system call, on a process that this test has begun.
    assert_eq!(unsafe { nix::libc::kill(i32::try_from(supervisor).expect("a process number"), nameless) }, 0);
    until("it has ended", || !proc::lives(supervisor));
    stack.until_ready();
    assert_eq!(stack.pid("one"), pid);
    stack.ok(&["down"]);
}

/// Keeper, supervisor and every shim at once: all live on, the next `core up` takes them all over, nobody twice.
fn everything_of_ours_is_killed() {
    let stack = chatty_stack();
    let quiet: Vec<String> = (0..10).map(|number| format!("quiet{number}x")).collect();
    for name in &quiet {
        stack.shell(name, "exec sleep 1000", json!({}));
    }
    stack.up();
    let all: Vec<&str> = quiet.iter().map(String::as_str).chain(["chatty", "probed"]).collect();
    let pids: Vec<u32> = all.iter().map(|name| stack.pid(name)).collect();
    let sleepers = || stack.processes().into_iter().filter(|one| one.args == ["sleep", "1000"]).count();
    until("all of them sleep", || sleepers() == quiet.len());
    for _ in 0..3 {
        let ours = stack.kill_all_of_ours();
        assert_eq!(ours.len(), all.len() + 2, "a keeper, a supervisor, and a shim for each");
        assert!(stack.ours().is_empty(), "somebody put another in its place");
        assert!(pids.iter().all(|pid| proc::lives(*pid)), "a service has gone with us");
        stack.up();
        until("all are known", || all.iter().zip(&pids).all(|(name, pid)| stack.instance(name)["pid"] == *pid));
    }
    assert_eq!(sleepers(), quiet.len(), "somebody was started twice");
    stack.ok(&["stop", "chatty"]);
    expect_every_number(&stack, "chatty");
    let run = stack.run_folder();
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

/// `core up` says nothing of what lives on before a shim has seen it.
fn what_nobody_stands_over_is_not_ready() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let pid = stack.pid("one");
    loop {
        stack.kill_all_of_ours();
        let mut up = stack.command(&["up", "-d", "--timeout", "2"]).stderr(Stdio::null()).spawn().expect("core runs");
        stack.supervisor();
        // The keeper is held still before it has forked the shim; else once more.
        let keeper = stack.keeper();
        proc::hold(keeper);
        let is_seen = stack.ours().iter().any(|(part, _)| matches!(part, Part::Shim | Part::Unborn));
        let code = up.wait().expect("it ends").code();
        proc::send(keeper, "CONT");
        // A keeper that stands still for long is replaced, and its supervisor with it.
        stack.until_ready();
        until("it is taken over", || stack.instance("one")["pid"].as_u64() == Some(u64::from(pid)));
        if !is_seen {
            assert_eq!(code, Some(1));
            break;
        }
    }
}

fn down_works_without_a_supervisor() {
    let stack = Stack::new();
    stack.shell("one", "trap '' TERM; while true; do sleep 0.1; done", json!({}));
    stack.shell("two", "exec sleep 1000", json!({}));
    stack.up();
    let run = stack.run_folder();
    let supervisor = stack.supervisor();
    // Neither answers.
    proc::hold(stack.keeper());
    proc::kill(supervisor);
    until("no supervisor runs", || !proc::lives(supervisor));
    stack.ok(&["down", "--kill"]);
    stack.expect_nothing_left(run.as_deref());
}

fn a_killed_up_leaves_the_stack_running() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    let mut up = stack.up_in_front();
    let pid = stack.pid("one");
    let _ = up.kill();
    let _ = up.wait();
    assert_eq!(stack.pid("one"), pid);
    stack.ok(&["down"]);
}
