//! `core doctor`: it looks at this very host, so only what must be so everywhere is expected.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::{Value, json};

use crate::common::{CORE, Said, Stack, put_program};
use crate::{expect_fits, told};

const CHECKS: [&str; 22] = [
    "kernel",
    "core-shim",
    "peer-credentials",
    "pidfd",
    "exit-codes",
    "cgroup",
    "clone-into-cgroup",
    "cgroup-kill",
    "run-folder",
    "splice",
    "disk-state",
    "disk-dep",
    "open-files",
    "inotify",
    "sock-diag",
    "pids",
    "ports",
    "python",
    "node",
    "npm",
    "cargo",
    "go",
];

fn checks(said: &Said) -> BTreeMap<String, Value> {
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    let checks = answer["checks"].as_array().expect("checks");
    checks.iter().map(|check| (check["name"].as_str().expect("a name").to_owned(), check.clone())).collect()
}

#[test]
fn every_check_has_a_state_and_says_what_is_weaker() {
    let stack = Stack::new();
    let said = stack.ok(&["doctor", "--json"]);
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(answer["ok"], json!(true));
    assert!(answer["version"].is_string());
    let checks = checks(&said);
    for name in CHECKS {
        let check = checks.get(name).unwrap_or_else(|| panic!("there is no check `{name}`"));
        let state = check["state"].as_str().expect("a state");
        assert!(["ok", "weaker", "missing"].contains(&state), "{check}");
        assert_eq!(check["without"].is_null(), state == "ok", "{check}");
        assert!(check["found"].as_str().is_some_and(|found| !found.is_empty()), "{check}");
        assert!(check["required"].is_boolean(), "{check}");
    }
    assert_eq!(checks["core-shim"]["state"], json!("ok"), "both programs were built for these tests");
}

#[test]
fn nothing_is_left_behind() {
    let stack = Stack::new();
    stack.ok(&["doctor"]);
    let names: Vec<_> = fs::read_dir(&stack.root).expect("the root").flatten().map(|one| one.file_name()).collect();
    assert_eq!(names.len(), 2, "services and manifests only: {names:?}");
    let cgroups = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for line in cgroups.lines().filter(|line| line.contains(" cgroup2 ")) {
        let folder = line.split(' ').nth(1).expect("a path");
        let left = fs::read_dir(folder).into_iter().flatten().flatten().any(|one| {
            // Others may be looking at this host now.
            let name = one.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix("core-doctor-").and_then(|pid| pid.parse::<u32>().ok());
            pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
        });
        assert!(!left, "a cgroup is left in {folder}");
    }
}

#[test]
fn a_shim_that_is_not_there_is_said() {
    let stack = Stack::new();
    // A program beside which nothing stands.
    let alone = stack.root.join("alone");
    fs::create_dir(&alone).expect("a folder");
    fs::copy(CORE, alone.join("core")).expect("a copy");
    fs::set_permissions(alone.join("core"), fs::Permissions::from_mode(0o755)).expect("its mode");
    let mut command = std::process::Command::new(alone.join("core"));
    let said = Said::of(command.args(["doctor", "--json"]).current_dir(&stack.root).output().expect("core runs"));
    assert_eq!((said.code, &checks(&said)["core-shim"]["state"]), (0, &json!("weaker")));
}

/// A run folder that anybody may write to is none of ours, and there is another place.
#[test]
fn a_run_folder_that_is_somebody_elses_is_not_used() {
    let stack = Stack::new();
    let shared = tempfile::tempdir_in("/dev/shm").expect("a folder on a tmpfs");
    let run = shared.path().join("core").join(stack.hash());
    fs::create_dir_all(&run).expect("a folder");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).expect("its mode");
    fs::create_dir(stack.root.join(".core-stack")).expect("a folder");
    std::os::unix::fs::symlink(&run, stack.root.join(".core-stack/run")).expect("a link");
    let output = stack.command(&["doctor", "--json"]).env("XDG_RUNTIME_DIR", shared.path()).output();
    let check = checks(&Said::of(output.expect("core runs")))["run-folder"].clone();
    assert!(check["found"].as_str().is_some_and(|found| !found.contains("/dev/shm/.tmp")), "{check}");
    assert_ne!(check["state"], json!("missing"), "{check}");
}

#[test]
fn what_core_cannot_run_without_is_an_error() {
    let stack = Stack::new().on_small_disk();
    let said = stack.core(&["doctor", "--json"]);
    assert_eq!(said.code, 1);
    let check = checks(&said)["disk-state"].clone();
    assert_eq!((&check["state"], &check["required"]), (&json!("missing"), &json!(true)), "{check}");
    let said = stack.core(&["doctor"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("\ncore cannot run here"), "{}", said.out);
}

#[test]
fn ports_that_the_kernel_gives_away_are_said() {
    let stack = Stack::new();
    stack.shell("one", "sleep 1000", json!({}));
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("the range");
    let first: u16 = range.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
    stack.write("manifests/local.json", &json!({"ports": {"auto": format!("{first}-{}", first + 9)}}).to_string());
    let ports = checks(&stack.ok(&["doctor", "--json"]))["ports"].clone();
    assert_eq!(ports["state"], json!("weaker"));
    assert!(ports["found"].as_str().is_some_and(|found| found.ends_with("10 in common")), "{ports}");
    stack.write("manifests/local.json", &json!({"ports": {"auto": "2000-2009"}}).to_string());
    assert_eq!(checks(&stack.ok(&["doctor", "--json"]))["ports"]["state"], json!("ok"));
}

#[test]
fn tools_are_looked_for_in_path() {
    let stack = Stack::new();
    let bin = stack.root.join("bin");
    put_program(&bin.join("go"), "#!/bin/sh\n[ \"$1\" = version ] && echo go version go1.25.3 linux/amd64\n");
    symlink("/nowhere", bin.join("cargo")).expect("a link");
    let output = stack.command(&["doctor", "--json"]).env("PATH", &bin).output().expect("core runs");
    let said = Said::of(output);
    assert_eq!(said.code, 0, "{said:?}");
    let checks = checks(&said);
    assert!(checks["go"]["found"].as_str().is_some_and(|found| found.starts_with("1.25.3: ")), "{}", checks["go"]);
    for name in ["python", "node", "npm", "cargo"] {
        assert_eq!(checks[name]["state"], json!("missing"), "{name}");
    }
}

#[test]
fn lines_fit_the_terminal_and_there_may_be_no_stack() {
    let folder = tempfile::tempdir().expect("a folder");
    let stack = Stack::new();
    for width in [80, 160] {
        expect_fits(&told(&stack, &["doctor"], width), width);
    }
    let mut command = stack.command(&["doctor"]);
    let said = Said::of(command.current_dir(folder.path()).output().expect("core runs"));
    assert_eq!(said.code, 0, "{said:?}");
}
