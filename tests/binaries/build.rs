//! Builds, with a `node` that only plays one: made once for the same inputs, whole or not at all.

use std::fs;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{proc, until};
use crate::scene::Scene;
use crate::shared::begin_up;
use crate::shelf::{expect_words, stack};

pub(crate) const TESTS: &[Test] = tests![
    an_app_at_the_root_takes_in_nothing_of_the_stack,
    a_server_may_lie_deeper_and_reads_local_variables,
    a_build_that_fails_leaves_nothing,
    a_build_without_a_server_leaves_nothing,
    down_ends_a_build,
    who_asks_while_sources_are_copied_is_answered,
    only_listed_install_scripts_are_run,
    a_missing_node_is_one_fault,
];

/// For these there must be another user, whom only root can become.
pub(crate) const AS_ROOT: &[Test] = tests![a_build_runs_as_the_owner_of_the_stack];

/// The stack's root may be the app's own folder: what core and the services keep there is no part of it.
fn an_app_at_the_root_takes_in_nothing_of_the_stack() {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let scene = Scene::of(stack(), ".", elsewhere.path());
    let stack = &scene.stack;
    for (file, text) in
        [("package.json", "{}"), ("page", "one"), ("lists", ""), (".git/HEAD", "x"), (".data/db/1", "x")]
    {
        stack.write(file, text);
    }
    for kept in [".releases/web/1/page", "node_modules/x/index.js", "packages/a/node_modules/y/index.js", ".next/x"] {
        stack.write(kept, "x");
    }
    stack.secret("key", "hush");
    stack.up();
    stack.until_says("web", "serving one");
    let files = fs::read_to_string(elsewhere.path().join("notes.files")).expect("the files of the build");
    // The handlers of the cache are put in when packages are there.
    let files: Vec<&str> = files.lines().filter(|name| !name.starts_with("./.core/")).collect();
    assert_eq!(files, ["./lists", "./package.json", "./page"]);
    // What changes there is no other build.
    stack.write(".data/db/2", "x");
    stack.write(".releases/web/2/page", "x");
    let pid = stack.pid("web");
    stack.ok(&["deploy"]);
    assert_eq!(stack.pid("web"), pid);
}

/// Old versions of Next take a lock file above the copy for the root of the project. Variables of this host go with a
/// build of this host, and are read by nobody else than before.
fn a_server_may_lie_deeper_and_reads_local_variables() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.write("app/deeper", "");
    stack.write("app/.env.local", "A=b\n");
    let own = fs::Permissions::from_mode(0o600);
    fs::set_permissions(stack.root.join("app/.env.local"), own).expect("its mode");
    stack.up();
    stack.until_says("web", "serving one");
    let built = scene.server(&scene.releases()[0]);
    assert!(built.join("server.js").is_file() && built.join("page").is_file());
    let mode = fs::metadata(built.join(".env.local")).expect("the variables").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!built.join(".env.production.local").exists());
}

fn a_build_that_fails_leaves_nothing() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    let (pid, first) = (stack.pid("web"), scene.releases());
    stack.write("app/fails", "");
    let said = stack.core(&["deploy"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["building failed", ".core-stack/logs/builds/web/20", "the page has a fault"]);
    assert_eq!(scene.releases(), first);
    assert_eq!((stack.pid("web"), stack.status()["state"].as_str()), (pid, Some("running")));
    // The whole of what it said is kept.
    assert!(stack.ok(&["logs", "--build", "web"]).out.contains("the page has a fault"));
    let logs = fs::read_dir(stack.root.join(".core-stack/logs/builds/web")).expect("logs").flatten();
    let texts: Vec<String> = logs.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
    assert!(texts.iter().any(|text| text.contains("the page has a fault")), "{texts:?}");
    fs::remove_file(stack.root.join("app/fails")).expect("the file");
    stack.write("app/page", "two");
    stack.ok(&["deploy"]);
    assert_eq!(scene.releases().len(), 2);
}

fn a_build_without_a_server_leaves_nothing() {
    let scene = Scene::new();
    scene.stack.write("app/serverless", "");
    let said = scene.stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["no server.js"]);
    assert_eq!(scene.releases(), [""; 0]);
}

fn down_ends_a_build() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.write("app/hangs", "");
    let mut up = begin_up(stack);
    let pid_file = stack.root.join("notes.pid");
    let pid = crate::common::eventually("it builds", || fs::read_to_string(&pid_file).ok()?.trim().parse::<u32>().ok());
    stack.ok(&["down"]);
    assert!(!up.wait().expect("it ends").success());
    until("the build is gone", || !proc::lives(pid));
    assert_eq!(scene.releases(), [""; 0]);
}

fn who_asks_while_sources_are_copied_is_answered() {
    let scene = Scene::new();
    let stack = &scene.stack;
    // So many that whoever copies them needs a while.
    for number in 0..20_000 {
        stack.write(&format!("app/public/{number}"), "");
    }
    let mut up = begin_up(stack);
    until("an answer says so", || stack.core(&["status", "--json"]).out.contains("copying sources"));
    assert!(up.wait().expect("it ends").success());
}

fn only_listed_install_scripts_are_run() {
    let scene = Scene::new();
    let package = |name: &str| {
        let url = format!("https://registry.invalid/{name}.tgz");
        (format!("node_modules/{name}"), json!({"version": "12.0.0", "resolved": url, "hasInstallScript": true}))
    };
    let packages: serde_json::Map<_, _> = ["better-sqlite3", "evil"].map(package).into_iter().collect();
    scene.stack.write("app/record", &json!({"packages": packages}).to_string());
    scene.stack.write("app/package.json", r#"{"scripts": {"postinstall": "prisma generate", "prepare": "husky"}}"#);
    let stack = scene.stack.env("MY_TOKEN", "hush");
    stack.up();
    let notes = fs::read_to_string(&scene.notes).expect("notes");
    let expected = "npm ci hush\nnpm rebuild better-sqlite3@12.0.0 without\nnpm run postinstall without\nbuild\n";
    assert_eq!(notes, expected);
    let logs = fs::read_dir(stack.root.join(".core-stack/logs/builds/web")).expect("logs").flatten();
    let texts: Vec<String> = logs.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
    assert!(texts.iter().any(|text| text.contains("are not run: evil@12.0.0\n")), "{texts:?}");
}

fn a_build_runs_as_the_owner_of_the_stack() {
    let scene = Scene::new();
    scene.stack.write("app/whose", "");
    let root = &scene.stack.root;
    let nobody = 65534;
    let status = std::process::Command::new("chown").args(["-R", "nobody:nogroup"]).arg(root).status();
    assert!(status.expect("chown").success());
    // Some hosts have temporary folders that only root enters.
    fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    let said = scene.stack.core(&["--root", &root.display().to_string(), "up", "-d"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let home = nix::unistd::User::from_uid(nobody.into()).expect("users").expect("nobody").dir;
    assert_eq!(scene.notes().last(), Some(&format!("{nobody} {nobody} {}", home.display())));
    // What was built is not his to change: it is what runs.
    let built = scene.server(&scene.releases()[0]).join("server.js");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(built).expect("built")), 0);
}

fn a_missing_node_is_one_fault() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.stack.root.join("node")).expect("the node");
    let written = fs::read_to_string(scene.stack.root.join("services/web/service.json")).expect("the manifest");
    let mut manifest: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    manifest["binaries"][1]["version"] = json!(">=99");
    manifest["process"]["env"] = json!({"RELEASE": "${release}"});
    scene.stack.service("web", &manifest);
    let said = scene.stack.core(&["check"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("binary `node` of `web`") && said.err.contains("1 error\n"), "{}", said.err);
}
