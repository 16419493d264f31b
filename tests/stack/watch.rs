//! Edits, followed as they are saved.

use std::fs;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, until};

pub(crate) const TESTS: &[Test] = tests![
    an_edit_is_carried_out_when_it_is_saved,
    what_means_the_same_changes_nothing,
    services_come_and_go_with_their_folders,
    a_broken_edit_changes_nothing_until_it_is_mended,
    edits_wait_where_nobody_watches,
];

/// A stack that follows its manifests.
fn watched() -> Stack {
    let stack = Stack::new();
    let local = fs::read_to_string(stack.root.join("manifests/local.json")).expect("the profile");
    let mut local: Value = serde_json::from_str(&local).expect("JSON");
    local["watch"] = json!(true);
    stack.write("manifests/local.json", &local.to_string());
    for name in ["one", "two"] {
        sleeper(&stack, name, 1000);
    }
    stack
}

fn sleeper(stack: &Stack, name: &str, seconds: u32) {
    stack.service(name, &json!({"process": {"command": "sleep", "args": [seconds.to_string()]}}));
}

fn generation(stack: &Stack) -> u64 {
    stack.status()["generation"].as_u64().expect("a generation")
}

fn has_argument(stack: &Stack, name: &str, word: &str) -> bool {
    let pid = stack.instance(name)["pid"].as_u64().unwrap_or(0);
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).nth(1) == Some(word.as_bytes())
}

fn an_edit_is_carried_out_when_it_is_saved() {
    let stack = watched();
    stack.up();
    let (first, two) = (generation(&stack), stack.pid("two"));
    sleeper(&stack, "one", 2000);
    until("the edit is carried out", || has_argument(&stack, "one", "2000"));
    assert_eq!(stack.pid("two"), two);
    assert_eq!(generation(&stack), first + 1);
    // As editors do it: written under a name of its own, and put in the place of the other.
    let manifest = stack.root.join("services/one/service.json");
    let text = fs::read_to_string(&manifest).expect("the manifest").replace("2000", "3000");
    stack.write("services/one/.service.json.swp", &text);
    fs::rename(stack.root.join("services/one/.service.json.swp"), manifest).expect("renamed");
    until("the next one, too", || has_argument(&stack, "one", "3000"));
    // What counts for all services.
    stack.write(".env", "GREETING=hello\n");
    until("what is in .env", || {
        let pid = stack.instance("two")["pid"].as_u64().unwrap_or(0);
        let env = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        env.split(|byte| *byte == 0).any(|one| one == b"GREETING=hello")
    });
    // Who did that, for whoever wonders later.
    let history = stack.ok(&["history", "--json"]).out;
    let entries: Value = serde_json::from_str(&history).expect("JSON");
    let entries = entries["entries"].as_array().expect("entries");
    let edits: Vec<&Value> = entries.iter().filter(|entry| entry["by"]["kind"] == "edit").collect();
    assert_eq!(edits.len(), 3, "{history}");
    assert!(edits[0]["changes"]["one"].is_object() && edits[0]["changes"]["two"].is_null(), "{history}");
    let run = stack.run_folder();
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

fn what_means_the_same_changes_nothing() {
    let stack = watched();
    stack.up();
    let (first, two) = (generation(&stack), stack.pid("two"));
    stack.write("services/two/service.json", "{ \"process\" :\n\t{\"args\": [\"1000\"], \"command\": \"sleep\"} }\n");
    stack.write("services/two/README.md", "what it is for");
    // Whatever came of that has come when this has.
    sleeper(&stack, "one", 2000);
    until("another edit is carried out", || has_argument(&stack, "one", "2000"));
    assert_eq!((stack.pid("two"), generation(&stack)), (two, first + 1));
}

fn services_come_and_go_with_their_folders() {
    let stack = watched();
    stack.up();
    let one = stack.pid("one");
    sleeper(&stack, "three", 3000);
    until("the new one runs", || has_argument(&stack, "three", "3000"));
    fs::remove_dir_all(stack.root.join("services/two")).expect("removed");
    until("the removed one has gone", || {
        let status = stack.status();
        status["instances"].as_array().is_some_and(|all| all.iter().all(|one| one["service"] != "two"))
    });
    assert_eq!(stack.pid("one"), one);
}

fn a_broken_edit_changes_nothing_until_it_is_mended() {
    let stack = watched();
    stack.up();
    let (one, two) = (stack.pid("one"), stack.pid("two"));
    let problems = || stack.status()["problems"].as_array().expect("problems").clone();
    stack.write("services/one/service.json", "{\"process\": {\"command\": \"sle");
    until("the fault is told", || !problems().is_empty());
    assert!(problems()[0].to_string().contains("services/one/service.json"), "{:?}", problems());
    assert_eq!((stack.pid("one"), stack.pid("two")), (one, two));
    sleeper(&stack, "one", 2000);
    until("it is carried out when it is whole", || has_argument(&stack, "one", "2000"));
    assert_eq!(problems(), Vec::<Value>::new());
    assert_eq!(stack.pid("two"), two);
}

fn edits_wait_where_nobody_watches() {
    for by_profile in [true, false] {
        let stack = if by_profile { Stack::new() } else { watched() };
        sleeper(&stack, "one", 1000);
        stack.ok(if by_profile { &["up", "-d"] } else { &["up", "-d", "--no-watch"] });
        let one = stack.pid("one");
        sleeper(&stack, "one", 2000);
        // Each of these reads all manifests, and each takes about as long as an edit to be noticed.
        for _ in 0..20 {
            assert!(stack.ok(&["plan"]).out.contains("one"));
        }
        assert_eq!(stack.pid("one"), one);
        stack.ok(&["apply"]);
        assert!(has_argument(&stack, "one", "2000"));
    }
}
