//! Back to a release that served well, and which releases are kept, with a `node` that only plays one.

use std::fs;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::until;
use crate::scene::Scene;
use crate::shelf::expect_words;

pub(crate) const TESTS: &[Test] = tests![
    each_rollback_goes_one_step_back,
    failed_deploys_are_no_step,
    what_is_needed_cannot_be_removed,
    who_deployed_what_for_is_known,
    the_disk_has_what_is_kept,
];

impl Scene {
    /// Deploys a page, and returns its release.
    fn deploy(&self, page: &str) -> String {
        self.stack.write("app/page", page);
        self.stack.ok(&["deploy"]);
        self.stack.until_says("web", &format!("serving {page}"));
        self.live()
    }
}

/// Without a build: the release is there.
fn each_rollback_goes_one_step_back() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    let first = scene.live();
    let said = stack.core(&["rollback"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["no release of web served before", "core releases"]);
    let second = scene.deploy("two");
    let third = scene.deploy("three");
    let built = scene.notes().len();
    let said = stack.ok(&["rollback"]);
    expect_words(&said.err, &[&format!("web goes back from {third} to {second}"), "no migration is undone"]);
    expect_words(&said.err, &[&format!("rolled back: web {second}")]);
    expect_words(&said.err, &["web: it is down until the other release is ready: it has no route"]);
    expect_words(&stack.ok(&["why", "web"]).out, &[&format!("it runs release {second}")]);
    assert_eq!(scene.live(), second);
    stack.until_says("web", "serving two");
    // A further step, and not to what was just left.
    stack.ok(&["rollback"]);
    assert_eq!(scene.live(), first);
    assert_eq!(stack.core(&["rollback"]).code, 1);
    // From the next release it is one step to the one before; those that were left are not on the way.
    let fourth = scene.deploy("four");
    stack.ok(&["rollback"]);
    assert_eq!((scene.live(), scene.notes().len()), (first.clone(), built + 1));
    // By name, in part: one that was left, if somebody says so.
    stack.ok(&["rollback", &third]);
    assert_eq!(scene.live(), third);
    stack.ok(&["rollback", &fourth[fourth.len() - 5..]]);
    assert_eq!(scene.live(), fourth);
    let said = stack.core(&["rollback", "nothing"]);
    assert_eq!(said.code, 2, "{said:?}");
    expect_words(&said.err, &["there is no release `nothing`", "core releases"]);
    // What is wanted outlives the stack.
    stack.ok(&["down"]);
    stack.up();
    assert_eq!(scene.live(), fourth);
    assert_eq!(scene.notes().len(), built + 1);
    let told = stack.ok(&["history"]).out;
    expect_words(&told, &["rollback"]);
}

/// Ten that cannot be built, and some that cannot start: the good ones are all there, and the way back is the same.
fn failed_deploys_are_no_step() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.edit("web", |manifest| {
        manifest["kind"] = "next".into();
        manifest["config"] = json!({"app": "app", "keep": 1});
        manifest["process"]["compose"] = json!({"ready_log_line": "serving"});
    });
    stack.up();
    let first = scene.live();
    let second = scene.deploy("two");
    let pid = stack.pid("web");
    stack.write("app/fails", "");
    for page in 0..10 {
        stack.write("app/page", &format!("bad {page}"));
        let said = stack.core(&["deploy"]);
        assert_eq!(said.code, 1, "{said:?}");
        expect_words(&said.err, &["building failed", "the page has a fault"]);
    }
    assert_eq!((stack.pid("web"), scene.live(), scene.releases().len()), (pid, second.clone(), 2));
    fs::remove_file(stack.root.join("app/fails")).expect("the file");
    // The release lands, and its server ends at once.
    stack.write("app/crashes", "");
    for page in 0..3 {
        stack.write("app/page", &format!("worse {page}"));
        let said = stack.core(&["deploy"]);
        assert_eq!(said.code, 1, "{said:?}");
        expect_words(&said.err, &[&format!("{second} is wanted again")]);
        until("the one before serves again", || {
            let one = stack.instance("web");
            one["ready"] == true && one["release"] == second.as_str()
        });
    }
    assert!(scene.releases().contains(&first) && scene.releases().contains(&second), "{:?}", scene.releases());
    stack.ok(&["rollback"]);
    assert_eq!(scene.live(), first);
    // One that served once and fails now, too.
    fs::remove_file(stack.root.join("app/crashes")).expect("the file");
    scene.deploy("three");
    fs::write(scene.server(&first).join("crashes"), "").expect("it breaks");
    stack.write("app/page", "one");
    let third = scene.live();
    let said = stack.core(&["deploy"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &[&format!("{third} is wanted again")]);
}

fn what_is_needed_cannot_be_removed() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    let first = scene.live();
    let second = scene.deploy("two");
    let third = scene.deploy("three");
    let refused = |id: &str, why: &str| {
        let said = stack.core(&["releases", "remove", id]);
        assert_eq!(said.code, 1, "{said:?}");
        expect_words(&said.err, &[why]);
    };
    refused(&third, "is the live one");
    refused(&second, "is the one that `core rollback` goes to");
    stack.ok(&["releases", "pin", &first]);
    refused(&first, "is pinned");
    stack.ok(&["releases", "unpin", &first]);
    stack.ok(&["releases", "remove", &first]);
    let left = scene.releases();
    assert!(left.len() == 2 && left.contains(&second) && left.contains(&third), "{left:?}");
    // What is gone is no way back.
    stack.ok(&["rollback"]);
    assert_eq!(scene.live(), second);
    assert_eq!(stack.core(&["rollback"]).code, 1);
    assert_eq!(scene.live(), second);
    assert_eq!(stack.core(&["releases", "remove", "nothing"]).code, 2);
}

fn who_deployed_what_for_is_known() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    stack.write("app/page", "two");
    stack.ok(&["deploy", "-m", "the second page"]);
    let listed: serde_json::Value = serde_json::from_str(&stack.ok(&["releases", "--json"]).out).expect("JSON");
    let all = listed["releases"].as_array().expect("releases");
    let with = |what: &str| all.iter().filter(|one| one[what] == true).collect::<Vec<_>>();
    let (live, before) = (with("live"), with("before"));
    assert_eq!((all.len(), live.len(), before.len()), (2, 1, 1), "{listed}");
    assert!(live == with("wanted") && live != before, "{listed}");
    assert_eq!(live[0]["message"], "the second page");
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("users").expect("me").name;
    assert_eq!(live[0]["by"], me.as_str());
    let shown = stack.ok(&["releases"]).out;
    expect_words(&shown, &["live", "rollback goes here", "the second page", &me]);
    let history = stack.ok(&["history", "--json"]).out;
    let id = live[0]["id"].as_str().expect("an ID");
    expect_words(&history, &["the second page", id]);
}

/// Thirty deploys: the live one, the one before, two old ones and the pinned one are left.
fn the_disk_has_what_is_kept() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.edit("web", |manifest| {
        manifest["kind"] = "next".into();
        manifest["config"] = json!({"app": "app", "keep": 2});
    });
    stack.up();
    let mut all = vec![scene.live()];
    for page in 0..30 {
        all.push(scene.deploy(&format!("page {page}")));
        if page == 3 {
            stack.ok(&["releases", "pin", all.last().expect("a release")]);
        }
    }
    let mut kept = all.split_off(all.len() - 4);
    kept.push(all[4].clone());
    kept.sort();
    // What is old is deleted once another one serves.
    until("the others are gone", || scene.releases() == kept);
    let listed = stack.ok(&["releases", "--json"]).out;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let bytes: u64 =
        listed["releases"].as_array().expect("releases").iter().filter_map(|one| one["bytes"].as_u64()).sum();
    println!("30 deploys: {} releases of {bytes} bytes are kept", kept.len());
    assert_eq!(listed["releases"].as_array().map(Vec::len), Some(kept.len()));
}
