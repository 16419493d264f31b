//! What the edge is told: pointers and held sockets. (The edge itself is in the demo's tests.)

use std::fs;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, free_port, proc, until};
use crate::fixture;

pub(crate) const TESTS: &[Test] = tests![
    a_held_port_outlives_a_crash_and_a_supervisor,
    an_end_while_a_supervisor_asks_is_heard,
    pointers_follow_what_is_ready
];

fn a_held_port_outlives_a_crash_and_a_supervisor() {
    let stack = Stack::new();
    let port = free_port();
    stack.service(
        "held",
        &json!({"process": {"command": "python3", "args": ["-c",
            "import socket
s=socket.socket(fileno=3)
while True:
    c,_=s.accept()
    c.sendall(b'hello')
    c.close()"],
            "compose": {"availability": {"restart": "always", "backoff_seconds": 1}}},
            "ports": {"tcp": {"port": port, "hold": true}}}),
    );
    stack.up();
    let greets = || {
        use std::io::Read as _;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(crate::common::PATIENCE)).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    };
    assert_eq!(eventually("it greets", greets), "hello");
    let pid = stack.pid("held");
    let supervisor = stack.supervisor();
    proc::kill(supervisor);
    proc::kill(pid);
    until("it has died", || !proc::lives(pid));
    // Nobody accepts for a while; nobody is refused either.
    assert_eq!(greets().as_deref(), Some("hello"));
    stack.until_ready();
    // Its shim dies, and then the supervisor: the new shim has got copies, and a third supervisor asks it for them.
    stack.kill_shim("held-0@1");
    until("it is taken over", || {
        stack.own_log().lines().any(|line| line.contains("was taken over") && line.contains("held-0@1"))
    });
    stack.kill_supervisor();
    stack.until_ready();
    let pid = stack.pid("held");
    proc::kill(pid);
    until("it has died", || !proc::lives(pid));
    assert_eq!(greets().as_deref(), Some("hello"));
    stack.ok(&["down"]);
    assert!(greets().is_none(), "the port is open after the stack has ended");
}

/// A service dies between two answers of its shim to a new supervisor: who it is, and what it holds.
fn an_end_while_a_supervisor_asks_is_heard() {
    let stack = Stack::new();
    stack.service(
        "held",
        &json!({"process": {"command": "sleep", "args": ["1000"],
            "compose": {"availability": {"restart": "always", "backoff_seconds": 0}}},
            "ports": {"tcp": {"port": free_port(), "hold": true}}}),
    );
    stack.up();
    let (pid, shim) = (stack.pid("held"), stack.shim("held-0@1"));
    let socket = stack.place_of("held").socket().display().to_string();
    let lines = || fs::read_to_string("/proc/net/unix").expect("sockets").matches(&socket).count();
    let before = lines();
    // The shim is held still, so that it has said nothing yet when its service ends.
    proc::hold(shim);
    let supervisor = stack.supervisor();
    proc::kill(supervisor);
    until("the next one has called it", || !proc::lives(supervisor) && lines() > before);
    proc::kill(pid);
    until("it has died", || !proc::lives(pid));
    proc::send(shim, "CONT");
    until("the next one answers", || stack.core(&["status"]).code == 0);
    assert!(stack.next_pid("held", pid) != pid);
    stack.until_ready();
    assert_eq!(stack.instance("held")["restarts"], 1);
}

fn pointers_follow_what_is_ready() {
    let stack = Stack::new();
    let port = free_port();
    // An edge that only has to be there.
    stack.service(
        "edge",
        &json!({"kind": "caddy", "process": {"command": "sleep", "args": ["1000"]},
        "ports": {"http": {"port": port, "hold": true}}}),
    );
    stack.service(
        "web",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "http", "${port.http}", "--unless", "${root}/sick-${replica}"],
            "compose": {"replicas": 2, "readiness_probe": {"http_get": {"port": "${port.http}"}, "period_seconds": 0.05}}},
            "ports": {"http": {"port": "auto"}}, "route": {"port": "http"},
            "update": {"observe_seconds": 0.1, "ramp_seconds": 0, "drain_seconds": 2}}),
    );
    stack.up();
    let run = stack.run_folder().expect("a run folder");
    let pointers = || -> Vec<String> {
        let read = |number| fs::read_to_string(run.join(format!("edge/web/{number}.addr"))).unwrap_or_default();
        let mut all: Vec<String> = (0..16).map(read).collect();
        all.sort();
        all.dedup();
        all
    };
    let addresses = || -> Vec<String> {
        let status = stack.status();
        let ports = status["instances"]
            .as_array()
            .expect("instances")
            .iter()
            .filter(|one| one["service"] == "web" && one["phase"] == "ready");
        let mut all: Vec<String> = ports.map(|one| format!("127.0.0.1:{}", one["ports"]["http"])).collect();
        all.sort();
        all
    };
    until("both are named", || pointers().len() == 2 && pointers() == addresses());
    let both = pointers();
    stack.write("sick-0", "");
    until("only the other is named", || pointers().len() == 1 && both.contains(&pointers()[0]));
    fs::remove_file(stack.root.join("sick-0")).expect("the file");
    until("both are named again", || pointers() == both);
    // A restart is a swap: others are named, and at no time nobody.
    stack.ok(&["restart", "web"]);
    until("two others are named", || pointers().len() == 2 && pointers().iter().all(|one| !both.contains(one)));
    stack.ok(&["scale", "web=1"]);
    until("one is named", || pointers().len() == 1);
    stack.ok(&["stop", "web"]);
    until("nobody is named", || pointers() == ["127.0.0.1:0"]);
}
