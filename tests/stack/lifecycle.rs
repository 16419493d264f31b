//! Up and down, start and stop, restarts, what the commands say and how they exit.

use std::time::Instant;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{PATIENCE, Stack, proc, until};
use crate::fixture;

pub(crate) const TESTS: &[Test] = tests![
    up_and_down_leave_nothing,
    down_may_be_repeated_and_needs_no_stack,
    a_second_up_is_a_client_of_the_first,
    up_of_one_service_brings_what_it_depends_on,
    stop_start_and_restart,
    a_crash_is_restarted_and_counted,
    up_says_why_a_service_fails,
    one_copied_file_is_an_installation,
    what_was_edited_while_down_is_what_starts,
    up_gives_a_slow_service_no_more_than_its_timeout,
    a_missing_program_is_named,
    a_taken_port_is_named_with_its_owner,
    a_liveness_probe_restarts,
    signals_end_the_stack_in_the_foreground,
    signals_to_the_keeper_end_the_stack,
    without_a_supervisor_commands_say_so,
    an_edit_is_planned_and_applied,
    a_root_of_200_characters_works,
    secrets_are_not_shown,
];

fn up_and_down_leave_nothing() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.shell("two", "sleep 1000 & sleep 1000", json!({}));
    let said = stack.up();
    assert!(said.err.contains("ready"), "{}", said.err);
    let status = stack.status();
    assert_eq!(status["state"], "running");
    assert_eq!(status["instances"].as_array().map(Vec::len), Some(2));
    let run = stack.run_folder();
    assert!(run.as_ref().is_some_and(|run| run.exists()));
    // The shell is there before what it starts.
    until("all of it runs", || stack.processes().len() >= 7);
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

fn down_may_be_repeated_and_needs_no_stack() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.ok(&["down"]);
    stack.up();
    stack.ok(&["down"]);
    stack.ok(&["down"]);
    stack.expect_nothing_left(None);
}

fn a_second_up_is_a_client_of_the_first() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let (pid, supervisor) = (stack.pid("one"), stack.supervisor());
    stack.up();
    assert_eq!((stack.pid("one"), stack.supervisor()), (pid, supervisor));
    assert_eq!(stack.processes().len(), 4, "{:#?}", stack.processes());
}

fn up_of_one_service_brings_what_it_depends_on() {
    let stack = Stack::new();
    stack.shell("db", "exec sleep 1000", json!({}));
    stack.shell("web", "exec sleep 1000", json!({"depends_on": {"db": {}}}));
    stack.shell("other", "exec sleep 1000", json!({}));
    stack.ok(&["up", "-d", "web"]);
    assert_eq!(stack.instance("db")["phase"], "ready");
    assert_eq!(stack.instance("web")["phase"], "ready");
    assert_eq!(stack.instance("other")["phase"], "ended");
    assert_eq!(stack.instance("other")["reason"], "disabled");
    assert_eq!(stack.status()["state"], "running");
    stack.up();
    assert_eq!(stack.instance("other")["phase"], "ready");
    let unknown = stack.core(&["up", "-d", "wbe"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.err.contains("`wbe`") && unknown.err.contains("`web`"), "{}", unknown.err);
}

fn stop_start_and_restart() {
    let stack = Stack::new();
    stack.shell("db", "exec sleep 1000", json!({}));
    stack.shell("web", "exec sleep 1000", json!({"depends_on": {"db": {}}}));
    stack.up();
    let (db, web) = (stack.pid("db"), stack.pid("web"));
    stack.ok(&["stop", "db"]);
    assert!(!proc::lives(db));
    // What depends on it runs on.
    assert_eq!(stack.pid("web"), web);
    let instance = stack.instance("db");
    assert_eq!((instance["phase"].as_str(), instance["reason"].as_str()), (Some("ended"), Some("stopped")));
    // It was asked for, so all is as it should be.
    assert_eq!(stack.status()["state"], "running");
    assert_eq!(stack.core(&["status", "--check"]).code, 0);
    stack.ok(&["start", "db"]);
    assert!(stack.pid("db") != db);
    assert_eq!(stack.core(&["status", "--check"]).code, 0);
    let generation = stack.status()["generation"].as_u64();
    stack.ok(&["restart", "web"]);
    assert!(stack.pid("web") != web);
    assert_eq!(stack.status()["generation"].as_u64(), generation.map(|number| number + 1));
    let unknown = stack.core(&["stop", "webb"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("did you mean `web`?"), "{}", unknown.err);
}

fn a_crash_is_restarted_and_counted() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({"availability": {"restart": "always"}}));
    stack.up();
    let first = stack.pid("one");
    proc::send(first, "SEGV");
    let second = stack.next_pid("one", first);
    let instance = stack.instance("one");
    assert_eq!((instance["restarts"].as_u64(), instance["exit_code"].as_i64()), (Some(1), Some(139)), "{instance}");
    assert!(proc::lives(second));
}

/// Without the small program beside it, `core` is keeper and shim itself.
fn one_copied_file_is_an_installation() {
    let stack = Stack::new();
    stack.shell("web", "exec sleep 1000", json!({}));
    let core = stack.root.join("core");
    std::fs::copy(crate::common::CORE, &core).expect("a copy");
    let run = |word: &str| {
        let mut command = std::process::Command::new(&core);
        command.args([word, "-d"]).current_dir(&stack.root);
        proc::output_of_new(&mut command)
    };
    let said = run("up");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(proc::lives(stack.pid("web")));
    assert_eq!(std::fs::read_link(format!("/proc/{}/exe", stack.keeper())).expect("its program"), core);
    let folder = stack.run_folder();
    stack.ok(&["down"]);
    stack.expect_nothing_left(folder.as_deref());
}

/// What was written down before `down` is not started once more before the manifests have been read.
fn what_was_edited_while_down_is_what_starts() {
    let stack = Stack::new();
    let read = |name: &str| std::fs::read_to_string(stack.root.join(name)).unwrap_or_default();
    for version in ["one", "two", "three"] {
        stack.shell("web", &format!("echo {version} >> said; exec sleep 1000"), json!({}));
        stack.shell("once", &format!("echo {version} >> done"), json!({}));
        if version == "three" {
            std::fs::remove_dir_all(stack.root.join("services/once")).expect("a folder");
        }
        stack.up();
        // Ready is what was executed: it takes a moment to write.
        let last = |name: &str| read(name).lines().last() == Some(version);
        until("it has written", || last("said") && (version == "three" || last("done")));
        stack.ok(&["down"]);
    }
    assert_eq!((read("said").as_str(), read("done").as_str()), ("one\ntwo\nthree\n", "one\ntwo\n"));
}

fn up_says_why_a_service_fails() {
    let stack = Stack::new();
    stack.shell("good", "exec sleep 1000", json!({}));
    // Never ready, so that it cannot have been for a moment.
    let bad = json!({"availability": {"backoff_seconds": 0}, "readiness_probe": {"exec": {"command": "false"}}});
    stack.shell("bad", "echo the reason is this; exit 7", bad);
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1);
    for words in ["bad-0@1", "exited with 7", "the reason is this", "keeps running"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    // What runs is left running.
    assert!(proc::lives(stack.pid("good")));
}

fn up_gives_a_slow_service_no_more_than_its_timeout() {
    let stack = Stack::new();
    stack.shell("slow", "exec sleep 1000", json!({"readiness_probe": {"exec": {"command": "exit 3"}}}));
    let began = Instant::now();
    let said = stack.core(&["up", "-d", "--timeout", "1"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("not ready after 1 s") && said.err.contains("exited with 3"), "{}", said.err);
    assert!(began.elapsed() < PATIENCE);
}

fn a_missing_program_is_named() {
    let stack = Stack::new();
    stack.service(
        "gone",
        &json!({"process": {"command": "no-such-program", "compose": {"availability": {"restart": "no"}}}}),
    );
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("no-such-program: no such file or directory"), "{}", said.err);
    stack.service(
        "gone",
        &json!({"process": {"command": "sleep", "args": ["9"], "working_dir": "nowhere",
        "compose": {"availability": {"restart": "no"}}}}),
    );
    stack.ok(&["down"]);
    let said = stack.core(&["up", "-d"]);
    assert!(said.err.contains("working directory") && said.err.contains("/nowhere"), "{}", said.err);
}

fn a_taken_port_is_named_with_its_owner() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = listener.local_addr().expect("its address").port();
    let stack = Stack::new();
    stack.service(
        "web",
        &json!({"process": {"command": "sleep", "args": ["1000"],
        "compose": {"availability": {"restart": "no"}}}, "ports": {"http": {"port": port}}}),
    );
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1);
    let owner = format!("process {}", std::process::id());
    assert!(said.err.contains(&format!("port {port} is taken by {owner}")), "{}", said.err);
}

fn a_liveness_probe_restarts() {
    let stack = Stack::new();
    stack.service(
        "web",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "http", "${port.http}", "--unless", "${root}/sick"],
            "compose": {
                "readiness_probe": {"tcp": {"port": "${port.http}"}},
                "liveness_probe": {"http_get": {"port": "${port.http}"}, "period_seconds": 0.05, "failure_threshold": 2}}},
            "ports": {"http": {"port": "auto"}}}),
    );
    stack.up();
    let first = stack.pid("web");
    stack.write("sick", "");
    until("it was restarted", || stack.instance("web")["restarts"].as_u64() > Some(0));
    std::fs::remove_file(stack.root.join("sick")).expect("the file");
    until("it is ready again", || stack.instance("web")["phase"] == "ready");
    assert!(!proc::lives(first));
}

fn signals_end_the_stack_in_the_foreground() {
    for signal in ["INT", "TERM", "HUP"] {
        let stack = Stack::new();
        stack.shell("one", "exec sleep 1000", json!({}));
        let mut up = stack.up_in_front();
        let run = stack.run_folder();
        proc::send(up.id(), signal);
        let status = up.wait().expect("it ends");
        assert!(status.success(), "{signal}: {status}");
        stack.expect_nothing_left(run.as_deref());
    }
}

fn signals_to_the_keeper_end_the_stack() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    let run = stack.run_folder();
    proc::send(stack.keeper(), "TERM");
    until("nothing is left", || stack.processes().is_empty());
    until("the run folder is gone", || !run.as_ref().is_some_and(|run| run.join("core.sock").exists()));
}

fn without_a_supervisor_commands_say_so() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    for words in [&["status"][..], &["stop", "one"], &["restart", "one"], &["apply"], &["logs", "-f"]] {
        let said = stack.core(words);
        assert_eq!(said.code, 3, "{words:?}: {said:?}");
        assert!(said.err.contains("the stack is not running"), "{words:?}: {}", said.err);
    }
    let plan = stack.ok(&["plan"]);
    assert!(plan.out.contains("start"), "{}", plan.out);
    let outside = stack.command(&["status"]).current_dir("/").output().expect("core runs");
    assert_eq!(outside.status.code(), Some(2));
    let typo = stack.core(&["statsu"]);
    assert_eq!(typo.code, 2);
    assert!(typo.err.contains("did you mean `core status`?"), "{}", typo.err);
}

fn an_edit_is_planned_and_applied() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.shell("two", "exec sleep 1000", json!({}));
    stack.up();
    let (one, two) = (stack.pid("one"), stack.pid("two"));
    let nothing = stack.ok(&["plan"]);
    assert!(nothing.out.contains("nothing to do"), "{}", nothing.out);
    stack.shell("two", "exec sleep 2000", json!({}));
    stack.shell("three", "exec sleep 1000", json!({}));
    let plan = stack.ok(&["plan", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).expect("a plan");
    assert_eq!(plan["services"]["one"]["change"], "keep");
    assert_eq!(plan["services"]["two"]["change"], "restart");
    assert_eq!(plan["services"]["three"]["change"], "start");
    assert_eq!(stack.pid("two"), two, "a plan changes nothing");
    stack.ok(&["apply"]);
    assert_eq!(stack.pid("one"), one);
    assert!(stack.pid("two") != two);
    assert!(proc::lives(stack.pid("three")));
    // A broken manifest changes nothing, and is named.
    stack.write("services/two/service.json", "{");
    let broken = stack.core(&["apply"]);
    assert_eq!(broken.code, 2, "{broken:?}");
    assert!(broken.err.contains("services/two/service.json:1:"), "{}", broken.err);
    assert_eq!(stack.pid("one"), one);
    let status = stack.status();
    assert_eq!(status["problems"][0]["file"], "services/two/service.json");
    assert_eq!(status["problems"][0]["line"], 1);
}

fn a_root_of_200_characters_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut root = std::fs::canonicalize(folder.path()).expect("the folder");
    while root.as_os_str().len() < 200 {
        root = root.join("a-folder-with-a-long-name");
    }
    let stack = Stack::at(root, Some(folder));
    stack.service(
        "web",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "http", "${port.http}"],
            "compose": {"readiness_probe": {"http_get": {"port": "${port.http}"}}}},
            "ports": {"http": {"port": "auto"}}}),
    );
    stack.up();
    stack.ok(&["logs"]);
    assert_eq!(stack.status()["state"], "running");
    let run = stack.run_folder();
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());
}

fn secrets_are_not_shown() {
    let stack = Stack::new().env("FROM_OUTSIDE_KEY", "outside-value");
    stack.secret("db", "open-sesame\n");
    stack.write(".env", "DB_URL=postgres://me:url-password@db/x\n");
    let said = "$SECRET $API_TOKEN $FROM_OUTSIDE_KEY $DB_URL";
    let manifest = json!({"process": {"command": format!("echo out {said}; echo $ABOUT; exec sleep 1000"), "shell": true,
        "env": {"SECRET": "${secret.db}", "API_TOKEN": "very-private", "URL": "db://u:${secret.db}@h",
            "ABOUT": "${env.FROM_OUTSIDE_KEY} ${env.DB_URL}"},
        "compose": {"description": "with ${env.FROM_OUTSIDE_KEY}",
            "readiness_probe": {"exec": {"command": format!("echo probe {said} >&2; test -e ready")},
                "period_seconds": 0.1}}}});
    stack.service("one", &manifest);
    let up = stack.core(&["up", "-d", "--timeout", "1"]);
    assert_eq!(up.code, 1, "{}", up.err);
    assert!(up.err.contains("probe ********"), "the probe's words are there: {}", up.err);
    let mut shown = vec![("up", up.err)];
    let why = stack.core(&["why", "one"]);
    assert!(why.out.contains("out ********"), "the last lines are there: {}", why.out);
    shown.push(("why", why.out + &stack.core(&["why", "one", "--json"]).out));
    stack.write("ready", "");
    stack.until_ready();
    let spec = stack.ok(&["one", "spec"]).out;
    assert!(spec.contains("db://u:${secret.db}@h") && spec.contains("${env.FROM_OUTSIDE_KEY} ${env.DB_URL}"), "{spec}");
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["one", "spec"],
        &["one", "spec", "--explain"],
        &["one", "command"],
        &["plan", "--json"],
        &["history", "--json"],
    ] {
        shown.push((words[words.len() - 1], stack.ok(words).out));
    }
    shown.push(("log", stack.own_log()));
    for file in ["state.json", "history.jsonl", "process-compose.yaml"] {
        let text = std::fs::read_to_string(stack.root.join(".core-stack").join(file)).expect(file);
        // What is written in a manifest stands there for everybody who may read it.
        shown.push((file, text.replace("very-private", "")));
    }
    let lines = std::process::Command::new("ps").args(["-eo", "args"]).output().expect("ps").stdout;
    shown.push(("ps", String::from_utf8_lossy(&lines).into_owned()));
    let check = stack.ok(&["check"]);
    assert!(!check.err.contains("command line"), "{}", check.err);
    let mut told = manifest.clone();
    told["process"]["command"] = json!("echo ${secret.db}");
    stack.service("one", &told);
    let check = stack.ok(&["check"]);
    assert!(check.err.contains("a secret is on the command line of `one`"), "{}", check.err);
    // A complaint shows the line that it is about; here that is the whole manifest.
    let mut broken = manifest.clone();
    broken["process"]["nice"] = json!("very");
    stack.service("one", &broken);
    stack.write(".env", "DB_URL=postgres://me:url-password@db/x\nMY_KEY='dotenv-value\n");
    let check = stack.core(&["check"]);
    assert!(check.err.contains("2 errors"), "{}", check.err);
    shown.push(("check", check.err));
    for (what, text) in shown {
        for secret in ["open-sesame", "very-private", "outside-value", "url-password", "dotenv-value"] {
            assert!(!text.contains(secret), "{secret} in {what}: {text}");
        }
    }
}
