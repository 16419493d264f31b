//! What was changed, by whom, and how it ended: `core history`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, proc, until};

pub(crate) const TESTS: &[Test] = tests![
    an_edit_shows_what_changed_and_by_whom,
    acts_are_shown_with_their_services,
    what_failed_names_its_culprit,
    broken_manifests_are_shown_as_failed,
    a_newer_generation_replaces_an_older_one,
    a_killed_supervisor_leaves_no_done,
    a_torn_line_is_passed_over,
    nothing_secret_stands_in_the_history,
];

const FILE: &str = ".core-stack/history.jsonl";

fn history(stack: &Stack, words: &[&str]) -> Vec<Value> {
    let said = stack.ok(&[&["history", "--json", "-n", "1000"], words].concat());
    let history: Value = serde_json::from_str(&said.out).expect("JSON");
    history["entries"].as_array().expect("entries").clone()
}

/// The last entry of this verb.
#[track_caller]
fn last(stack: &Stack, verb: &str) -> Value {
    let all = history(stack, &[]);
    let found = all.iter().rev().find(|entry| entry["verb"] == verb);
    found.cloned().unwrap_or_else(|| panic!("no `{verb}` in {all:#?}"))
}

/// The last entry of this verb, once it is over.
#[track_caller]
fn ended(stack: &Stack, verb: &str) -> Value {
    eventually("it is over", || Some(last(stack, verb)).filter(|entry| entry["outcome"]["state"] != "under_way"))
}

fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("users").expect("a user").name
}

fn an_edit_shows_what_changed_and_by_whom() {
    let stack = Stack::new();
    let manifest = |level: &str| json!({"process": {"command": "sleep", "args": ["1000"], "env": {"LEVEL": level}}});
    stack.service("web", &manifest("info"));
    stack.shell("old", "exec sleep 1000", json!({}));
    stack.up();
    let first = history(&stack, &[]).remove(0);
    assert_eq!((&first["by"]["kind"], &first["generation"]), (&json!("start"), &json!(1)), "{first}");
    assert_eq!(first["changes"]["web"]["change"], "start");
    stack.service("web", &manifest("debug"));
    stack.shell("new", "exec sleep 1000", json!({}));
    fs::remove_dir_all(stack.root.join("services/old")).expect("its folder");
    stack.ok(&["apply"]);
    let edit = last(&stack, "apply");
    assert_eq!(edit["outcome"]["state"], "done", "{edit}");
    assert_eq!((&edit["from"], &edit["generation"]), (&json!(1), &json!(2)), "{edit}");
    assert_eq!(edit["by"], json!({"kind": "user", "uid": nix::unistd::geteuid().as_raw(), "user": user()}), "{edit}");
    let web = &edit["changes"]["web"];
    assert_eq!((&web["change"], &web["reasons"][0]), (&json!("restart"), &json!("env: LEVEL changed")), "{edit}");
    assert_eq!(edit["changes"]["new"]["change"], "start");
    assert_eq!(edit["changes"]["old"]["change"], "stop");
    assert!(edit["time"].as_str().expect("a time").ends_with('Z'), "{edit}");
    // Of what is gone there still is a history; what was not changed is not in it.
    assert_eq!(history(&stack, &["old"]).len(), 3);
    assert_eq!(history(&stack, &["new"]).len(), 2);
    let said = stack.core(&["history", "wbe"]);
    assert!(said.code == 2 && said.err.contains("did you mean `web`"), "{said:?}");
    // Nothing to do is an act all the same, and no generation.
    stack.ok(&["apply"]);
    assert_eq!(last(&stack, "apply")["generation"], Value::Null);
    assert_eq!(fs::metadata(stack.root.join(FILE)).expect("the file").mode() & 0o777, 0o600);
    // A stack that is down still has it.
    stack.ok(&["down"]);
    let down = last(&stack, "down");
    assert_eq!((&down["outcome"]["state"], &down["by"]["kind"]), (&json!("done"), &json!("user")), "{down}");
    assert!(stack.ok(&["history"]).out.contains("env: LEVEL changed"));
    stack.up();
    let again = last(&stack, "apply");
    assert_eq!((&again["by"]["kind"], &again["generation"]), (&json!("start"), &json!(3)), "{again}");
}

fn acts_are_shown_with_their_services() {
    let stack = Stack::new();
    assert!(stack.ok(&["history"]).out.contains("nothing was done yet"));
    stack.shell("db", "exec sleep 1000", json!({}));
    stack.shell("web", "exec sleep 1000", json!({}));
    stack.up();
    stack.ok(&["scale", "web=3"]);
    stack.ok(&["stop", "db"]);
    stack.ok(&["start", "db"]);
    stack.ok(&["restart", "db", "web"]);
    let scale = last(&stack, "scale");
    assert_eq!((&scale["services"], &scale["replicas"]), (&json!(["web"]), &json!(3)), "{scale}");
    assert_eq!(scale["changes"]["web"]["reasons"][0], "replicas: 1 → 3");
    let generation = scale["generation"].as_u64().expect("a generation");
    let restart = last(&stack, "restart");
    assert_eq!(restart["generation"].as_u64(), Some(generation + 1), "{restart}");
    assert_eq!(restart["changes"].as_object().map(serde_json::Map::len), Some(2), "{restart}");
    for verb in ["up", "scale", "stop", "start", "restart"] {
        assert_eq!(last(&stack, verb)["outcome"]["state"], "done", "{verb}");
    }
    assert_eq!(last(&stack, "stop")["services"], json!(["db"]));
    // The oldest first; -n takes the last.
    let verbs: Vec<Value> = history(&stack, &[]).into_iter().map(|entry| entry["verb"].clone()).collect();
    assert_eq!(verbs, ["apply", "up", "scale", "stop", "start", "restart"]);
    let said = stack.ok(&["history", "-n", "2"]).out;
    assert!(!said.contains("scale") && said.contains("start db") && said.contains("restart db web"), "{said}");
    let refused = stack.core(&["scale", "web=0"]);
    assert_eq!(refused.code, 1);
    assert_eq!(last(&stack, "scale")["outcome"]["state"], "failed");
    proc::send(stack.supervisor(), "TERM");
    until("the stack has ended", || stack.processes().is_empty());
    let down = last(&stack, "down");
    assert_eq!((&down["by"]["kind"], &down["outcome"]["state"]), (&json!("signal"), &json!("done")), "{down}");
}

fn what_failed_names_its_culprit() {
    let stack = Stack::new();
    stack.shell("good", "exec sleep 1000", json!({}));
    stack.shell(
        "bad",
        "exit 7",
        json!({"availability": {"restart": "on_failure", "max_restarts": 1},
        "readiness_probe": {"exec": {"command": "exit 1"}}}),
    );
    assert_eq!(stack.core(&["up", "-d"]).code, 1);
    for verb in ["up", "apply"] {
        let failed = ended(&stack, verb);
        let outcome = &failed["outcome"];
        assert_eq!(outcome["state"], "failed", "{failed}");
        assert!(outcome["culprit"].as_str().is_some_and(|culprit| culprit.starts_with("bad-0@1.")), "{failed}");
        assert!(outcome["message"].as_str().is_some_and(|message| message.contains("exited with 7")), "{failed}");
    }
    // It is never ready: else it might be so for a moment, and all would be well.
    let compose = json!({"availability": {"restart": "no"}, "readiness_probe": {"exec": {"command": "exit 1"}}});
    stack.shell("good", "exit 8", compose);
    fs::remove_dir_all(stack.root.join("services/bad")).expect("its folder");
    assert_eq!(stack.core(&["apply"]).code, 1);
    let failed = last(&stack, "apply");
    assert_eq!(failed["outcome"]["culprit"], "good-0@2.1", "{failed}");
    assert!(stack.ok(&["history"]).out.contains("exited with 8"));
}

fn broken_manifests_are_shown_as_failed() {
    let stack = Stack::new();
    stack.shell("web", "exec sleep 1000", json!({}));
    stack.up();
    stack.write("services/web/service.json", "{\"process\": {\"command\": \"sleep\"}, \"rute\": \"hush\"}");
    assert_eq!(stack.core(&["apply"]).code, 2);
    let failed = last(&stack, "apply");
    assert_eq!((&failed["outcome"]["state"], &failed["by"]["kind"]), (&json!("failed"), &json!("user")), "{failed}");
    let message = failed["outcome"]["message"].as_str().expect("a message");
    assert!(message.contains("services/web/service.json:1"), "{message}");
    assert!(!message.contains("hush"), "{message}");
}

fn a_newer_generation_replaces_an_older_one() {
    let stack = Stack::new();
    let never = |code: u32| {
        json!({"process": {"command": "exec sleep 1000", "shell": true,
            "compose": {"readiness_probe": {"exec": {"command": format!("exit {code}")}}}}})
    };
    stack.service("web", &never(1));
    stack.shell("other", "exec sleep 1000", json!({}));
    assert_eq!(stack.core(&["up", "-d", "--timeout", "0.5"]).code, 1);
    stack.ok(&["scale", "other=2"]);
    // What changes another service replaces nothing.
    assert_eq!(history(&stack, &["web"])[0]["outcome"]["state"], "under_way");
    stack.service("web", &never(0));
    stack.ok(&["restart", "other"]);
    let mut apply = stack.command(&["restart", "web"]).spawn().expect("core runs");
    eventually("it is begun", || history(&stack, &[]).iter().find(|one| one["services"] == json!(["web"])).cloned());
    let first = history(&stack, &["web"]).remove(0);
    let outcome = json!({"state": "replaced", "by": 4});
    assert_eq!(first["outcome"], outcome, "{first}");
    stack.ok(&["apply"]);
    assert_eq!(last(&stack, "apply")["outcome"]["state"], "done");
    apply.wait().expect("it ends");
}

fn a_killed_supervisor_leaves_no_done() {
    let stack = Stack::new();
    // It ends when it is let.
    let line = "trap '' TERM; while ! test -e end; do sleep 0.02; done";
    stack.shell("web", line, json!({"shutdown": {"timeout_seconds": 600}}));
    stack.up();
    let mut stop = stack.command(&["stop", "web"]).spawn().expect("core runs");
    eventually("it is begun", || history(&stack, &[]).iter().find(|entry| entry["verb"] == "stop").cloned());
    assert_eq!(last(&stack, "stop")["outcome"]["state"], "under_way");
    let supervisor = stack.supervisor();
    proc::kill(supervisor);
    until("it is gone", || !proc::lives(supervisor));
    let stopped = eventually("another answers", || {
        let said = stack.core(&["history", "--json"]);
        let history: Value = serde_json::from_str(&said.out).ok()?;
        history["entries"].as_array()?.iter().find(|entry| entry["verb"] == "stop").cloned()
    });
    assert_eq!(stopped["outcome"]["state"], "cut_short", "{stopped}");
    stop.wait().expect("it ends");
    stack.write("end", "");
    stack.ok(&["down"]);
    assert_eq!(last(&stack, "stop")["outcome"]["state"], "cut_short");
    assert_eq!(last(&stack, "down")["outcome"]["state"], "done");
}

fn a_torn_line_is_passed_over() {
    let stack = Stack::new();
    stack.shell("web", "exec sleep 1000", json!({}));
    stack.up();
    // It is written beside the loop.
    let open = || fs::OpenOptions::new().append(true).open(stack.root.join(FILE)).ok();
    let mut file = eventually("the file", open);
    file.write_all(b"{\"line\":\"begun\",\"id\":\"x.1\",\"ti").expect("it is written");
    stack.ok(&["restart", "web"]);
    let verbs: Vec<Value> = history(&stack, &[]).into_iter().map(|entry| entry["verb"].clone()).collect();
    assert_eq!(verbs, ["apply", "up", "restart"]);
    assert_eq!(last(&stack, "restart")["outcome"]["state"], "done");
    stack.ok(&["down"]);
    // Without the file, and with one that cannot be written, everything goes on.
    fs::remove_file(stack.root.join(FILE)).expect("it is gone");
    fs::create_dir(stack.root.join(FILE)).expect("a folder in its place");
    stack.up();
    stack.ok(&["restart", "web"]);
    assert!(stack.own_log().contains("history.jsonl cannot be written"));
    stack.ok(&["down"]);
}

fn nothing_secret_stands_in_the_history() {
    let stack = Stack::new().env("FROM_OUTSIDE", "outside-value-1");
    stack.secret("TOKEN", "hush-hush-1");
    stack.write(".env", "FROM_FILE=file-value-1\nDB_PASSWORD=pass-word-1\n");
    let manifest = |number: u32| {
        json!({"process": {
            "command": format!("echo ${{secret.TOKEN}} ${{env.FROM_OUTSIDE}} {number}; exit 7"), "shell": true,
            "env": {"A": format!("${{secret.TOKEN}}{number}"), "B": format!("${{env.FROM_OUTSIDE}}{number}"),
                "LEVEL": format!("plain-value-{number}")},
            "working_dir": format!("work-${{env.FROM_FILE}}-{number}"),
            "compose": {"availability": {"restart": "no"}}}})
    };
    for number in [1, 2] {
        let folder = format!("work-file-value-1-{number}");
        stack.write(&format!("{folder}/there"), "");
    }
    stack.service("web", &manifest(1));
    // The answer of a probe goes into the reason why it failed.
    stack.service(
        "probed",
        &json!({"process": {"command": "sleep 1000", "shell": true, "compose": {
            "readiness_probe": {"exec": {"command": "echo ${secret.TOKEN} $DB_PASSWORD >&2; exit 1"}}}}}),
    );
    assert_eq!(stack.core(&["up", "-d", "--timeout", "1"]).code, 1);
    stack.ok(&["stop", "probed"]);
    stack.service("web", &manifest(2));
    stack.write(".env", "FROM_FILE=file-value-1\nDB_PASSWORD=pass-word-2\n");
    // It may be ready for a moment before it ends.
    stack.core(&["apply"]);
    assert_eq!(stack.core(&["up", "-d", "--timeout", "1", "probed"]).code, 1);
    let text = fs::read_to_string(stack.root.join(FILE)).expect("the file");
    assert!(text.contains("LEVEL changed") && text.contains("probed-0@"), "{text}");
    for hidden in ["hush", "outside-value", "file-value", "pass-word", "plain-value"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
}
