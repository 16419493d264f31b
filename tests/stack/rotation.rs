//! Variables and secrets that change are edits like any other.

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Stack, proc};

pub(crate) const TESTS: &[Test] =
    tests![a_secret_that_changed_is_an_edit, what_was_saved_is_started_with_what_its_secrets_are_now,];

/// A service that says what it was given.
fn teller(stack: &Stack) {
    stack.shell("one", "echo $TOLD $PLAIN $OF_PROFILE; exec sleep 1000", json!({}));
    stack.edit("one", |manifest| {
        manifest["process"]["env"] = json!({"TOLD": "<${secret.db}>", "PLAIN": "${env.WORD}"});
    });
}

fn a_secret_that_changed_is_an_edit() {
    let stack = Stack::new();
    stack.secret("db", "first");
    stack.write(".env", "WORD=word-1\n");
    teller(&stack);
    stack.shell("two", "exec sleep 1000", json!({"is_dotenv_disabled": true}));
    stack.up();
    stack.until_says("one", "<first> word-1");
    let (one, two) = (stack.pid("one"), stack.pid("two"));
    stack.secret("db", "second");
    let plan = stack.ok(&["plan"]).out;
    assert!(plan.contains("secret db changed") && !plan.contains("second"), "{plan}");
    stack.ok(&["apply"]);
    stack.until_says("one", "<second> word-1");
    assert!(!proc::lives(one) && stack.pid("two") == two, "only who is given it is replaced");
    stack.write(".env", "WORD=word-2\n");
    let plan = stack.ok(&["plan"]).out;
    assert!(plan.contains("variable WORD changed") && !plan.contains("word-2"), "{plan}");
    stack.ok(&["apply"]);
    stack.until_says("one", "<second> word-2");
    // Nothing is something else: nothing is replaced, by another supervisor neither.
    let one = stack.pid("one");
    stack.ok(&["apply"]);
    stack.kill_supervisor();
    stack.until_ready();
    stack.ok(&["apply"]);
    assert_eq!(stack.pid("one"), one);
}

fn what_was_saved_is_started_with_what_its_secrets_are_now() {
    let stack = Stack::new();
    stack.secret("db", "first");
    stack.write(".env", "WORD=word\n");
    let profile = stack.root.join("manifests/local.json");
    let mut local: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&profile).expect("the profile")).expect("JSON");
    local["env"] = json!({"OF_PROFILE": "of-${env.WORD}"});
    stack.write("manifests/local.json", &local.to_string());
    teller(&stack);
    stack.up();
    stack.until_says("one", "<first> word of-word");
    // A supervisor that cannot read the manifests knows only what was saved, which has no values.
    stack.write("services/broken/service.json", "{");
    stack.kill_supervisor();
    proc::kill(stack.pid("one"));
    crate::common::until("it says it again", || stack.lines("one") == ["<first> word of-word"; 2]);
    assert!(stack.core(&["status"]).out.contains("services/broken"));
}
