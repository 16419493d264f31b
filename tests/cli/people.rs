//! What `check`, `plan`, `why` and `status` say to a person, on a narrow terminal and on a wide one.

use serde_json::{Value, json};

use crate::canned::{self, instance};
use crate::common::{Stack, same};
use crate::{expect_fits, told};

/// The version of `core` that asks.
const VERSION: &str = env!("CARGO_PKG_VERSION");

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
            "message": "the new version was rolled back; the old one is still serving: it was not ready within 60 s"}],
        "instances": instances,
        "jobs": [{"folder": "nats-server-2.15.1", "what": "downloading", "done": 1 << 20, "total": 7 << 20}],
        "version": VERSION, "program": {"path": "/usr/lib/core/core", "deleted": false},
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
    canned::stack(vec![("/v1/status", status), ("/v1/why/web", why), ("/v1/plan", plan), ("/v1/history", history())])
        .env("TZ", "UTC0")
}

/// Generations and acts, one of each kind.
fn history() -> Value {
    let planned = |change: &str, reason: &str| json!({"change": change, "reasons": [reason]});
    let root = json!({"kind": "user", "uid": 0, "user": "root"});
    let nobody = |kind: &str| json!({"kind": kind});
    let entry = |number: u32, verb: &str, by: Value, outcome: Value, more: Value| {
        let mut all = json!({
            "id": format!("a.{number}"), "time": format!("2020-01-31T12:{number:02}:00.000Z"),
            "ended": format!("2020-01-31T12:{number:02}:02.300Z"), "verb": verb, "services": [], "by": by,
            "from": number, "changes": {}, "outcome": outcome,
        });
        for (key, value) in more.as_object().expect("an object") {
            all[key] = value.clone();
        }
        all
    };
    let done = || json!({"state": "done"});
    let new = || planned("start", "it is new");
    let failed = json!({"state": "failed", "culprit": "mail-0@3.5",
        "message": "mail-0@3 failed 5 times in a row: it exited with 3"});
    let broken = json!({"state": "failed", "culprit": null,
        "message": "the manifests are broken, nothing was changed: services/web/service.json:7 (unknown-key)"});
    let swap = json!({"generation": 6, "changes": {"web": planned("swap", "env: LEVEL changed"),
        "mail": planned("refresh", "restart policy changed"), "old": planned("stop", "its manifest is gone")}});
    json!({"entries": [
        entry(1, "apply", nobody("start"), done(),
            json!({"generation": 2, "changes": {"mail": new(), "old": new(), "web": new()}})),
        entry(2, "up", root.clone(), failed, json!({"ended": "2020-01-31T12:04:10.000Z"})),
        entry(3, "scale", root.clone(), json!({"state": "replaced", "by": 4}), json!({"generation": 3,
            "services": ["web"], "replicas": 3, "changes": {"web": planned("refresh", "replicas: 1 → 3")}})),
        entry(4, "restart", json!({"kind": "user", "uid": 1234}), json!({"state": "cut_short"}), json!({"ended": null,
            "generation": 4, "services": ["mail", "old", "web", "caddy"], "changes": {
            "web": planned("swap", "it was asked for"), "mail": planned("restart", "it was asked for")}})),
        entry(5, "apply", root.clone(), broken, json!({})),
        entry(6, "apply", root, done(), swap),
        entry(7, "down", nobody("signal"), json!({"state": "under_way"}), json!({"ended": null})),
    ]})
}

/// A supervisor that says nothing of itself is of an older version; one of another version, or whose file is gone, is
/// named.
#[test]
fn another_program_is_named() {
    let cases = [
        (json!({}), Some("an older core".to_owned())),
        (
            json!({"version": "0.0.1", "program": {"path": "/v1/core", "deleted": false}}),
            Some("core 0.0.1 of /v1/core".into()),
        ),
        (
            json!({"version": VERSION, "program": {"path": "/v1/core", "deleted": true}}),
            Some(format!("core {VERSION} of /v1/core, whose file is gone or replaced")),
        ),
        (json!({"version": VERSION, "program": {"path": "/v2/core", "deleted": false}}), None),
    ];
    for (more, named) in cases {
        let mut status = json!({"stack": "/srv/stack", "profile": "local", "generation": 7, "state": "running",
            "url": null, "problems": [], "instances": [], "jobs": []});
        for (key, value) in more.as_object().expect("an object") {
            status[key] = value.clone();
        }
        let stack = canned::stack(vec![("/v1/status", status)]);
        let text = told(&stack, &["status"], 200);
        let line = named.map(|named| format!("this stack is run by {named}; `core up` moves it to {VERSION}"));
        assert_eq!(text.lines().find(|line| line.contains("core up")), line.as_deref(), "{text}");
    }
}

#[test]
fn tables_fit_the_terminal() {
    let stack = busy();
    for width in [80, 160] {
        for words in [&["status"][..], &["plan"], &["history"]] {
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
