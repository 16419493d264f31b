//! Releases, with a `node` that only plays one: made once, limited, with their variables, and without data.

use std::fs;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, eventually, proc, until};
use crate::scene::Scene;
use crate::shelf::expect_words;

pub(crate) const TESTS: &[Test] = tests![
    a_release_is_made_once_for_the_same_inputs,
    a_build_of_before_is_kept_until_a_deploy,
    a_command_runs_in_the_live_release,
    a_supervisor_that_dies_leaves_no_half_release,
    an_archive_is_built_here_and_deployed_there,
    data_is_never_in_a_release,
    a_build_over_its_limits_is_ended,
    variables_reach_the_build_and_are_part_of_the_release,
];

fn a_release_is_made_once_for_the_same_inputs() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    assert_eq!(scene.notes(), ["npm ci without", "build"]);
    stack.until_says("web", "serving one");
    let first = scene.releases();
    assert_eq!(first.len(), 1, "{first:?}");
    let server = scene.server(&first[0]);
    assert!(server.join("server.js").is_file() && server.join(".next/static/file").is_file());
    assert_eq!(scene.live(), first[0], "it is named as the live one when `up` returns");
    // What a build makes by the way is no other input; nor is the time. And what is edited is not what runs.
    stack.write("app/node_modules/x/index.js", "");
    stack.write("app/page", "two");
    stack.ok(&["down"]);
    stack.up();
    assert_eq!((scene.notes().len(), scene.releases()), (2, first.clone()));
    let pid = stack.pid("web");
    stack.ok(&["apply"]);
    assert_eq!(stack.pid("web"), pid);
    // Other sources are another release, once they are deployed; the packages are kept.
    let said = stack.ok(&["deploy"]);
    assert!(stack.pid("web") != pid);
    assert_eq!((scene.notes().len(), scene.releases().len()), (3, 2));
    assert!(said.err.contains(&format!("deployed: web {}", scene.releases()[1])), "{}", said.err);
    stack.until_says("web", "serving two");
    assert_eq!(scene.live(), scene.releases()[1], "it is named as the live one when `deploy` returns");
    // The same sources again are the release that there is.
    let pid = stack.pid("web");
    let said = stack.ok(&["deploy", "--service", "web"]);
    assert!(said.err.contains("unchanged: web"), "{}", said.err);
    assert_eq!((scene.notes().len(), stack.pid("web")), (3, pid));
    stack.write("app/page", "one");
    stack.ok(&["deploy"]);
    assert_eq!((scene.notes().len(), scene.live()), (3, first[0].clone()));
    // What is wanted outlives the stack.
    stack.write("app/page", "three");
    stack.ok(&["down"]);
    stack.up();
    assert_eq!((scene.notes().len(), scene.live()), (3, first[0].clone()));
    // A build is of this machine: nobody else is told what came of it.
    assert!(!stack.root.join("manifests/dep.lock.json").exists());
}

/// A release of an earlier version of core stays until the first deploy.
fn a_build_of_before_is_kept_until_a_deploy() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    let release = scene.releases().remove(0);
    stack.ok(&["down"]);
    // As it was: a folder of `.dep`, and a state that names its hash.
    let (old, root) = ("0123456789ab", &stack.root);
    let dep = root.join(".dep");
    let server = fs::canonicalize(scene.server(&release)).expect("the server");
    fs::rename(server, dep.join(format!("app-{old}"))).expect("moved");
    fs::remove_dir_all(root.join(".releases")).expect("gone");
    let state = root.join(".core-stack/state.json");
    let text = fs::read_to_string(&state).expect("the state");
    let (_, body) = text.split_once('\n').expect("a checksum");
    assert!(body.contains(&format!("web/{release}")), "{body}");
    let body = body.replace(&format!(".releases/web/{release}/app"), &format!(".dep/app-{old}"));
    let body = body.replace(&format!("web/{release}"), &format!("app-{old}")).replace(&release, old);
    let sum: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&state, format!("{sum}\n{body}")).expect("the state");
    stack.up();
    stack.until_says("web", "serving one");
    assert_eq!(stack.instance("web")["release"], old);
    assert_eq!(scene.notes().len(), 2, "it was not built again");
    stack.ok(&["deploy"]);
    assert_eq!(stack.instance("web")["release"], scene.live());
    assert!(dep.join(format!("app-{old}")).is_dir());
}

fn a_command_runs_in_the_live_release() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.edit("web", |manifest| manifest["process"]["env"] = json!({"WORD": "of the service"}));
    stack.up();
    let said = stack.ok(&["exec", "web", "--", "sh", "-c", "pwd; echo \"$(cat page)\"; echo \"$WORD\""]);
    let live = fs::canonicalize(scene.server(&scene.live())).expect("the live release");
    assert_eq!(said.out, format!("{}\none\nof the service\n", live.display()));
    assert_eq!(stack.core(&["exec", "web", "--", "sh", "-c", "exit 7"]).code, 7);
    // The programs of the service come first.
    assert_eq!(stack.ok(&["exec", "web", "--", "node", "--version"]).out, "v20.20.2\n");
    let said = stack.core(&["exec", "wob", "--", "true"]);
    assert!(said.code != 0 && said.err.contains("web"), "{said:?}");
    // Packages and caches of earlier builds are not used where somebody says so.
    let before = scene.notes().len();
    stack.ok(&["deploy", "--no-cache"]);
    assert_eq!(scene.notes()[before..], ["npm ci without", "build"]);
    assert_eq!(scene.releases().len(), 2);
}

/// The live release serves on; the build ends with its supervisor, and the next deploy finds nothing of it.
fn a_supervisor_that_dies_leaves_no_half_release() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    let (pid, first) = (stack.pid("web"), scene.releases());
    stack.write("app/hangs", "");
    stack.write("app/page", "two");
    let mut deploy = stack.command(&["deploy"]);
    let mut deploy = deploy.stderr(std::process::Stdio::null()).spawn().expect("core");
    let noted = || fs::read_to_string(stack.root.join("notes.pid")).ok()?.trim().parse::<u32>().ok();
    let build = eventually("it builds", noted);
    let supervisor = stack.supervisor();
    proc::kill(supervisor);
    until("the build is gone", || !proc::lives(build));
    assert!(!deploy.wait().expect("it ends").success(), "nobody says that it is deployed");
    until("another supervisor answers", || stack.core(&["status"]).code == 0);
    assert_eq!(stack.pid("web"), pid);
    fs::remove_file(stack.root.join("app/hangs")).expect("the file");
    stack.ok(&["deploy"]);
    stack.until_says("web", "serving two");
    assert_eq!(scene.releases().len(), first.len() + 1);
}

fn an_archive_is_built_here_and_deployed_there() {
    let (here, there) = (Scene::new(), Scene::new());
    here.stack.write("app/page", "from elsewhere");
    let file = here.stack.root.join("web.tar.zst");
    let said = here.stack.ok(&["build", "-o", "web.tar.zst"]);
    assert!(said.err.contains("built: web 20"), "{}", said.err);
    assert_eq!(here.releases(), [""; 0], "nothing landed");
    there.stack.up();
    let (pid, notes) = (there.stack.pid("web"), there.notes().len());
    let path = file.display().to_string();
    there.stack.ok(&["deploy", &path]);
    there.stack.until_says("web", "serving from elsewhere");
    assert_eq!((there.notes().len(), there.releases().len()), (notes, 2), "nothing was built");
    assert!(said.err.contains(&there.live()), "{}", said.err);
    let next = there.stack.next_pid("web", pid);
    assert!(there.stack.ok(&["deploy", &path]).err.contains("unchanged"));
    // What cannot run here changes nothing.
    let stack = there.stack;
    stack.edit("web", |manifest| {
        manifest["kind"] = json!("next");
        manifest["config"] = json!({"app": "app", "build": {"env": {"A": "1"}}});
    });
    let said = stack.core(&["deploy", &path]);
    assert!(said.code == 1 && said.err.contains("with other values of A"), "{said:?}");
    stack.write("broken", "no archive");
    let said = stack.core(&["deploy", "broken"]);
    assert!(said.code == 1 && said.err.contains("is no archive of a release"), "{said:?}");
    // A folder is that of an app.
    let said = stack.core(&["deploy", "services"]);
    assert!(said.code == 2 && said.err.contains("no service of this stack has its app in services"), "{said:?}");
    let said = stack.core(&["deploy", "absent"]);
    assert!(said.code == 2 && said.err.contains("absent"), "{said:?}");
    assert_eq!(stack.pid("web"), next);
}

/// What a service writes is in `.data` and outlives its releases; beside itself it cannot write.
fn data_is_never_in_a_release() {
    // Not below a folder for temporary files: whoever works there may write anything.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let root = fs::canonicalize(folder.path()).expect("the folder");
    let scene = Scene::of(Stack::at(root.clone(), Some(folder)), "app", &root);
    let stack = &scene.stack;
    stack.edit("web", |manifest| {
        manifest["kind"] = json!("next");
        manifest["config"] = json!({"app": "app", "persist": ["db.sqlite", "uploads/"]});
    });
    for (name, text) in [("package.json", "{}"), ("package-lock.json", "{}"), ("writes", ""), ("db.sqlite", "zero\n")] {
        stack.write(&format!("app/{name}"), text);
    }
    stack.write("app/uploads/zero", "");
    for (number, page) in ["one\n", "two\n", "three\n", "four\n"].into_iter().enumerate() {
        stack.write("app/page", page);
        stack.ok(if number == 0 { &["up", "-d"] } else { &["deploy"] });
        let line = format!("serving {}", page.trim());
        until(&line, || stack.lines("web").contains(&line));
    }
    let data = stack.root.join(".data/web");
    assert_eq!(fs::read_to_string(data.join("db.sqlite")).expect("it"), "zero\none\ntwo\nthree\nfour\n");
    let uploads = fs::read_dir(data.join("uploads")).expect("it").flatten();
    let mut uploads: Vec<String> = uploads.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    uploads.sort();
    assert_eq!(uploads, ["four", "one", "three", "two", "zero"]);
    // What the app writes is no other release.
    stack.write("app/db.sqlite", "changed");
    let said = stack.ok(&["deploy"]);
    assert!(said.err.contains("unchanged"), "{}", said.err);
    let lines = stack.lines("web");
    assert_eq!(lines.iter().filter(|line| *line == "written").count(), 4, "{lines:?}");
    let examined = stack.core(&["doctor"]).out;
    let finding = examined.lines().find(|line| line.starts_with("releases ")).expect("a finding");
    let is_refused = finding.split_whitespace().nth(1) == Some("ok");
    println!("{finding}");
    assert_eq!(lines.iter().filter(|line| *line == "refused").count(), if is_refused { 4 } else { 0 });
    for release in scene.releases() {
        assert_eq!(scene.server(&release).join("beside").exists(), !is_refused);
    }
    // The message names what to do, whether it was refused or done.
    let said = stack.ok(&["status"]);
    assert!(said.out.contains(r#""persist": ["beside"]"#), "{}", said.out);
    stack.ok(&["down"]);
}

/// With the kernel's help and without.
fn a_build_over_its_limits_is_ended() {
    for variable in ["CORE_NO_CGROUP", "CORE_HAS_CGROUP"] {
        let scene = Scene::new();
        let stack = &scene.stack;
        let config = |build: serde_json::Value| {
            stack.edit("web", |manifest| {
                manifest["kind"] = json!("next");
                manifest["config"] = json!({"app": "app", "build": build});
            });
        };
        config(json!({"memory_mb": 256}));
        stack.write("app/eats", "");
        let up = |words: &[&str]| {
            let mut command = stack.command(words);
            Said::of(command.env(variable, "1").output().expect("core"))
        };
        let said = up(&["up", "-d"]);
        assert_eq!(said.code, 1, "{said:?}");
        expect_words(&said.err, &["building failed: it used more than 256 MiB of memory and was killed"]);
        let helper = fs::read_to_string(stack.root.join("notes.helper")).expect("a helper");
        let helper: u32 = helper.trim().parse().expect("its number");
        until("what it has started is gone", || !proc::lives(helper));
        fs::remove_file(stack.root.join("app/eats")).expect("the file");
        // A step that does not end is ended.
        config(json!({"timeout_seconds": 1}));
        stack.write("app/hangs", "");
        let said = stack.core(&["apply"]);
        assert_eq!(said.code, 1, "{said:?}");
        expect_words(&said.err, &["building failed: it did not end within 1 s and was killed"]);
        let pid = fs::read_to_string(stack.root.join("notes.pid")).expect("a build").trim().parse().expect("a number");
        until("the build is gone", || !proc::lives(pid));
        assert_eq!(scene.releases(), [""; 0]);
        stack.ok(&["down"]);
    }
}

/// What is put into the bundle is known to the build: by its name from `.env`, the profile and the service, or because the
/// manifest says so. Another value is another release.
fn variables_reach_the_build_and_are_part_of_the_release() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.write("app/tells", "");
    stack.write(".env", "NEXT_PUBLIC_WORD=dotenv\nBUILD_WORD=for-the-server-only\n");
    stack.up();
    let told = |word: &str, build: &str| format!("NEXT_PUBLIC_WORD={word} BUILD_WORD={build}");
    let last = || scene.notes().into_iter().rfind(|line| line.starts_with("NEXT_PUBLIC")).expect("a build");
    assert_eq!(last(), told("dotenv", ""));
    let first = scene.live();
    stack.edit("web", |manifest| {
        manifest["kind"] = json!("next");
        manifest["process"]["env"] = json!({"NEXT_PUBLIC_WORD": "service"});
        manifest["config"] = json!({"app": "app", "build": {"env": {"BUILD_WORD": "${env.BUILD_WORD}"}}});
    });
    // The manifests are read as they are now, applied or not.
    stack.ok(&["deploy"]);
    assert_eq!(last(), told("service", "for-the-server-only"));
    assert_eq!(scene.releases().len(), 2);
    let known =
        fs::read_to_string(stack.root.join(".releases/web").join(scene.live()).join("release.json")).expect("it");
    let known: serde_json::Value = serde_json::from_str(&known).expect("JSON");
    let names: Vec<&String> = known["variables"].as_object().expect("variables").keys().collect();
    assert_eq!(names, ["BUILD_WORD", "NEXT_PUBLIC_WORD"]);
    assert!(!known.to_string().contains("for-the-server-only"), "{known}");
    // As it was: the release that there was.
    stack.edit("web", |manifest| {
        manifest["process"]["env"] = json!({});
        manifest["config"] = json!({"app": "app"});
    });
    stack.ok(&["deploy"]);
    assert_eq!((scene.live(), scene.releases().len()), (first, 2));
}
