//! Users: a service's own holds for all that is done for it, and nobody else has a say in what is ours.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{CORE, Said, Stack, eventually, proc, until};
use crate::rights::all_below;

/// For these there must be another user, whom only root can become.
pub(crate) const AS_ROOT: &[Test] = tests![
    a_user_holds_for_all_that_is_done_for_a_service,
    a_service_of_another_user_has_its_run_folder,
    the_data_of_a_service_is_its_own,
    the_stack_of_somebody_else_is_not_run_by_accident,
    root_finds_the_stack_of_another_user,
    another_user_who_is_run_here_has_no_terminal_of_ours,
    data_of_somebody_else_is_told,
    a_taken_name_of_a_run_folder_is_stepped_around,
];

/// A user that every host has, by his name and number.
const NOBODY: (&str, u32) = ("nobody", 65534);

/// A stack into whose folder anybody may look.
fn readable() -> Stack {
    let stack = Stack::new();
    fs::set_permissions(&stack.root, fs::Permissions::from_mode(0o755)).expect("its mode");
    stack
}

/// A folder of the stack that anybody may write to.
fn shared(stack: &Stack, name: &str) -> PathBuf {
    let folder = stack.root.join(name);
    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).expect("its mode");
    folder
}

/// Who has a terminal of root's may type into it.
fn another_user_who_is_run_here_has_no_terminal_of_ours() {
    let stack = readable();
    let line =
        "trap 'echo asked to end; exit 7' INT; cut -d' ' -f 6,7 /proc/$$$$/stat; while true; do sleep 0.02; done";
    stack.shell("one", line, json!({}));
    stack.edit("one", |manifest| manifest["process"]["user"] = json!(NOBODY.0));
    let mut run = stack.command(&["one", "run"]).stdout(std::process::Stdio::piped()).spawn().expect("core runs");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(run.stdout.take().expect("its output")));
    let first = lines.next().expect("a line").expect("text");
    let (session, terminal) = first.split_once(' ').expect("two numbers");
    let own = nix::unistd::getsid(None).expect("a session").to_string();
    assert!(session != own && terminal == "0", "{first}");
    // What the terminal would have said to it, it is told.
    proc::send(run.id(), "INT");
    assert_eq!(lines.next().expect("a line").expect("text"), "asked to end");
    assert_eq!(run.wait().expect("it ends").code(), Some(7));
}

fn data_of_somebody_else_is_told() {
    let stack = readable();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.edit("one", |manifest| manifest["process"]["user"] = json!(NOBODY.0));
    let own = stack.root.join(".data/one");
    fs::create_dir_all(&own).expect("a folder");
    let said = stack.core(&["check"]);
    assert!(said.err.contains("open-data") && said.err.contains("chown -R nobody"), "{}", said.err);
    give(&own, NOBODY.1);
    stack.ok(&["check"]);
    fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).expect("its mode");
    let said = stack.core(&["check"]);
    assert!(said.err.contains(".data/one can be changed by others (mode 777)"), "{}", said.err);
}

/// Somebody has taken the name of our run folder: another one is made, and found.
fn a_taken_name_of_a_run_folder_is_stepped_around() {
    use std::os::unix::process::CommandExt as _;
    let stack = readable();
    stack.shell("one", "exec sleep 1000", json!({}));
    let core = stack.root.join("core");
    assert!(Command::new("cp").arg(CORE).arg(&core).status().expect("cp").success());
    // A user of the system, of whom nobody has heard.
    let user = (600..900).find(|uid| !Path::new(&format!("/dev/shm/core-{uid}")).exists()).expect("a free number");
    give(&stack.root, user);
    let taken = PathBuf::from(format!("/dev/shm/core-{user}"));
    fs::create_dir(&taken).expect("its name");
    fs::set_permissions(&taken, fs::Permissions::from_mode(0o777)).expect("its mode");
    let as_user = |words: &[&str]| {
        let mut command = Command::new(&core);
        command.args(words).current_dir(&stack.root).uid(user).gid(user).env_clear().env("PATH", "/usr/bin:/bin");
        Said::of(command.output().expect("core runs"))
    };
    let up = as_user(&["up", "-d"]);
    let down = as_user(&["down"]);
    let run = fs::read_link(stack.root.join(".core-stack/run"));
    for folder in fs::read_dir("/dev/shm").expect("it is there").flatten().map(|entry| entry.path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == format!("core-{user}") || name.starts_with(&format!("core-{user}-")) {
            let _ = fs::remove_dir_all(folder);
        }
    }
    assert_eq!((up.code, down.code), (0, 0), "{} {} {run:?}", up.err, down.err);
}

fn a_user_holds_for_all_that_is_done_for_a_service() {
    let stack = readable().env("SUDO_USER", "root").env("XDG_DATA_HOME", "/root/x").env("PLAIN", "kept");
    let out = shared(&stack, "out");
    let told = |name: &str| format!("id -un > {}/{name}", out.display());
    stack.service(
        "one",
        &json!({"process": {"command": format!("cd {}; env > env; echo $$ > pid; exec sleep 1000", out.display()), "shell": true,
            "user": NOBODY.0, "umask": "027",
            "compose": {"readiness_probe": {"exec": {"command": told("probe")}, "period_seconds": 0.1},
                "shutdown": {"command": format!("{}; kill $(cat {}/pid)", told("stop"), out.display()), "timeout_seconds": 5}}}}),
    );
    stack.up();
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_default();
    assert_eq!(read("probe").trim(), NOBODY.0);
    assert_eq!(fs::metadata(out.join("probe")).expect("its file").mode() & 0o777, 0o640);
    let env = read("env");
    for line in ["USER=nobody", "LOGNAME=nobody", "HOME=/nonexistent", "SHELL=/usr/sbin/nologin", "PLAIN=kept"] {
        assert!(env.lines().any(|one| one == line), "{line}: {env}");
    }
    assert!(!env.contains("SUDO_USER") && !env.contains("XDG_DATA_HOME"), "{env}");
    stack.ok(&["stop", "one"]);
    assert_eq!(read("stop").trim(), NOBODY.0);
    // In the foreground, too.
    stack.ok(&["down"]);
    stack.shell("one", "true", json!({}));
    stack.edit("one", |manifest| {
        manifest["process"] = json!({"command": "id -un", "shell": true, "user": NOBODY.0});
    });
    let said = stack.core(&["one", "run"]);
    assert_eq!(said.out.trim(), NOBODY.0, "{}", said.err);
}

fn a_service_of_another_user_has_its_run_folder() {
    let stack = readable();
    let line = "touch ${run}/x && ls -A ${run}; mv ${run}/.core ${run}/.x; ls -a ${run}/..; exec sleep 1000";
    stack.service("one", &json!({"process": {"command": line, "shell": true, "user": NOBODY.0}}));
    stack.up();
    until("it has looked", || stack.lines("one").len() >= 3);
    let lines = stack.lines("one");
    assert_eq!(lines[0], "x", "it may write there, and nothing of ours is in it: {lines:?}");
    assert!(lines.iter().any(|line| line.contains("cannot open directory")), "it sees no other: {lines:?}");
    assert_eq!(fs::metadata(stack.run_of("one").join("x")).expect("its file").uid(), NOBODY.1);
    // Once more, in a folder that is his by now.
    let pid = stack.pid("one");
    std::os::unix::fs::symlink("/etc/passwd", stack.run_of("one").join("link")).expect("a link");
    stack.ok(&["restart", "one"]);
    stack.next_pid("one", pid);
    assert_eq!(fs::metadata("/etc/passwd").expect("it is there").uid(), 0);
    stack.ok(&["down"]);
}

fn the_data_of_a_service_is_its_own() {
    let stack = readable();
    let line = "echo kept >> ${data}/one/x; exec sleep 1000";
    stack.service("one", &json!({"process": {"command": line, "shell": true, "user": NOBODY.0}}));
    stack.up();
    let (data, own) = (stack.root.join(".data"), stack.root.join(".data/one"));
    until("it has written", || own.join("x").exists());
    let of = |path: &Path| fs::metadata(path).map(|meta| (meta.uid(), meta.mode() & 0o777)).expect("it is there");
    assert_eq!((of(&data), of(&own)), ((0, 0o711), (NOBODY.1, 0o700)));
    // What is there is left as it is.
    fs::set_permissions(&own, fs::Permissions::from_mode(0o750)).expect("its mode");
    stack.ok(&["restart", "one"]);
    assert_eq!(of(&own), (NOBODY.1, 0o750));
}

/// Gives a folder and all below it to another user.
fn give(folder: &Path, user: u32) {
    for path in all_below(folder).into_iter().chain([folder.to_owned()]) {
        std::os::unix::fs::lchown(path, Some(user), Some(user)).expect("given");
    }
}

fn the_stack_of_somebody_else_is_not_run_by_accident() {
    let stack = readable();
    stack.shell("one", "touch ran; exec sleep 1000", json!({}));
    let inner = stack.root.join("mine");
    fs::create_dir(&inner).expect("a folder");
    give(&stack.root, NOBODY.1);
    let up = |words: &[&str]| Said::of(stack.command(words).current_dir(&inner).output().expect("core runs"));
    let said = up(&["up", "-d"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("belongs to nobody") && said.err.contains("--root"), "{}", said.err);
    assert!(!stack.root.join("ran").exists());
    // Whoever names it means it.
    let root = stack.root.display().to_string();
    assert_eq!(up(&["--root", &root, "up", "-d"]).code, 0);
    assert_eq!(up(&["--root", &root, "down"]).code, 0);
}

fn root_finds_the_stack_of_another_user() {
    use std::os::unix::process::CommandExt as _;
    let stack = readable();
    stack.shell("one", "exec sleep 1000", json!({}));
    // Where he may run it, whatever the folder of this checkout says.
    let core = stack.root.join("core");
    // Not by us: what another test forks meanwhile would have the file open for writing.
    assert!(Command::new("cp").arg(CORE).arg(&core).status().expect("cp").success());
    give(&stack.root, NOBODY.1);
    let as_nobody = |words: &[&str]| {
        let mut command = Command::new(&core);
        command
            .args(words)
            .current_dir(&stack.root)
            .uid(NOBODY.1)
            .gid(NOBODY.1)
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        Said::of(command.output().expect("core runs"))
    };
    let said = as_nobody(&["up", "-d"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let root = stack.root.display().to_string();
    let as_root = |words: &[&str]| stack.core(&[&["--root", &root], words].concat());
    let said = as_root(&["status"]);
    assert!(said.out.starts_with("running"), "{}{}", said.out, said.err);
    let pid = eventually("its process", || stack_pid(&as_root(&["status", "--json"]).out));
    assert_eq!(as_root(&["up", "-d"]).code, 0);
    assert_eq!(stack_pid(&as_root(&["status", "--json"]).out), Some(pid));
    assert_eq!(fs::metadata(format!("/proc/{pid}")).expect("it lives").uid(), NOBODY.1);
    // With its link gone, it is found by its keeper.
    fs::remove_file(stack.root.join(".core-stack/run")).expect("the link");
    assert!(as_root(&["status"]).out.starts_with("running"));
    assert_eq!(as_root(&["down"]).code, 0);
    assert!(!proc::lives(pid));
}

fn stack_pid(status: &str) -> Option<u32> {
    let status: serde_json::Value = serde_json::from_str(status).ok()?;
    u32::try_from(status["instances"][0]["pid"].as_u64()?).ok()
}
