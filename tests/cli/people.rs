//! What `check`, `plan`, `why` and `status` say to a person, on a narrow terminal and on a wide one.

use serde_json::{Value, json};

use crate::canned::{self, instance};
use crate::common::{Stack, same};
use crate::{expect_fits, told};

/// A stack in which everything happens at once.
fn busy() -> Stack {
    let waiting = json!([{"service": "api", "condition": "process_healthy", "code": "dependency",
        "message": "waits for `api` to be healthy, which is probing"}]);
    let refused = "http://127.0.0.1:20003/api/health: connection refused, as it was the 37 times before this one";
    let instances = json!([
        instance(
            "api-0",
            7,
            "probing",
            75,
            json!({"pid": 4711, "detail": refused, "cpu_percent": 99.96,
            "memory_bytes": 61 << 20, "ports": {"http": 20003}, "restarts": 3})
        ),
        instance(
            "caddy-0",
            1,
            "ready",
            3 * 86_400 + 3700,
            json!({"pid": 311, "cpu_percent": 0.4,
            "memory_bytes": 41 << 20, "ports": {"http": 8080}})
        ),
        instance(
            "mail-0",
            7,
            "gave_up",
            3725,
            json!({"exit_code": 3, "restarts": 5,
            "detail": "ended with code 3"})
        ),
        instance(
            "migrate-0",
            7,
            "ended",
            3725,
            json!({"ready": true, "exit_code": 0, "reason": "exit",
            "detail": "ended with code 0"})
        ),
        instance(
            "report-writer-of-the-night-shift-0",
            7,
            "ready",
            3725,
            json!({"pid": 1_234_567,
            "cpu_percent": 12.5, "memory_bytes": 3_u64 << 30,
            "ports": {"http": 20004, "metrics": 20005, "admin": 20006}})
        ),
        instance(
            "web-0",
            6,
            "draining",
            125,
            json!({"pid": 4000, "cpu_percent": 1.0, "memory_bytes": 180 << 20,
            "ports": {"http": 20001}, "ready": true, "detail": "replaced by a newer instance"})
        ),
        instance("web-0", 7, "waiting", 125, json!({"waiting_on": waiting})),
    ]);
    let status = json!({
        "stack": "/srv/stack", "profile": "production", "generation": 7, "state": "degraded",
        "url": "http://localhost:8080/",
        "problems": [{"severity": "error", "code": "rollout-failed", "service": "mail",
            "message": "the new version did not take over, the old one serves on: it was not ready within 60 s"}],
        "instances": instances,
        "jobs": [{"folder": "nats-server-2.15.1", "what": "downloading", "done": 1 << 20, "total": 7 << 20}],
    });
    let web = instance(
        "web-0",
        7,
        "waiting",
        125,
        json!({"waiting_on": [{"service": "api",
        "condition": "process_healthy", "code": "dependency",
        "message": "waits for `api` to be healthy, which is probing"}]}),
    );
    let api =
        instance("api-0", 7, "probing", 75, json!({"pid": 4711, "detail": refused, "exit_code": 1, "restarts": 3}));
    let why = json!({"service": "web", "steps": [
        {"depth": 0, "instance": web, "last_probe": null, "last_lines": []},
        {"depth": 1, "instance": api, "last_probe": refused, "last_lines": [
            "listening on 20003", "cannot reach the database at db.example.com:5432, and will try again in a while; \
             this line is longer than any terminal that a person would look at it on, which must do no harm to it"]},
    ]});
    let planned = |change: &str, reasons: &[&str]| json!({"change": change, "reasons": reasons});
    let plan = json!({"plan": {"from": 7, "to": 8, "services": {
        "api": planned("swap", &["process.env.LEVEL: \"info\" -> \"debug\"", "process.args[0]: \"a\" -> \"b\""]),
        "caddy": planned("keep", &[]),
        "mail": planned("stop", &["its manifest is gone"]),
        "night": planned("start", &["it is new"]),
        "web": planned("restart", &["ports.http.port: auto -> 3000",
            "by restart: port `http` has a number, and two instances cannot both listen on it"]),
        "worker": planned("refresh", &["replicas: 1 -> 2"]),
    }}, "problems": []});
    canned::stack(vec![("/v1/status", status), ("/v1/why/web", why), ("/v1/plan", plan)])
}

#[test]
fn tables_fit_the_terminal() {
    let stack = busy();
    for width in [80, 160] {
        for words in [&["status"][..], &["plan"]] {
            let text = told(&stack, words, width);
            // A word that was typed, such as a name, is never cut; a very long one may stand out.
            same!(format!("{}-{width}", words.join("-")), text);
            if width == 160 {
                expect_fits(&text, width);
            }
        }
        let why = told(&stack, &["why", "web"], width);
        same!(format!("why-{width}"), why);
    }
}

#[test]
fn complaints_fit_the_terminal() {
    let stack = Stack::new();
    let web = json!({
        "process": {"command": "sleep", "compose": {"depends_on": {"ap": {"condition": "process_healthy"}}}},
        "ports": {"http": {"port": "auto"}}, "rute": {"port": "http"},
    });
    stack.write("services/web/service.json", &serde_json::to_string_pretty(&web).expect("JSON"));
    stack.service("api", &json!({"process": {"command": "sleep ${port.nowhere}", "shell": true}}));
    for width in [80, 160] {
        let text = told(&stack, &["check"], width);
        same!(format!("check-{width}"), text);
    }
}

/// What is wrong before anything is asked.
#[test]
fn mistakes_are_answered_with_what_was_meant() {
    let stack = Stack::new();
    stack.service("web", &json!({"process": {"command": "sleep"}}));
    let mut all = String::new();
    for words in [
        &["statsu"][..],
        &["wbe", "spec"],
        &["web"],
        &["web", "spek"],
        &["scale", "web"],
        &["status"],
        &["logs", "wep"],
        &["up", "nobody"],
        &["why"],
        &["graph", "--format", "svg"],
        &["status", "--watch", "--check"],
    ] {
        all += &format!("$ core {}\n{}\n", words.join(" "), told(&stack, words, 80));
    }
    same!("mistakes", all);
}

/// That nobody reads to the end is no fault.
#[test]
fn a_reader_that_leaves_is_no_panic() {
    let stack = busy();
    let line =
        format!("{core} status | head -n 1; {core} doctor | true; {core} --help | true", core = crate::common::CORE);
    let mut command = std::process::Command::new("bash");
    let output = command.args(["-c", &line]).current_dir(&stack.root).output().expect("bash");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    let _: Value = serde_json::from_str(&stack.ok(&["status", "--json"]).out).expect("JSON");
}
