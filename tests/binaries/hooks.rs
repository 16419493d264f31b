//! What is run around a deploy: migrations and hooks, with a `node` that only plays one.

use std::fs;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{eventually, proc, until};
use crate::scene::Scene;
use crate::shelf::expect_words;

pub(crate) const TESTS: &[Test] = tests![
    each_is_run_at_its_step,
    a_migration_that_fails_changes_nothing,
    a_hook_that_fails_stops_the_deploy,
    what_is_not_migrated_never_serves,
    a_release_may_be_made_without_a_switch,
    a_newer_deploy_takes_the_place_of_older_ones,
];

/// Notes what it is run as, for which release, and where.
const NOTE: &str =
    r#"echo "$CORE_HOOK $(sed 's/.*"id":"\([^"]*\)".*/\1/' | tr -d '\n') $(cat page 2>/dev/null)" >> "$NOTES.hooks""#;

impl Scene {
    fn configure(&self, config: Value) {
        self.stack.edit("web", |manifest| {
            manifest["kind"] = "next".into();
            manifest["config"] = config;
            manifest["config"]["app"] = "app".into();
            manifest["process"]["env"] = json!({"WORD": "of the service"});
        });
    }

    /// What the hooks have noted.
    fn hooks(&self) -> Vec<String> {
        let text = fs::read_to_string(self.notes.with_extension("hooks")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn each_is_run_at_its_step() {
    let scene = Scene::new();
    let names = ["before_build", "after_build", "before_switch", "after_switch", "on_failure", "on_rollback"];
    let hooks: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!(NOTE))).collect();
    scene.configure(json!({"hooks": hooks, "release_command": format!("{NOTE}; echo \"$WORD\" >> \"$NOTES.hooks\"")}));
    scene.stack.up();
    let first = scene.live();
    let made = |id: &str, page: &str| {
        let note = |hook: &str| format!("{hook} {id} {page}");
        vec![
            note("before_build"),
            note("after_build"),
            note("release_command"),
            "of the service".to_owned(),
            note("before_switch"),
        ]
    };
    assert_eq!(scene.hooks(), made(&first, "one"), "the first one is no deploy");
    scene.stack.write("app/page", "two");
    scene.stack.ok(&["deploy"]);
    let second = scene.live();
    let expected = [made(&first, "one"), made(&second, "two"), vec![format!("after_switch {second} two")]].concat();
    until("the last hook has run", || scene.hooks() == expected);
    // The same release again is none.
    scene.stack.ok(&["deploy"]);
    scene.stack.ok(&["rollback"]);
    let expected = [expected, vec![format!("on_rollback {first} one")]].concat();
    until("that of the rollback, too", || scene.hooks() == expected);
    scene.stack.write("app/fails", "");
    assert_eq!(scene.stack.core(&["deploy"]).code, 1);
    until("that of the failure, too", || {
        let text = scene.hooks().join(" ");
        text.contains("on_failure {") && text.contains("building failed: the page has a fault")
    });
}

fn a_migration_that_fails_changes_nothing() {
    let scene = Scene::new();
    scene.configure(json!({"release_command": "[ ! -e no ] || { echo 'no such table: page' >&2; exit 4; }"}));
    let stack = &scene.stack;
    stack.up();
    let (pid, releases) = (stack.pid("web"), scene.releases());
    stack.edit("web", |manifest| {
        manifest["config"]["release_command"] = "echo 'no such table: page' >&2; exit 4".into();
    });
    stack.write("app/page", "two");
    let said = stack.core(&["deploy"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["release_command failed", "no such table: page"]);
    assert_eq!((stack.pid("web"), scene.releases(), scene.live()), (pid, releases.clone(), releases[0].clone()));
    // It is not wanted afterwards, either.
    stack.edit("web", |manifest| manifest["config"]["release_command"] = "true".into());
    stack.ok(&["apply"]);
    assert_eq!((stack.pid("web"), scene.releases()), (pid, releases));
    stack.ok(&["deploy"]);
    stack.until_says("web", "serving two");
}

fn a_hook_that_fails_stops_the_deploy() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    let (pid, releases) = (stack.pid("web"), scene.releases());
    for hook in ["before_build", "after_build", "before_switch"] {
        scene.configure(json!({"hooks": {hook: "echo 'it is a bad day'; exit 1"}}));
        stack.write("app/page", hook);
        let said = stack.core(&["deploy"]);
        assert_eq!(said.code, 1, "{said:?}");
        expect_words(&said.err, &[&format!("{hook} failed"), "it is a bad day"]);
        assert_eq!((stack.pid("web"), scene.releases()), (pid, releases.clone()));
    }
    // One that does not end is ended.
    scene.configure(json!({"hooks": {"before_switch": "sleep 1000", "timeout_seconds": 1}}));
    let said = stack.core(&["deploy"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["before_switch failed", "did not end within 1 s"]);
    assert_eq!((stack.pid("web"), scene.releases()), (pid, releases));
}

/// Neither the first one of a stack, nor one whose migration was cut off.
fn what_is_not_migrated_never_serves() {
    let scene = Scene::new();
    let stack = &scene.stack;
    scene.configure(json!({"release_command": "echo 'no database'; exit 4"}));
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["release_command failed", "no database"]);
    assert_eq!(scene.releases(), [""; 0]);
    // One that was only made is there, and has to be migrated all the same.
    scene.configure(json!({"release_command": "echo first >> \"$NOTES.hooks\""}));
    stack.ok(&["deploy", "--no-switch"]);
    assert_eq!((scene.releases().len(), scene.hooks()), (1, vec![]));
    stack.ok(&["apply"]);
    stack.until_says("web", "serving one");
    assert_eq!((scene.releases().len(), scene.hooks()), (1, vec!["first".to_owned()]));
    // The supervisor dies in the middle of the next one.
    let (pid, releases) = (stack.pid("web"), scene.releases());
    scene.configure(json!({"release_command": "echo $$$$ > \"$NOTES.pid\"; exec sleep 1000"}));
    stack.write("app/page", "two");
    let mut deploy = stack.command(&["deploy"]);
    let mut deploy = deploy.stderr(std::process::Stdio::null()).spawn().expect("core");
    let noted = || fs::read_to_string(stack.root.join("notes.pid")).ok()?.trim().parse::<u32>().ok();
    let migration = eventually("it migrates", noted);
    proc::kill(stack.supervisor());
    until("the migration is gone", || !proc::lives(migration));
    assert!(!deploy.wait().expect("it ends").success());
    until("another supervisor answers", || stack.core(&["status"]).code == 0);
    scene.configure(json!({"release_command": "echo migrated >> \"$NOTES.hooks\""}));
    stack.ok(&["apply"]);
    assert_eq!(stack.pid("web"), pid);
    stack.ok(&["deploy"]);
    stack.until_says("web", "serving two");
    assert_eq!(
        (scene.hooks(), scene.releases().len()),
        (vec!["first".to_owned(), "migrated".to_owned()], releases.len() + 1)
    );
}

fn a_release_may_be_made_without_a_switch() {
    let scene = Scene::new();
    scene.configure(json!({"release_command": "echo migrated >> \"$NOTES.hooks\""}));
    let stack = &scene.stack;
    stack.up();
    let (pid, first) = (stack.pid("web"), scene.live());
    stack.write("app/page", "two");
    let said = stack.ok(&["deploy", "--no-switch"]);
    assert_eq!((stack.pid("web"), scene.live(), scene.hooks().len()), (pid, first.clone(), 1));
    let second = scene.releases().into_iter().find(|one| *one != first).expect("another one");
    expect_words(&said.err, &["made", &second]);
    // Nobody gets to it without its migration.
    let said = stack.core(&["rollback", &second]);
    assert_eq!((said.code, stack.pid("web")), (2, pid), "{said:?}");
    expect_words(&said.err, &["was only made: its release_command was not run"]);
    expect_words(&stack.ok(&["releases"]).out, &["only made"]);
    // Deployed later it is not built again; what has to be run before it serves is run then.
    let built = scene.notes().len();
    stack.ok(&["deploy"]);
    assert_eq!((scene.live(), scene.hooks().len(), scene.notes().len()), (second, 2, built));
    // One that needs nothing may be named by a rollback at once.
    scene.configure(json!({}));
    stack.write("app/page", "three");
    stack.ok(&["deploy", "--no-switch"]);
    let listed = stack.ok(&["releases", "--json"]).out;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let all = listed["releases"].as_array().expect("releases");
    let made = all.iter().find(|one| one["served"].is_null()).expect("one that never served");
    stack.ok(&["rollback", made["id"].as_str().expect("an ID")]);
    stack.until_says("web", "serving three");
}

fn a_newer_deploy_takes_the_place_of_older_ones() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    let deploy = |words: &[&str]| {
        let mut command = stack.command(words);
        command.stderr(std::process::Stdio::piped()).spawn().expect("core")
    };
    stack.write("app/hangs", "");
    stack.write("app/page", "two");
    let first = deploy(&["deploy"]);
    let noted = || fs::read_to_string(stack.root.join("notes.pid")).ok()?.trim().parse::<u32>().ok();
    let build = eventually("it builds", noted);
    let second = deploy(&["deploy"]);
    until("the second one waits", || stack.own_log().matches("command: deploy").count() == 2);
    fs::remove_file(stack.root.join("app/hangs")).expect("the file");
    stack.write("app/page", "three");
    stack.ok(&["deploy", "--supersede"]);
    assert!(!proc::lives(build), "it is not built on");
    stack.until_says("web", "serving three");
    for one in [first, second] {
        let said = one.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && text.contains("takes its place"), "{text}");
    }
    assert_eq!(scene.releases().len(), 2);
}
