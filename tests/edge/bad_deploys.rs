//! Deploys that fail, at every step and for every reason, under load: whoever serves goes on, the message names the step, and
//! nothing is left behind.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, until};
use crate::releases::{Scene, update};

pub(crate) const TESTS: &[Test] =
    tests![bad_deploys_touch_nobody, a_full_disk_is_no_release, the_supervisor_dies_at_every_step_of_a_deploy,];

impl Scene {
    /// The folder of the releases, as who runs the stack sees it.
    fn home(&self) -> PathBuf {
        match self.stack().small_disk() {
            Some(disk) => disk.file("web"),
            None => self.stack().root.join(".releases/web"),
        }
    }

    /// What is in the folder of the releases, but for what they share.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home()).expect("releases").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| ![".cache", ".lock", "current", "pool"].contains(&name.as_str())).collect()
    }
}

/// Expects that a deploy failed with these words, however the lines are broken.
#[track_caller]
fn expect_failed(what: &str, said: &Said, words: &[&str]) {
    assert_eq!(said.code, 1, "{what}: {said:?}");
    let flat = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(flat.contains(word), "{what}: `{word}` is not in {}", said.err);
    }
}

/// Each kind of failure names its step with what was said, and leaves nothing behind.
fn bad_deploys_touch_nobody() {
    let scene = Scene::new(update());
    let stack = scene.stack();
    let (first, one) = (scene.live(), stack.pid("web"));
    let configure = |config: Value| {
        stack.edit("web", |manifest| {
            manifest["kind"] = "next".into();
            manifest["config"] = config;
            manifest["config"]["app"] = "app".into();
        });
    };
    let load = scene.place.load();
    let none = || json!({});
    let cases: [(&str, Value, &[&str]); 8] = [
        ("fails", none(), &["building failed", "there is no such page"]),
        ("eats", json!({"build": {"memory_mb": 256}}), &["building failed", "more than 256 MiB of memory"]),
        ("hangs", json!({"build": {"timeout_seconds": 1}}), &["building failed", "did not end within 1 s"]),
        ("serverless", none(), &["server.js"]),
        ("offline", none(), &["installing packages failed", "network request to the registry failed"]),
        (
            "page",
            json!({"release_command": "echo 'no such table'; exit 4"}),
            &["release_command failed", "no such table"],
        ),
        ("page", json!({"hooks": {"before_build": "echo 'bad day'; exit 4"}}), &["before_build failed", "bad day"]),
        ("page", json!({"hooks": {"before_switch": "echo 'bad day'; exit 4"}}), &["before_switch failed", "bad day"]),
    ];
    for (number, (file, config, words)) in cases.into_iter().enumerate() {
        configure(config);
        stack.write(&format!("app/{file}"), "");
        // Other packages are installed anew.
        stack.write("app/package-lock.json", &format!("{{\"lockfileVersion\": {number}}}"));
        let said = scene.try_deploy(&format!("page {number}"), "");
        expect_failed(file, &said, words);
        if file != "page" {
            fs::remove_file(stack.root.join("app").join(file)).expect("the file");
        }
        assert_eq!((scene.answering(), scene.live()), (one, first.clone()), "{file}");
        assert_eq!(scene.left(), vec![first.clone()], "{file}");
    }
    // An archive that is cut off, and one of another C library.
    configure(none());
    stack.ok(&["build", "-o", "web.tar.zst"]);
    let whole = fs::read(stack.root.join("web.tar.zst")).expect("the archive");
    fs::write(stack.root.join("half.tar.zst"), &whole[..whole.len() / 2]).expect("half of it");
    expect_failed("half", &stack.core(&["deploy", "half.tar.zst"]), &["is no archive of a release"]);
    assert_eq!((scene.answering(), scene.left()), (one, vec![first]));
    scene.deploy("a good one");
    load.expect_none_lost();
}

/// Whoever serves goes on, and the next deploy is carried out.
fn the_supervisor_dies_at_every_step_of_a_deploy() {
    let mut update = update();
    update["observe_seconds"] = json!(2);
    update["warm_minutes"] = json!(0);
    let scene = Scene::new(update);
    let stack = scene.stack();
    let at = stack.root.join("at");
    let migrating = at.with_extension("migrating");
    stack.edit("web", |manifest| {
        manifest["kind"] = "next".into();
        manifest["config"] = json!({"app": "app", "release_command": "true"});
    });
    stack.ok(&["apply"]);
    let load = scene.place.load();
    for (number, step) in ["building", "migrating", "probing", "switched"].into_iter().enumerate() {
        let before = stack.pids_of("web");
        let words = if step == "probing" { "--ready-when at.ready" } else { "" };
        stack.write("app/words", words);
        stack.write("app/page", &format!("page {number}"));
        if step == "building" {
            stack.write("app/hangs", "");
        }
        if step == "migrating" {
            stack.edit("web", |manifest| {
                let line = format!("touch '{}'; sleep 1000", migrating.display());
                manifest["config"]["release_command"] = line.into();
            });
        }
        let mut deploy = stack.command(&["deploy"]);
        let mut deploy = deploy.stderr(std::process::Stdio::null()).spawn().expect("core");
        until(step, || match step {
            "building" => at.with_extension("building").exists(),
            "migrating" => migrating.exists(),
            "probing" => stack.instances("web").iter().any(|one| one["phase"] == "probing"),
            _ => !before.contains(&scene.answering()),
        });
        stack.kill_supervisor();
        let _ = deploy.wait();
        stack.write("app/words", "");
        let _ = fs::remove_file(stack.root.join("app/hangs"));
        stack.edit("web", |manifest| manifest["config"]["release_command"] = "true".into());
        stack.ok(&["deploy"]);
        until("one of them is left, and none that ran before", || {
            let now = stack.pids_of("web");
            now.len() == 1 && !before.contains(&now[0])
        });
        assert!(scene.left().iter().all(|name| name.starts_with("20")), "{step}: {:?}", scene.left());
    }
    load.expect_none_lost();
}

/// There is no room for the copy, for what is built, or for an archive.
fn a_full_disk_is_no_release() {
    let scene = Scene::on(Stack::with_programs().with_small_disk(".releases"), update());
    let stack = scene.stack();
    let (one, first) = (stack.pid("web"), scene.left());
    let load = scene.place.load();
    let disk = stack.small_disk().expect("a disk");
    disk.fill();
    expect_failed("copy", &scene.try_deploy("second", ""), &["No space left on device"]);
    assert_eq!((scene.answering(), scene.left()), (one, first.clone()));
    disk.empty();
    stack.write("app/big", "");
    expect_failed("build", &scene.try_deploy("third", ""), &["building failed", "No space left on device"]);
    assert_eq!((scene.answering(), scene.left()), (one, first.clone()));
    fs::remove_file(stack.root.join("app/big")).expect("the file");
    stack.ok(&["build", "-o", "web.tar.zst"]);
    disk.fill();
    expect_failed("unpack", &stack.core(&["deploy", "web.tar.zst"]), &["No space left on device"]);
    assert_eq!((scene.answering(), scene.left()), (one, first));
    disk.empty();
    let said = scene.try_deploy("a good one", "");
    assert_eq!(said.code, 0, "{said:?}");
    assert_ne!(scene.answering(), one);
    load.expect_none_lost();
}
