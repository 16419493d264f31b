//! Whose files, whose rights: what others may change is not believed, and a service's user holds for all that is done
//! for it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{CORE, Said, Stack, proc, until};

pub(crate) const TESTS: &[Test] = tests![
    nobody_else_may_change_what_core_writes,
    no_core_file_of_ours_is_written,
    nothing_of_the_caller_stays_open,
    what_others_could_change_is_not_believed,
    a_command_that_others_could_change_is_not_run,
    a_folder_above_that_others_could_change_is_told,
    who_only_looks_runs_no_program_of_a_manifest,
    a_pipe_in_the_place_of_a_manifest_holds_nobody_up,
    descriptors_beside_a_notification_are_closed,
];

/// What is below a folder, links left alone.
pub(crate) fn all_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = |path: PathBuf| {
        let inner = if path.is_symlink() || !path.is_dir() { Vec::new() } else { all_below(&path) };
        std::iter::once(path).chain(inner).collect::<Vec<_>>()
    };
    entries.flat_map(|entry| below(entry.path())).collect()
}

/// `core up -d` by a shell that has done something first.
fn up_after(stack: &Stack, line: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{line}; exec \"$0\" up -d"), CORE]).current_dir(&stack.root);
    let said = Said::of(command.output().expect("a shell"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

fn nobody_else_may_change_what_core_writes() {
    let stack = Stack::new();
    stack.shell("one", "umask; exec sleep 1000", json!({}));
    up_after(&stack, "umask 000");
    stack.until_says("one", "0000");
    let written = [stack.root.join(".core-stack"), stack.run_folder().expect("a run folder")];
    let is_open = |path: &PathBuf| {
        let meta = fs::symlink_metadata(path).expect("it is there");
        !meta.is_symlink() && meta.mode() & 0o022 != 0
    };
    let all: Vec<PathBuf> = written.iter().flat_map(|folder| all_below(folder)).collect();
    assert!(all.len() > 10, "{all:?}");
    let open: Vec<PathBuf> = all.into_iter().filter(is_open).collect();
    assert!(open.is_empty(), "{open:?}");
    // After another supervisor, and another keeper, it is still the umask of whoever has begun the stack.
    stack.kill_supervisor();
    proc::kill(stack.keeper());
    stack.until_ready();
    stack.ok(&["restart", "one"]);
    until("it says it again", || stack.lines("one") == ["0000", "0000"]);
}

fn no_core_file_of_ours_is_written() {
    let stack = Stack::new();
    stack.shell("one", "ulimit -S -c; exec sleep 1000", json!({}));
    up_after(&stack, "ulimit -S -c 1234 && ulimit -S -c > limit");
    let expected = fs::read_to_string(stack.root.join("limit")).expect("the limit");
    stack.until_says("one", expected.trim());
    for pid in [stack.keeper(), stack.supervisor(), stack.shim("one-0@1")] {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
}

fn nothing_of_the_caller_stays_open() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    let mut command = Command::new("flock");
    command.args(["-n", "lock", CORE, "up", "-d"]).current_dir(&stack.root);
    assert!(command.status().expect("flock, of util-linux").success());
    let again = Command::new("flock").args(["-n", "lock", "true"]).current_dir(&stack.root).status();
    assert!(again.expect("flock").success(), "the lock is still held: {:?}", proc::descriptors(stack.keeper()));
    // A pipe that only a descriptor above 2 leads into ends, too.
    stack.ok(&["down"]);
    let mut command = Command::new("sh");
    command.args(["-c", "(\"$0\" up -d 3>&1 >/dev/null 2>&1) | cat", CORE]).current_dir(&stack.root);
    assert!(command.status().expect("a shell").success());
    stack.until_ready();
}

fn what_others_could_change_is_not_believed() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.write(".env", "A=1\n");
    for folder in [".dep", ".secrets"] {
        fs::create_dir(stack.root.join(folder)).expect("a folder");
    }
    stack.up();
    let pid = stack.pid("one");
    for path in
        ["services/one/service.json", "services/one", "services", "manifests/local.json", ".env", ".dep", ".secrets"]
    {
        let whole = stack.root.join(path);
        let before = fs::metadata(&whole).expect("it is there").permissions();
        fs::set_permissions(&whole, fs::Permissions::from_mode(before.mode() | 0o002)).expect("its mode");
        let mode = fs::metadata(&whole).expect("it is there").mode() & 0o7777;
        for words in [&["check"][..], &["apply"]] {
            let said = stack.core(words);
            assert_eq!(said.code, 2, "{path}: {}{}", said.out, said.err);
            let expected = format!("{path} can be changed by others (mode {mode:o})");
            assert!(said.err.contains(&expected), "{expected}: {}", said.err);
            let is_told = said.err.contains(&format!("chmod go-w {path}"));
            assert!(is_told || words == ["apply"], "{}", said.err);
        }
        fs::set_permissions(&whole, before).expect("its mode");
    }
    stack.ok(&["apply"]);
    assert_eq!(stack.pid("one"), pid, "nothing that runs was touched");
}

fn a_command_that_others_could_change_is_not_run() {
    let stack = Stack::new();
    crate::common::put_program(&stack.root.join("run.sh"), "#!/bin/sh\nexec sleep 1000\n");
    stack.service("one", &json!({"process": {"command": stack.root.join("run.sh")}}));
    stack.ok(&["check"]);
    fs::set_permissions(stack.root.join("run.sh"), fs::Permissions::from_mode(0o777)).expect("its mode");
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 2);
    for part in ["open-program", "run.sh", "777", "services/one/service.json"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    // What an interpreter runs is its first argument.
    stack.service("one", &json!({"process": {"command": "sh", "args": ["-e", "run.sh"]}}));
    let said = stack.core(&["check"]);
    assert!(said.err.contains("open-program") && said.err.contains("run.sh"), "{}", said.err);
    fs::set_permissions(stack.root.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("its mode");
    stack.ok(&["check"]);
    // Who may write to its folder may put another one in its place; and so it is with a PATH of the service's own.
    let open = stack.root.join("open");
    fs::create_dir(&open).expect("a folder");
    crate::common::put_program(&open.join("slp"), "#!/bin/sh\nexec sleep 1000\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("its mode");
    let path = format!("{}:/usr/bin:/bin", open.display());
    for process in [
        json!({"command": "sh", "args": ["open/slp"]}),
        json!({"command": "sh", "args": ["slp"], "working_dir": "open"}),
        json!({"command": "slp", "env": {"PATH": path}}),
    ] {
        stack.service("one", &json!({"process": process}));
        let said = stack.core(&["check"]);
        assert!(said.err.contains("open-program") && said.err.contains("777)"), "{process}: {}", said.err);
    }
    // In a folder of ours where anybody may add something, it is no better.
    fs::set_permissions(stack.root.join("services"), fs::Permissions::from_mode(0o1777)).expect("its mode");
    let said = stack.core(&["check"]);
    assert!(said.err.contains("services can be added to by others (mode 1777)"), "{}", said.err);
}

/// Who may rename the folder of a stack may put another one in its place.
fn a_folder_above_that_others_could_change_is_told() {
    let above = tempfile::tempdir().expect("a folder");
    let root = above.path().join("stack");
    fs::create_dir_all(root.join("services/one")).expect("a folder");
    fs::write(root.join("services/one/service.json"), r#"{"process": {"command": "sleep", "args": ["1000"]}}"#)
        .expect("written");
    let check = || Said::of(Command::new(CORE).args(["check", "--root"]).arg(&root).output().expect("core runs"));
    assert_eq!(check().code, 0);
    fs::set_permissions(above.path(), fs::Permissions::from_mode(0o777)).expect("its mode");
    let said = check();
    assert_eq!(said.code, 2);
    let expected = format!("{}, above the stack, can be changed by others (mode 777)", above.path().display());
    assert!(said.err.split_whitespace().collect::<String>().contains(&expected.replace(' ', "")), "{}", said.err);
    fs::set_permissions(above.path(), fs::Permissions::from_mode(0o1777)).expect("its mode");
    assert_eq!(check().code, 0);
}

fn who_only_looks_runs_no_program_of_a_manifest() {
    let stack = Stack::new();
    crate::common::put_program(&stack.root.join("x"), "#!/bin/sh\necho ran >> \"$(dirname \"$0\")/ran\"\necho 1.2.3\n");
    let source = json!({"source": "path", "program": stack.root.join("x"), "version": ">=1"});
    let binaries = json!([{"name": "x", "sources": [source]}]);
    stack.service("one", &json!({"binaries": binaries, "process": {"command": "sleep", "args": ["1000"]}}));
    for words in [&["check"][..], &["plan"], &["one", "spec"], &["one", "command"], &["graph"], &["doctor"]] {
        stack.core(words);
        assert!(!stack.root.join("ran").exists(), "core {} ran it", words.join(" "));
    }
    stack.up();
    assert!(stack.root.join("ran").exists(), "who runs the stack asks for the version");
}

fn a_pipe_in_the_place_of_a_manifest_holds_nobody_up() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let folder = stack.root.join("services/two");
    fs::create_dir(&folder).expect("a folder");
    nix::unistd::mkfifo(&folder.join("service.json"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    for words in [&["check"][..], &["plan"], &["apply"]] {
        let said = stack.core(words);
        let both = said.out + &said.err;
        assert!(both.contains("it is not a regular file"), "{both}");
    }
    fs::remove_dir_all(&folder).expect("removed");
    fs::create_dir(stack.root.join(".secrets")).expect("a folder");
    nix::unistd::mkfifo(&stack.root.join(".secrets/TOKEN"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let said = stack.core(&["check"]);
    for part in [".secrets/TOKEN cannot be read: it is not a regular file", "replace it with a text file"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    fs::remove_dir_all(stack.root.join(".secrets")).expect("removed");
    stack.ok(&["apply"]);
}

/// More of them than there is room for, again and again: none stays open, and the service is started again after a crash.
fn descriptors_beside_a_notification_are_closed() {
    let stack = Stack::new();
    let program = "import os,socket,array,time
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)
f=array.array('i',[os.open('/dev/null',0)]*200)
for _ in range(100): s.sendmsg([b'X'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,f)],0,os.environ['NOTIFY_SOCKET'])
s.sendto(b'READY=1',os.environ['NOTIFY_SOCKET'])
time.sleep(1000)";
    let compose =
        json!({"readiness_probe": {"notify": true, "period_seconds": 0.1}, "availability": {"restart": "always"}});
    stack.service("one", &json!({"process": {"command": "python3", "args": ["-c", program], "compose": compose}}));
    stack.up();
    let open = proc::descriptors(stack.shim("one-0@1"));
    assert!(open.len() < 30, "{open:?}");
    let pid = stack.pid("one");
    proc::kill(pid);
    stack.next_pid("one", pid);
    stack.until_ready();
    // Its name says nothing of its mark, and who may write to it says the file.
    let socket = stack.run_folder().expect("a run folder").join("notify/one-0.1");
    assert_eq!(fs::metadata(socket).expect("the socket").mode() & 0o777, 0o600);
}
