//! A supervisor that runs out of descriptors: what it lacks is no fault of a service.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::libc;
use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, eventually, proc, until};
use crate::fixture;

pub(crate) const TESTS: &[Test] =
    tests![what_the_supervisor_lacks_is_no_fault_of_a_service, services_keep_the_limit_that_core_up_had];

/// Sets the soft limit of open files of a process.
fn set_limit(pid: u32, soft: u64) {
    let (_, hard) = limits(pid);
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    let pid = i32::try_from(pid).expect("a process number");
    // SAFETY: a plain call that reads the one structure.
    let result = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// The soft and the hard limit of open files of a process.
fn limits(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).expect("the line");
    let mut numbers = line.split_whitespace().map(|word| word.parse().expect("a number"));
    (numbers.next().expect("the soft one"), numbers.next().expect("the hard one"))
}

/// From now on a supervisor gets no descriptor but what it gives up of its reserve: its limit is the first number behind
/// that one which is free. While it has given some up nothing is done, else they were of no use to it any more.
fn exhaust(supervisor: u32) {
    let all = proc::descriptors(supervisor);
    let spare = all.iter().filter(|(number, path)| *number > 2 && path.as_path() == Path::new("/dev/null"));
    let spare: Vec<u32> = spare.map(|(number, _)| *number).collect();
    let (16, Some(last)) = (spare.len(), spare.last().copied()) else { return };
    let free = (last..u32::MAX).find(|number| all.iter().all(|(taken, _)| taken != number)).expect("a free number");
    set_limit(supervisor, limits(supervisor).0.min(u64::from(free)));
}

fn could_not_be_asked(instance: &Value) -> bool {
    instance["detail"].as_str().is_some_and(|detail| detail == "could not be asked: too many open files")
}

fn what_the_supervisor_lacks_is_no_fault_of_a_service() {
    let stack = Stack::new();
    let once = json!({"period_seconds": 0.1, "failure_threshold": 1});
    let with = |what: &str, how: Value| {
        let mut probe = once.clone();
        probe[what] = how;
        probe
    };
    let always = json!({"restart": "always"});
    stack.shell(
        "alive",
        "exec sleep 1000",
        json!({"availability": always, "liveness_probe": with("exec", json!({"command": "true"}))}),
    );
    let get = json!({"port": "${port.http}"});
    stack.service(
        "web",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "http", "${port.http}"], "compose": {
            "availability": always, "readiness_probe": with("http_get", get.clone()),
            "liveness_probe": with("http_get", get)}}, "ports": {"http": {"port": "auto"}}}),
    );
    stack.shell("victim", "exec sleep 1000", json!({"availability": always}));
    stack.up();
    let pids = (stack.pid("alive"), stack.pid("web"));
    let supervisor = stack.supervisor();
    let (before, _) = limits(supervisor);
    for service in ["alive", "web"] {
        until("status says that it could not be asked", || {
            exhaust(supervisor);
            could_not_be_asked(&stack.instance(service))
        });
    }
    let why = stack.ok(&["why", "alive"]);
    assert!(why.out.contains("could not be asked: too many open files"), "{}", why.out);
    // What matters goes on meanwhile: restarts, another shim, and what is written down.
    let victim = stack.pid("victim");
    proc::kill(victim);
    let victim = stack.next_pid("victim", victim);
    stack.kill_shim("victim-0@1");
    until("its new shim has taken it over", || stack.instance("victim")["memory_bytes"].is_u64());
    assert_eq!(stack.pid("victim"), victim);
    stack.ok(&["stop", "victim"]);
    let state = fs::read_to_string(stack.root.join(".core-stack/state.json")).expect("the state");
    let state: Value = serde_json::from_str(state.split_once('\n').expect("a checksum").1).expect("JSON");
    assert!(state.to_string().contains("victim"), "{state}");
    let mut unasked = 0;
    until("it could not be asked again and again", || {
        exhaust(supervisor);
        let alive = stack.instance("alive");
        unasked += u32::from(could_not_be_asked(&alive));
        assert_eq!((&alive["ready"], &alive["restarts"]), (&json!(true), &json!(0)), "{alive}");
        let web = stack.instance("web");
        assert_eq!((&web["ready"], &web["restarts"]), (&json!(true), &json!(0)), "{web}");
        unasked >= 20
    });
    assert_eq!(stack.supervisor(), supervisor, "it has been the same all the time");
    set_limit(supervisor, before);
    for service in ["alive", "web"] {
        until("all is as before", || stack.instance(service)["detail"].is_null());
    }
    assert_eq!((stack.pid("alive"), stack.pid("web")), pids);
    assert_eq!(stack.instance("alive")["restarts"], 0);
    assert_eq!(stack.instance("web")["restarts"], 0);
}

fn services_keep_the_limit_that_core_up_had() {
    let stack = Stack::new();
    let asked = stack.root.join("asked");
    let probe = format!("ulimit -n > {}.new && mv {0}.new {0}", asked.display());
    stack.shell("one", "exec sleep 1000", json!({"readiness_probe": {"exec": {"command": probe}}}));
    stack.shell("two", "exec sleep 1000", json!({"disabled": true}));
    let core = stack.command(&["up", "-d"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 256 && exec \"$@\"", "sh"]).arg(core.get_program()).args(core.get_args());
    let said = Said::of(command.current_dir(&stack.root).output().expect("core runs"));
    assert_eq!(said.code, 0, "{said:?}");
    let (soft, hard) = limits(stack.supervisor());
    assert_eq!(soft, hard, "the supervisor has what it may have");
    assert!(hard > 256, "this machine has a limit of {hard}: there is nothing to see");
    assert_eq!(limits(stack.pid("one")), (256, hard));
    let said = eventually("it was asked", || fs::read_to_string(&asked).ok());
    assert_eq!(said.trim(), "256");
    // Nor is it another one where a keeper was begun by a supervisor.
    let (keeper, supervisor) = (stack.keeper(), stack.supervisor());
    proc::kill(keeper);
    until("others have taken over", || !proc::lives(supervisor) && stack.keeper() != keeper);
    stack.until_ready();
    stack.edit("two", |manifest| manifest["process"]["compose"]["disabled"] = json!(false));
    stack.ok(&["apply"]);
    assert_eq!(limits(stack.pid("two")), (256, hard));
    assert_eq!(limits(stack.supervisor()).0, hard);
}
