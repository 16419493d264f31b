//! Dependencies, both ways; conditions; probes.

use std::fs;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Stack, until};
use crate::fixture;

pub(crate) const TESTS: &[Test] = tests![
    a_dependent_starts_after_what_it_depends_on_is_ready,
    the_stack_ends_in_reverse,
    each_condition_holds_when_it_should,
    a_failed_one_shot_skips_its_dependent,
    every_probe_tells_ready_from_not_ready,
    why_follows_a_chain_to_its_root,
    readiness_lost_is_seen_and_does_not_restart,
    a_stranger_on_an_auto_port_is_no_good_answer,
];

/// Appends its name to a file when it begins, and when it is asked to end.
fn recorder(name: &str) -> String {
    format!("trap 'echo end {name} >> order; exit 0' TERM; echo begin {name} >> order; while true; do sleep 0.05; done")
}

fn order(stack: &Stack) -> Vec<String> {
    let text = fs::read_to_string(stack.root.join("order")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn a_dependent_starts_after_what_it_depends_on_is_ready() {
    let stack = Stack::new();
    stack.service(
        "db",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "http", "${port.http}", "--ready-after", "300"],
            "compose": {"readiness_probe": {"http_get": {"url": "http://127.0.0.1:${port.http}/"}}}},
            "ports": {"http": {"port": "auto"}}}),
    );
    // Writes down what the database answered at the moment of its own start.
    stack.service(
        "web",
        &json!({"process": {"command": "sh", "args": ["-c",
            "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:'$DB'\").status)' > answer 2>&1; exec sleep 1000"],
            "env": {"DB": "${port.db.http}"},
            "compose": {"depends_on": {"db": {"condition": "process_healthy"}}}}}),
    );
    stack.up();
    until("it has written", || fs::read_to_string(stack.root.join("answer")).is_ok_and(|text| !text.is_empty()));
    assert_eq!(fs::read_to_string(stack.root.join("answer")).expect("the file").trim(), "200");
}

fn the_stack_ends_in_reverse() {
    let stack = Stack::new();
    stack.shell("a", &recorder("a"), json!({}));
    stack.shell("b", &recorder("b"), json!({"depends_on": {"a": {}}}));
    stack.shell("c", &recorder("c"), json!({"depends_on": {"b": {}}}));
    stack.up();
    until("all have begun", || order(&stack).len() == 3);
    stack.ok(&["down"]);
    let seen = order(&stack);
    let ends: Vec<&str> = seen.iter().filter(|line| line.starts_with("end")).map(String::as_str).collect();
    assert_eq!(ends, ["end c", "end b", "end a"], "{seen:?}");
}

fn each_condition_holds_when_it_should() {
    let stack = Stack::new();
    stack.shell("setup", "sleep 0.2; echo done >> order; exit 4", json!({"success_exit_codes": [4]}));
    stack.shell("broken", "sleep 0.1; exit 9", json!({"availability": {"restart": "no"}}));
    stack.shell(
        "talker",
        "sleep 0.2; echo almost; echo the engine is warm; exec sleep 1000",
        json!({"ready_log_line": "is warm"}),
    );
    stack.shell(
        "after-success",
        "exec sleep 1000",
        json!({"depends_on": {"setup": {"condition": "process_completed_successfully"}}}),
    );
    stack.shell("after-end", "exec sleep 1000", json!({"depends_on": {"broken": {"condition": "process_completed"}}}));
    stack.shell("after-line", "exec sleep 1000", json!({"depends_on": {"talker": {"condition": "process_log_ready"}}}));
    stack.shell("after-start", "exec sleep 1000", json!({"depends_on": {"talker": {"condition": "process_started"}}}));
    stack.ok(&["up", "-d", "after-success", "after-line", "after-start"]);
    for service in ["after-success", "after-line", "after-start"] {
        assert_eq!(stack.instance(service)["phase"], "ready", "{service}");
    }
    let setup = stack.instance("setup");
    assert_eq!(
        (setup["phase"].as_str(), setup["ready"].as_bool(), setup["exit_code"].as_i64()),
        (Some("ended"), Some(true), Some(4))
    );
    stack.core(&["up", "-d"]);
    until("what waits for any end runs", || stack.instance("after-end")["phase"] == "ready");
    assert_eq!(stack.instance("broken")["exit_code"], 9);
}

fn a_failed_one_shot_skips_its_dependent() {
    let stack = Stack::new();
    stack.shell("migrate", "test -e ok", json!({"availability": {"restart": "no"}}));
    stack.shell(
        "web",
        "exec sleep 1000",
        json!({"depends_on": {"migrate": {"condition": "process_completed_successfully"}}}),
    );
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1);
    until("it is skipped", || stack.instance("web")["reason"] == "skipped");
    let waiting = stack.instance("web")["waiting_on"][0].clone();
    assert_eq!(
        (waiting["service"].as_str(), waiting["condition"].as_str()),
        (Some("migrate"), Some("process_completed_successfully"))
    );
    assert!(waiting["message"].as_str().is_some_and(|text| text.contains("exited with 1")), "{waiting}");
    stack.write("ok", "");
    stack.ok(&["start", "migrate"]);
    until("its dependent runs", || stack.instance("web")["phase"] == "ready");
}

fn every_probe_tells_ready_from_not_ready() {
    let stack = Stack::new();
    let http = |probe: serde_json::Value| {
        json!({"process": {"command": fixture::command(),
            "args": ["fixture", "http", "${port.http}", "--ready-after", "200"],
            "compose": {"readiness_probe": probe}}, "ports": {"http": {"port": "auto"}}})
    };
    stack.service("url", &http(json!({"http_get": {"url": "http://127.0.0.1:${port.http}/x"}})));
    stack.service("parts", &http(json!({"http_get": {"host": "127.0.0.1", "port": "${port.http}", "path": "/x"}})));
    stack.service("code", &http(json!({"http_get": {"port": "${port.http}", "status_code": 503}})));
    stack.service("body", &http(json!({"http_get": {"port": "${port.http}", "body_contains": "pid "}})));
    stack.service("tcp", &http(json!({"tcp": {"port": "${port.http}"}})));
    stack.shell(
        "exec",
        "sleep 0.2; touch there; exec sleep 1000",
        json!({"readiness_probe": {"exec": {"command": "test -e there"}}}),
    );
    stack.shell(
        "unix",
        "exec python3 -c 'import http.server,socketserver,os
class S(socketserver.UnixStreamServer):
    def get_request(self):
        a,_=super().get_request()
        return a,(\"\",0)
S(os.environ[\"SOCKET\"],http.server.SimpleHTTPRequestHandler).serve_forever()'",
        json!({"readiness_probe": {"http_get": {"url": "http+unix://${run}/web.sock:/"}}}),
    );
    let mut manifest: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(stack.root.join("services/unix/service.json")).expect("it"))
            .expect("JSON");
    manifest["process"]["env"] = json!({"SOCKET": "${run}/web.sock"});
    stack.service("unix", &manifest);
    stack.service("wrong-body", &http(json!({"http_get": {"port": "${port.http}", "body_contains": "not this"}})));
    stack.service("wrong-status", &http(json!({"http_get": {"port": "${port.http}", "status_code": 204}})));
    stack.ok(&["up", "-d", "url", "parts", "code", "body", "tcp", "exec", "unix"]);
    stack.core(&["up", "-d", "--timeout", "1", "wrong-body", "wrong-status"]);
    for (service, why) in [("wrong-body", "does not hold `not this`"), ("wrong-status", "expected 204")] {
        let instance = stack.instance(service);
        assert_eq!(instance["phase"], "probing", "{service}");
        assert!(instance["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{instance}");
    }
}

/// A chain of waiting is followed to its root, with all that is known of that.
fn why_follows_a_chain_to_its_root() {
    let stack = Stack::new();
    let after = |other: &str| {
        json!({"depends_on": {other: {"condition": "process_healthy"}},
        "readiness_probe": {"exec": {"command": "true"}}})
    };
    stack.shell("web", "exec sleep 1000", after("api"));
    stack.shell("api", "exec sleep 1000", after("database"));
    stack.shell(
        "database",
        "echo the disk is not there; exec sleep 1000",
        json!({"readiness_probe": {"exec": {"command": "exit 3"}}}),
    );
    stack.core(&["up", "-d", "--timeout", "1"]);
    let said = stack.ok(&["why", "web"]).out;
    for words in [
        "web-0@1 is waiting",
        "waits for api (process_healthy)",
        "    api-0@1 is waiting",
        "        database-0@1 is probing",
        "its probe last said: ",
        "| the disk is not there",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let answer: serde_json::Value = serde_json::from_str(&stack.ok(&["why", "web", "--json"]).out).expect("JSON");
    let depths: Vec<u64> =
        answer["steps"].as_array().expect("steps").iter().filter_map(|step| step["depth"].as_u64()).collect();
    assert_eq!(depths, [0, 1, 2]);
    let said = stack.core(&["why", "wbe"]);
    assert!(said.code == 1 && said.err.contains("did you mean `web`?"), "{said:?}");
}

fn readiness_lost_is_seen_and_does_not_restart() {
    let stack = Stack::new();
    stack.service(
        "web",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "http", "${port.http}", "--unless", "${root}/sick"],
            "compose": {"readiness_probe": {"http_get": {"port": "${port.http}"}, "period_seconds": 0.05}}},
            "ports": {"http": {"port": "auto"}}}),
    );
    stack.up();
    let pid = stack.pid("web");
    stack.write("sick", "");
    until("it is not ready", || stack.instance("web")["phase"] == "probing");
    assert_eq!(stack.status()["state"], "degraded");
    fs::remove_file(stack.root.join("sick")).expect("the file");
    until("it is ready again", || stack.instance("web")["phase"] == "ready");
    assert_eq!(stack.pid("web"), pid);
    assert_eq!(stack.instance("web")["restarts"], 0);
}

fn a_stranger_on_an_auto_port_is_no_good_answer() {
    let stack = Stack::new();
    // The service itself never listens; a process outside of its tree does.
    stack.service(
        "web",
        &json!({"process": {"command": "sleep", "args": ["1000"], "env": {"PORT": "${port.http}"},
            "compose": {"readiness_probe": {"http_get": {"port": "${port.http}"}}}},
            "ports": {"http": {"port": "auto"}}}),
    );
    let waiting = stack.core(&["up", "-d", "--timeout", "0.5"]);
    assert_eq!(waiting.code, 1);
    let port = stack.instance("web")["ports"]["http"].as_u64().expect("a port").to_string();
    let mut stranger =
        std::process::Command::new(fixture::command()).args(["fixture", "http", &port]).spawn().expect("it runs");
    let pid = stranger.id();
    until("the stranger is named", || {
        stack.instance("web")["detail"].as_str().is_some_and(|detail| detail.contains(&format!("process {pid}")))
    });
    assert_eq!(stack.instance("web")["phase"], "probing");
    let _ = stranger.kill();
    let _ = stranger.wait();
}
