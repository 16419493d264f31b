//! Ports that are given, told to others, kept and passed on.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, free_port, proc, until};

pub(crate) const TESTS: &[Test] = tests![
    an_auto_port_beside_a_held_one_is_new_with_each_swap,
    a_swap_that_is_carried_out_as_a_restart_tells_its_port,
    replicas_count_by_what_their_number_came_to,
    a_port_that_somebody_else_has_by_now_is_not_kept,
    ports_of_others_are_filled_in_wherever_they_stand,
];

/// Listens on its auto port, and says on its notification socket that it is ready.
const NOTIFIES: &str = "import os,socket,time
s=socket.socket(); s.bind(('127.0.0.1',int(os.environ['PORT']))); s.listen()
n=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); n.sendto(b'READY=1',os.environ['NOTIFY_SOCKET'])
time.sleep(1000)";

/// A service with an auto port that sleeps.
fn sleeper(extra: &Value) -> Value {
    let mut manifest = json!({"process": {"command": "sleep", "args": ["1000"]}, "ports": {"auto": {"port": "auto"}}});
    for (key, value) in extra.as_object().expect("an object") {
        manifest[key] = value.clone();
    }
    manifest
}

fn an_auto_port_beside_a_held_one_is_new_with_each_swap() {
    let stack = Stack::new();
    stack.service(
        "one",
        &json!({"process": {"command": "python3", "args": ["-c", NOTIFIES], "env": {"PORT": "${port.auto}"},
                "compose": {"readiness_probe": {"notify": true}}},
            "ports": {"held": {"port": free_port(), "hold": true}, "auto": {"port": "auto"}},
            "update": {"observe_seconds": 0.1, "ramp_seconds": 0, "drain_seconds": 0}}),
    );
    stack.up();
    let (pid, port) = (stack.pid("one"), stack.instance("one")["ports"]["auto"].clone());
    stack.edit("one", |manifest| manifest["process"]["env"]["EDIT"] = json!("1"));
    stack.ok(&["apply"]);
    until("the old one has ended", || !proc::lives(pid));
    stack.until_ready();
    assert_ne!(stack.instance("one")["ports"]["auto"], port);
}

fn a_swap_that_is_carried_out_as_a_restart_tells_its_port() {
    let stack = Stack::new();
    let ports = json!({"held": {"port": free_port(), "hold": true}, "auto": {"port": "auto"}});
    // Nothing but the held port could tell old and new apart, so it is restarted, whatever it asks for.
    stack.service("one", &sleeper(&json!({"ports": ports, "update": {"strategy": "swap"}})));
    stack.shell("two", "echo port $PORT; exec sleep 1000", json!({}));
    stack.edit("two", |manifest| manifest["process"]["env"] = json!({"PORT": "${port.one.auto}"}));
    stack.up();
    let port = stack.instance("one")["ports"]["auto"].to_string();
    stack.until_says("two", &format!("port {port}"));
}

fn replicas_count_by_what_their_number_came_to() {
    let stack = Stack::new().env("N", "3");
    stack.service("one", &sleeper(&json!({})));
    stack.edit("one", |manifest| manifest["process"]["compose"] = json!({"replicas": "${env.N}"}));
    stack.service(
        "two",
        &json!({"process": {"command": "echo", "args": ["a", "$<port.one.auto>", "${port.one.auto}"]}}),
    );
    let said = stack.core(&["check"]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    let words: String = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("`one` has several replicas, each with a port of its own"), "{words}");
    assert!(words.contains("services/two/service.json:1:") && words.contains("1 error"), "{words}");
    let stack = stack.env("N", "1");
    stack.ok(&["check"]);
}

fn a_port_that_somebody_else_has_by_now_is_not_kept() {
    let stack = Stack::new();
    stack.service("one", &sleeper(&json!({})));
    stack.up();
    let port = |stack: &Stack| stack.instance("one")["ports"]["auto"].as_u64().expect("a port");
    let first = port(&stack);
    stack.ok(&["down"]);
    stack.up();
    assert_eq!(port(&stack), first, "it is free");
    stack.ok(&["down"]);
    let _other = TcpListener::bind(("127.0.0.1", u16::try_from(first).expect("a port"))).expect("it is free");
    stack.up();
    assert_ne!(port(&stack), first, "somebody else has it");
    // While the stack is up its own is kept, whatever is edited.
    let second = port(&stack);
    stack.edit("one", |manifest| manifest["process"]["env"] = json!({"EDIT": "1"}));
    stack.ok(&["apply"]);
    assert_eq!(port(&stack), second);
}

fn ports_of_others_are_filled_in_wherever_they_stand() {
    let stack = Stack::new();
    stack.service("one", &sleeper(&json!({})));
    let url = "http://127.0.0.1:${port.one.auto}/x?${port.one.auto}";
    stack.service(
        "two",
        &json!({"process": {"command": "echo ${port.one.auto} in command; exec sleep 1000", "shell": true,
            "env": {"URL": url}, "compose": {"shutdown": {"command": "echo ${port.one.auto} in shutdown"},
            "liveness_probe": {"exec": {"command": "test 0 -lt ${port.one.auto}"}}}}}),
    );
    stack.up();
    let port = stack.instance("one")["ports"]["auto"].to_string();
    stack.until_says("two", &format!("{port} in command"));
    let spec: Value = serde_json::from_str(&stack.ok(&["two", "spec"]).out).expect("JSON");
    // Who only looks gives ports of its own where nothing runs; it shows no hole.
    assert!(!spec.to_string().contains("${port"), "{spec}");
    let explained = stack.ok(&["two", "spec", "--explain"]).out;
    assert!(explained.contains("http://127.0.0.1:") && !explained.contains("${port"), "{explained}");
    stack.ok(&["apply"]);
    stack.ok(&["down"]);
}
