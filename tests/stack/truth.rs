//! What the kernel says of processes: trees, signals, descriptors, output, ends.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use core_shim::place::Place;
use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Stack, proc, until};
use crate::fixture;

pub(crate) const TESTS: &[Test] = tests![
    nothing_that_forks_escapes_a_stop,
    without_a_cgroup_nothing_escapes_either,
    a_fork_storm_is_ended,
    term_ignored_is_followed_by_kill,
    a_stopped_process_ends,
    leftovers_end_before_the_next_start,
    a_service_sees_only_its_own_descriptors,
    a_restart_gives_the_same_descriptors,
    a_service_has_a_clean_signal_state,
    a_service_has_the_environment_of_who_began,
    identity_limits_and_folder_are_set,
    a_hundred_megabytes_without_a_newline_are_kept,
    every_byte_of_binary_output_is_kept,
    five_hundred_ends_at_once_are_all_told,
    a_reused_folder_is_empty,
    what_ends_says_its_last_words,
    a_copy_that_lives_is_left_alone,
];

/// Processes whose command line holds a word.
fn with_word(word: &str) -> Vec<u32> {
    let all = proc::all();
    all.into_iter()
        .filter(|one| one.state != 'Z' && one.args.iter().any(|have| have == word))
        .map(|one| one.pid)
        .collect()
}

/// A word that no other process of this machine has.
fn unique(number: u32) -> String {
    // As a number of seconds that nobody else sleeps.
    format!("1{}{number:04}", std::process::id())
}

fn forking_line(seconds: &str) -> String {
    format!(
        "sleep {seconds} & (setsid sleep {seconds} &) ; (setsid sh -c '(sleep {seconds} &) ; exec sleep {seconds}' &) ; \
         python3 -c 'import os,time
if os.fork()==0:
    os.setsid()
    if os.fork()==0:
        os.execlp(\"sleep\",\"sleep\",\"{seconds}\")
    os._exit(0)
os.wait()' ; exec sleep {seconds}"
    )
}

fn nothing_that_forks_escapes_a_stop() {
    nothing_escapes(Stack::new(), &unique(1));
}

fn without_a_cgroup_nothing_escapes_either() {
    nothing_escapes(Stack::new().env("CORE_NO_CGROUP", "1"), &unique(2));
}

fn nothing_escapes(stack: Stack, seconds: &str) {
    stack.shell("forky", &forking_line(seconds), json!({"shutdown": {"timeout_seconds": 2}}));
    stack.up();
    until("all of it runs", || with_word(seconds).len() >= 6);
    let before = with_word(seconds);
    stack.ok(&["stop", "forky"]);
    let left = with_word(seconds);
    assert!(left.is_empty(), "{left:?} of {before:?} are left");
    assert_eq!(stack.instance("forky")["phase"], "ended");
}

fn a_fork_storm_is_ended() {
    let stack = Stack::new();
    let seconds = unique(3);
    // Each of its processes makes others for as long as there are few: not so many that other tests starve.
    let line = format!(
        "python3 -c 'import os,signal,time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
most = len(os.listdir(\"/proc\")) + 100
while True:
    if len(os.listdir(\"/proc\")) < most and os.fork() == 0:
        os.setsid()
    time.sleep(0.02)' {seconds}"
    );
    stack.shell("storm", &line, json!({"shutdown": {"timeout_seconds": 0.3}}));
    stack.up();
    until("it storms", || with_word(&seconds).len() > 50);
    stack.ok(&["stop", "storm"]);
    assert_eq!(with_word(&seconds), Vec::<u32>::new());
}

fn term_ignored_is_followed_by_kill() {
    let stack = Stack::new();
    stack.shell(
        "stubborn",
        "trap '' TERM; echo armed; while true; do sleep 0.1; done",
        json!({"shutdown": {"timeout_seconds": 1}}),
    );
    stack.up();
    stack.until_says("stubborn", "armed");
    let pid = stack.pid("stubborn");
    let began = Instant::now();
    stack.ok(&["stop", "stubborn"]);
    let took = began.elapsed();
    assert!(!proc::lives(pid));
    assert!(took.as_secs_f64() >= 1.0, "KILL came after {took:?}, before its time");
    assert_eq!(stack.instance("stubborn")["exit_code"], 137);
}

fn a_stopped_process_ends() {
    let stack = Stack::new();
    stack.shell(
        "frozen",
        "trap 'exit 5' TERM; echo armed; while true; do sleep 0.05; done",
        json!({"shutdown": {"timeout_seconds": 30}}),
    );
    stack.up();
    stack.until_says("frozen", "armed");
    let pid = stack.pid("frozen");
    proc::hold(pid);
    stack.ok(&["stop", "frozen"]);
    assert!(!proc::lives(pid));
    // It went on and ended by itself: it was not killed.
    assert_eq!(stack.instance("frozen")["exit_code"], 5);
}

fn leftovers_end_before_the_next_start() {
    let stack = Stack::new();
    let seconds = unique(4);
    let line = format!(
        "pgrep -f 'sleep {seconds}$' >> seen; echo round >> rounds; (setsid sleep {seconds} &); sleep 0.1; exit 1"
    );
    stack.shell("forky", &line, json!({"availability": {"backoff_seconds": 0}, "shutdown": {"timeout_seconds": 0.2}}));
    stack.core(&["up", "-d"]);
    let rounds = || fs::read_to_string(stack.root.join("rounds")).unwrap_or_default().lines().count();
    until("it was started five times", || rounds() >= 5);
    let seen = fs::read_to_string(stack.root.join("seen")).unwrap_or_default();
    assert_eq!(seen, "", "a start met what the one before had left");
}

fn a_service_sees_only_its_own_descriptors() {
    let stack = Stack::new();
    stack.shell("plain", "exec sleep 1000", json!({}));
    stack.service(
        "held",
        &json!({"process": {"command": "sh", "args": ["-c", "env | grep ^LISTEN_ | sort; echo $FD; exec sleep 1000"], "env": {"FD": "${fd.http}"}},
            "ports": {"http": {"port": crate::common::free_port(), "hold": true}}}),
    );
    stack.up();
    let plain = proc::descriptors(stack.pid("plain"));
    let numbers: Vec<u32> = plain.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 1, 2, 3], "{plain:?}");
    assert_eq!(plain[0].1, PathBuf::from("/dev/null"));
    for (number, end) in [(1, "out"), (2, "err"), (3, "lock")] {
        assert!(plain[number].1.ends_with(format!(".core/plain-0@1/{end}")), "{plain:?}");
    }
    let pid = stack.pid("held");
    let held = proc::descriptors(pid);
    assert_eq!(held.len(), 5, "{held:?}");
    assert!(held[3].1.display().to_string().starts_with("socket:"), "{held:?}");
    assert!(held[4].1.ends_with(".core/held-0@1/lock"), "{held:?}");
    until("it has spoken", || stack.lines("held").len() >= 4);
    let lines = stack.lines("held");
    let expected = ["LISTEN_FDNAMES=http".to_owned(), "LISTEN_FDS=1".into(), format!("LISTEN_PID={pid}"), "3".into()];
    assert_eq!(lines, expected);
}

/// Whatever numbers its parent has free by then.
fn a_restart_gives_the_same_descriptors() {
    let stack = Stack::new();
    let counts = 1..=4;
    for count in counts.clone() {
        let port = || json!({"port": crate::common::free_port(), "hold": true});
        let ports: serde_json::Map<_, _> = (0..count).map(|number| (format!("p{number}"), port())).collect();
        let quick = json!({"availability": {"restart": "always", "backoff_seconds": 0}});
        let sleep = json!({"command": "sleep", "args": ["1000"], "compose": quick});
        stack.service(&format!("held{count}"), &json!({"process": sleep, "ports": ports}));
    }
    stack.up();
    for count in counts {
        let name = format!("held{count}");
        let first = stack.pid(&name);
        let before = proc::descriptors(first);
        assert_eq!(before.len(), 3 + count + 1, "{before:?}");
        proc::kill(first);
        let second = stack.next_pid(&name, first);
        assert_eq!(proc::descriptors(second), before);
    }
}

fn a_service_has_a_clean_signal_state() {
    let stack = Stack::new();
    stack.service("plain", &json!({"process": {"command": "sleep", "args": ["1000"]}}));
    // Whoever starts the stack ignores signals; its services must not.
    let said = std::process::Command::new("sh")
        .args(["-c", "trap '' HUP PIPE USR1 CHLD; exec \"$0\" up -d", crate::common::CORE])
        .current_dir(&stack.root)
        .output()
        .expect("core runs");
    assert!(said.status.success(), "{said:?}");
    let pid = stack.pid("plain");
    for (name, expected) in
        [("SigIgn", "0000000000000000"), ("SigBlk", "0000000000000000"), ("SigCgt", "0000000000000000")]
    {
        assert_eq!(proc::status_line(pid, name), expected, "{name}");
    }
    let process = proc::Process::of(pid).expect("the process");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its stat");
    let fields: Vec<&str> = stat[stat.rfind(')').expect("a name") + 2..].split(' ').collect();
    let own = process.pid.to_string();
    assert_eq!((fields[2], fields[3]), (own.as_str(), own.as_str()), "a group and a session of its own");
}

/// What our own programs are told by the environment is no service's, and what was set for those it is.
fn a_service_has_the_environment_of_who_began() {
    let stack = Stack::new();
    stack.service("plain", &json!({"process": {"command": "sleep", "args": ["1000"]}}));
    let tunables = || {
        let text = fs::read(format!("/proc/{}/environ", stack.pid("plain"))).expect("its environment");
        let all = text.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into_owned());
        all.filter(|one| one.contains("GLIBC")).collect::<Vec<String>>()
    };
    stack.up();
    assert_eq!(tunables(), Vec::<String>::new());
    stack.ok(&["down"]);
    let set = "glibc.malloc.arena_max=1";
    let up = stack.command(&["up", "-d"]).env("GLIBC_TUNABLES", set).status().expect("core runs");
    assert!(up.success());
    assert_eq!(tunables(), [format!("GLIBC_TUNABLES={set}")]);
}

fn identity_limits_and_folder_are_set() {
    let stack = Stack::new();
    fs::create_dir(stack.root.join("work")).expect("a folder");
    stack.service(
        "one",
        &json!({"process": {"command": "sh", "args": ["-c", "umask; pwd; ulimit -n; nice; exec sleep 1000"],
            "working_dir": "work", "umask": "027", "limits": {"nofile": 333}, "nice": 5, "oom_score_adj": 200}}),
    );
    stack.up();
    until("it has spoken", || stack.lines("one").len() >= 4);
    let work = stack.root.join("work").display().to_string();
    assert_eq!(stack.lines("one"), ["0027", &work, "333", "5"]);
    let adjust = fs::read_to_string(format!("/proc/{}/oom_score_adj", stack.pid("one"))).expect("its score");
    assert_eq!(adjust.trim(), "200");
}

/// The bytes of a stream of output, over all segments of an invocation.
fn bytes_of(stack: &Stack, service: &str, invocation: &str) -> Vec<u8> {
    let folder = stack.root.join(format!(".core-stack/logs/{service}/{service}-0"));
    let mut all = Vec::new();
    for segment in 0.. {
        let Ok(bytes) = fs::read(folder.join(format!("{invocation}.out.{segment}.log"))) else { break };
        all.extend(bytes);
    }
    all
}

fn a_hundred_megabytes_without_a_newline_are_kept() {
    let stack = Stack::new();
    let count = 100_000_000;
    stack.service(
        "flood",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "flood", count.to_string()],
            "compose": {"log_configuration": {"rotation": {"max_backups": 0}}}}}),
    );
    stack.up();
    let size = || bytes_of(&stack, "flood", "1.1").len();
    until("all of it is written", || size() >= count);
    let bytes = bytes_of(&stack, "flood", "1.1");
    assert_eq!(bytes.len(), count);
    assert!(bytes.iter().all(|byte| *byte == b'x'));
    // It was never in our hands.
    let shim = stack.shim("flood-0@1");
    let peak: u64 = proc::status_line(shim, "VmHWM").trim_end_matches(" kB").trim().parse().expect("a size");
    assert!(peak < 8 << 10, "the shim grew to {peak} KiB");
    assert_eq!(stack.status()["state"], "running");
}

fn every_byte_of_binary_output_is_kept() {
    let stack = Stack::new();
    let count = 3_000_017_u64;
    stack.service(
        "noise",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "noise", count.to_string()],
        "compose": {"log_configuration": {"rotation": {"max_size_mb": 1, "max_backups": 0}}}}}),
    );
    stack.up();
    until("all of it is written", || bytes_of(&stack, "noise", "1.1").len() as u64 >= count);
    let expected: Vec<u8> = (0..count).map(|at| u8::try_from((at * 7 + at / 251) % 256).expect("a byte")).collect();
    assert!(bytes_of(&stack, "noise", "1.1") == expected, "the bytes differ");
    let segments = fs::read_dir(stack.root.join(".core-stack/logs/noise/noise-0")).expect("its logs").count();
    assert!(segments >= 6, "three segments and their indices, not {segments} files");
    stack.ok(&["logs", "-n", "all"]);
}

fn five_hundred_ends_at_once_are_all_told() {
    let stack = Stack::new();
    let codes: Vec<u32> = (0..500).map(|number| number % 120).collect();
    // They all wait in opening a FIFO for reading, and go on together when somebody opens it for writing.
    let go = stack.root.join("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    for (number, code) in codes.iter().enumerate() {
        stack.shell(
            &format!("s{number}x"),
            &format!("exec 3<go; exit {code}"),
            json!({"availability": {"restart": "no"}}),
        );
    }
    stack.ok(&["up", "-d", "--timeout", "300"]);
    drop(fs::OpenOptions::new().write(true).open(&go).expect("somebody reads"));
    let ended = || {
        let status = stack.status();
        let instances = status["instances"].as_array().expect("instances").clone();
        instances.into_iter().filter(|one| one["phase"] == "ended").collect::<Vec<_>>()
    };
    until("all have ended", || ended().len() == 500);
    for instance in ended() {
        let service = instance["service"].as_str().expect("a name");
        let number: usize = service[1..service.len() - 1].parse().expect("a number");
        assert_eq!(instance["exit_code"].as_u64(), Some(u64::from(codes[number])), "{service}");
    }
    let zombies: Vec<proc::Process> = proc::all().into_iter().filter(|one| one.state == 'Z').collect();
    let ours: Vec<u32> = stack.processes().iter().map(|one| one.pid).collect();
    let left: Vec<&proc::Process> = zombies.iter().filter(|one| ours.contains(&one.parent)).collect();
    assert!(left.is_empty(), "not reaped: {left:?}");
}

fn a_reused_folder_is_empty() {
    let stack = Stack::new();
    stack.service(
        "one",
        &json!({"process": {"command": "sh", "args": ["-c", "ls -A \"$RUN\"; echo looked; touch \"$RUN/file\"; mkdir \"$RUN/folder\"; exec sleep 1000"],
            "env": {"RUN": "${run}"}, "compose": {"availability": {"restart": "always", "backoff_seconds": 0}}}}),
    );
    stack.up();
    let first = stack.pid("one");
    until("it has spoken", || !stack.lines("one").is_empty());
    proc::send(first, "KILL");
    until("it has spoken again", || stack.lines("one").len() >= 2);
    assert_eq!(stack.lines("one"), ["looked", "looked"]);
}

fn what_ends_says_its_last_words() {
    let stack = Stack::new();
    stack.shell(
        "one",
        "trap 'for i in $(seq 10000); do echo bye $i; done; exit 0' TERM; echo armed; while true; do sleep 0.05; done",
        json!({}),
    );
    stack.up();
    stack.until_says("one", "armed");
    stack.ok(&["stop", "one"]);
    // The shell may say that its own child was ended, too.
    let lines: Vec<String> = stack.lines("one").into_iter().filter(|line| line.starts_with("bye")).collect();
    assert_eq!((lines.len(), lines.last().map(String::as_str)), (10_000, Some("bye 10000")));
}

/// All of ours are killed, and then the traces of what lives are damaged: it is found, or left alone; never doubled.
fn a_copy_that_lives_is_left_alone() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({"availability": {"backoff_seconds": 0.05}}));
    stack.up();
    let pid = stack.pid("one");
    let run = stack.run_folder().expect("a run folder");
    let copies = || {
        let stands_here = |one: &u32| fs::read_link(format!("/proc/{one}/cwd")).is_ok_and(|cwd| cwd == stack.root);
        with_word("1000").into_iter().filter(stands_here).collect::<Vec<u32>>()
    };
    // The shell becomes it.
    until("it sleeps", || copies() == [pid]);
    stack.kill_all_of_ours();
    stack.up();
    until("it is taken over", || stack.instance("one")["pid"].as_u64() == Some(u64::from(pid)));
    assert_eq!(copies(), [pid]);

    stack.kill_all_of_ours();
    // What is left to speak of it is the lock that it holds: by that it is found, and its record made anew.
    fs::remove_file(Place::new(&run, "one-0@1").invocation()).expect("its record");
    stack.up();
    until("it is taken over", || stack.instance("one")["pid"].as_u64() == Some(u64::from(pid)));
    assert_eq!(copies(), [pid]);

    // Its end is seen, and another one takes its place.
    proc::kill(pid);
    until("it is another one", || stack.instance("one")["restarts"] == 1);
    stack.until_ready();
    until("it sleeps", || !copies().is_empty());
    assert_eq!(copies().len(), 1);
}
