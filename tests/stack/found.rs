//! A stack is found, once: wherever its run folder stands, whatever became of what leads there. And where nothing runs,
//! what is written is what is started.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, proc, until};

pub(crate) const TESTS: &[Test] = tests![
    a_stack_without_its_link_is_found,
    a_stack_that_was_moved_is_found,
    a_copy_of_a_stack_is_another_stack,
    a_run_folder_that_is_taken_away_is_made_anew,
    a_login_of_another_kind_finds_it,
    down_is_down,
    a_command_is_found_in_its_working_dir,
    nohup_is_respected,
    a_number_is_a_port_once_for_each_protocol,
];

fn sleeper() -> (Stack, u32) {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let pid = stack.pid("one");
    (stack, pid)
}

fn a_stack_without_its_link_is_found() {
    let (stack, pid) = sleeper();
    let run = stack.run_folder();
    fs::remove_dir_all(stack.root.join(".core-stack")).expect("removed, as by git clean");
    assert_eq!(stack.pid("one"), pid);
    stack.up();
    assert_eq!(stack.pid("one"), pid, "a second copy");
    // Edits are taken as before.
    stack.shell("two", "exec sleep 1000", json!({}));
    stack.ok(&["apply"]);
    stack.until_ready();
    assert_eq!(stack.pid("one"), pid);
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

/// `core` in a folder that is not the stack's own any more.
fn core_in(folder: &Path, words: &[&str]) -> Said {
    let stack = std::process::Command::new(crate::common::CORE).args(words).current_dir(folder).output();
    Said::of(stack.expect("core runs"))
}

fn a_stack_that_was_moved_is_found() {
    let (stack, pid) = sleeper();
    let run = stack.run_folder();
    let moved = stack.root.with_extension("moved");
    fs::rename(&stack.root, &moved).expect("moved");
    let said = core_in(&moved, &["status"]);
    let back = || fs::rename(&moved, &stack.root).expect("moved back");
    let root = stack.root.display().to_string();
    let is_told = said.out.starts_with("running") && said.err.contains(&format!("runs as {root}"));
    let up = core_in(&moved, &["up", "-d"]);
    let is_refused = up.code == 1 && up.err.contains("core down");
    let lived = proc::lives(pid);
    let down = core_in(&moved, &["down"]);
    let lives = proc::lives(pid);
    // Then it starts where it stands.
    let up_again = core_in(&moved, &["up", "-d"]);
    let down_again = core_in(&moved, &["down"]);
    back();
    assert!(is_told, "{}{}", said.out, said.err);
    assert!(is_refused, "{}{}", up.out, up.err);
    assert!(lived && !lives, "{}{}", down.out, down.err);
    assert_eq!((down.code, up_again.code, down_again.code), (0, 0, 0), "{}{}", down.err, up_again.err);
    stack.expect_nothing_left(run.as_deref());
}

fn a_copy_of_a_stack_is_another_stack() {
    let (stack, pid) = sleeper();
    let copy = tempfile::tempdir().expect("a folder");
    let status = std::process::Command::new("cp").arg("-a").arg(stack.root.join(".")).arg(copy.path()).status();
    assert!(status.expect("cp").success());
    assert_eq!(core_in(copy.path(), &["status"]).code, 3, "nothing runs there");
    assert_eq!(core_in(copy.path(), &["up", "-d"]).code, 0);
    assert_eq!(core_in(copy.path(), &["down"]).code, 0);
    assert_eq!(stack.pid("one"), pid, "the first one is left alone");
}

fn a_login_of_another_kind_finds_it() {
    let (stack, pid) = sleeper();
    let other = tempfile::tempdir_in("/dev/shm").expect("a folder on a tmpfs");
    fs::remove_file(stack.root.join(".core-stack/run")).expect("the link");
    let ask = |words: &[&str]| {
        Said::of(stack.command(words).env("XDG_RUNTIME_DIR", other.path()).output().expect("core runs"))
    };
    until("it is found", || ask(&["status"]).out.starts_with("running"));
    assert_eq!(ask(&["up", "-d"]).code, 0);
    assert_eq!(stack.pid("one"), pid);
}

/// Nothing is started from memory: after `down` and an edit, `up` runs what is written, or says why not.
fn down_is_down() {
    let stack = Stack::new();
    let write = |word: &str, ports: Value| {
        let args = ["-c".to_owned(), format!("echo {word}; exec sleep 1000")];
        stack.service("one", &json!({"process": {"command": "sh", "args": args}, "ports": ports}));
    };
    write("v1", json!({}));
    stack.up();
    stack.until_says("one", "v1");
    stack.ok(&["down"]);
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = stranger.local_addr().expect("its address").port();
    write("v2", json!({"tcp": {"port": port}}));
    for _ in 0..2 {
        let said = stack.core(&["up", "-d", "--timeout", "2"]);
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        assert!(said.err.contains(&format!("port {port} is taken")), "{}", said.err);
        assert_eq!(stack.lines("one"), ["v1"], "what is written is not what runs");
        stack.ok(&["down"]);
    }
    drop(stranger);
    stack.up();
    stack.until_says("one", "v2");
}

fn a_number_is_a_port_once_for_each_protocol() {
    let stack = Stack::new();
    let port = crate::common::free_port();
    for (name, protocol) in [("one", "tcp"), ("two", "udp")] {
        let ports = json!({"a": {"port": port, "protocol": protocol}});
        stack.service(name, &json!({"process": {"command": "sleep", "args": ["1000"]}, "ports": ports}));
    }
    stack.up();
    stack.until_ready();
}

/// As at a logout, and by a cleaner: what lives goes on, and is found again by whoever comes, the next supervisor too.
fn a_run_folder_that_is_taken_away_is_made_anew() {
    let stack = Stack::new();
    stack.shell("one", "i=0; while true; do echo n $i; i=$((i+1)); sleep 0.02; done", json!({}));
    stack.shell("two", "exec sleep 1000", json!({"availability": {"restart": "always", "backoff_seconds": 0}}));
    stack.up();
    let (one, two) = (stack.pid("one"), stack.pid("two"));
    let run = stack.run_folder().expect("a run folder");
    // All at once, and then file by file, as a cleaner does it while it is made anew.
    let aside = run.with_extension("aside");
    fs::rename(&run, &aside).expect("taken away");
    fs::remove_dir_all(&aside).expect("removed");
    until("it answers again", || stack.core(&["status"]).out.starts_with("running"));
    let _ = fs::remove_dir_all(&run);
    until("it answers again", || stack.core(&["status"]).out.starts_with("running"));
    stack.up();
    assert_eq!((stack.pid("one"), stack.pid("two")), (one, two), "nothing was started twice");
    until("both are found", || {
        ["one-0@1", "two-0@1"].iter().all(|name| run.join(".core").join(name).join("shim").exists())
    });
    // The next supervisor finds them, and the keeper is found by its lock.
    stack.kill_supervisor();
    assert_eq!((stack.pid("one"), stack.pid("two")), (one, two));
    assert!(run.join("keeper").exists());
    // What dies is started again.
    proc::kill(two);
    let two = stack.next_pid("two", two);
    let said = stack.lines("one").len();
    until("it is still heard", || stack.lines("one").len() > said);
    let lines = stack.lines("one");
    assert!(lines.iter().enumerate().all(|(number, line)| *line == format!("n {number}")), "not a line is lost");
    stack.ok(&["down"]);
    assert!(!proc::lives(one) && !proc::lives(two));
    stack.expect_nothing_left(Some(&run));
}

/// What was ignored when it began stays so: that is what nohup(1) asks for.
fn nohup_is_respected() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    let mut up = std::process::Command::new("nohup")
        .args([crate::common::CORE, "up"])
        .current_dir(&stack.root)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("nohup");
    stack.until_ready();
    proc::send(up.id(), "HUP");
    // It would end at once; another command takes longer than that.
    stack.ok(&["restart", "one"]);
    assert!(up.try_wait().expect("it is ours").is_none(), "it has ended");
    stack.ok(&["down"]);
    up.wait().expect("it ends with the stack");
}

fn a_command_is_found_in_its_working_dir() {
    let stack = Stack::new();
    crate::common::put_program(&stack.root.join("app/bin/run"), "#!/bin/sh\nexec sleep 1000\n");
    stack.service("one", &json!({"process": {"command": "bin/run", "working_dir": "app"}}));
    stack.up();
    // What cannot be executed says why.
    crate::common::put_program(&stack.root.join("app/bin/run"), "#!/bin/sh\r\nexec sleep 1000\r\n");
    let said = stack.core(&["restart", "one"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("carriage return"), "{}", said.err);
    stack.service("one", &json!({"process": {"command": "sleep 1000"}}));
    let said = stack.core(&["apply"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("put what follows `sleep` into `args`"), "{}", said.err);
}
