//! Builds, with a `node` that only plays one: made once for the same inputs, whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, proc, put_program, until};
use crate::shared::begin_up;
use crate::shelf::{expect_words, shelf, stack};

pub(crate) const TESTS: &[Test] = tests![
    a_release_is_made_once_for_the_same_inputs,
    a_build_of_before_is_kept_until_a_deploy,
    an_app_at_the_root_takes_in_nothing_of_the_stack,
    a_server_may_lie_deeper_and_reads_local_variables,
    a_build_that_fails_leaves_nothing,
    a_build_without_a_server_leaves_nothing,
    down_ends_a_build,
    a_build_over_its_limits_is_ended,
    variables_reach_the_build_and_are_part_of_the_release,
    who_asks_while_sources_are_copied_is_answered,
    only_listed_install_scripts_are_run,
    a_missing_node_is_one_fault,
];

/// For these there must be another user, whom only root can become.
pub(crate) const AS_ROOT: &[Test] = tests![a_build_runs_as_the_owner_of_the_stack];

/// Plays node: notes what it is run for; builds by copying; serves by waiting.
const NODE: &str = r#"#!/bin/sh
case "$1" in
--version) echo v20.20.2; exit ;;
*npm-cli.js)
    shift
    echo "npm $* ${MY_TOKEN:-without}" | sed 's/ --[a-z-]*\(=[a-z]*\)\{0,1\}//g' >> "$NOTES"
    mkdir -p node_modules/next && echo '{"version": "16.4.6"}' > node_modules/next/package.json
    [ -e record ] && cp record node_modules/.package-lock.json
    exit 0 ;;
*server.js)
    echo "serving $(cat "$(dirname "$1")/page")"; sleep 1000; exit ;;
esac
echo "build" >> "$NOTES"
[ -e lists ] && find . -type f -not -path './node_modules/*' | sort > "$NOTES.files"
[ -e whose ] && echo "$(id -u) $(id -G) $HOME" >> "$NOTES"
[ -e fails ] && echo "the page has a fault" >&2 && exit 3
[ -e hangs ] && echo $$ > "$NOTES.pid" && sleep 1000
# Grows until somebody minds; a helper that has left the group lives as long.
[ -e eats ] && setsid sleep 1000 & echo $! > "$NOTES.helper"
if [ -e eats ]; then head -c 600m /dev/zero | tail || exit 1; fi
[ -e tells ] && echo "NEXT_PUBLIC_WORD=$NEXT_PUBLIC_WORD BUILD_WORD=$BUILD_WORD" >> "$NOTES"
to=.next/standalone
[ -e deeper ] && to="$to/$(basename "$(dirname "$PWD")")/$(basename "$PWD")"
mkdir -p "$to" .next/static .next/cache
cp page "$to/page"
[ -e serverless ] || echo server > "$to/server.js"
echo static > .next/static/file
"#;

struct Scene {
    stack: Stack,
    notes: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let stack = stack();
        let beside = stack.root.clone();
        let scene = Self::of(stack, "app", &beside);
        scene.stack.write("app/package.json", "{}");
        scene.stack.write("app/package-lock.json", "{}");
        scene.stack.write("app/page", "one");
        scene
    }

    /// An app in the folder `app` of a stack; node and its notes are in the folder `beside`.
    fn of(stack: Stack, app: &str, beside: &Path) -> Self {
        let (node, notes) = (beside.join("node"), beside.join("notes"));
        put_program(&node.join("bin/node"), NODE);
        put_program(&node.join("lib/node_modules/npm/bin/npm-cli.js"), "");
        let path = format!("{}:{}", node.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let stack = stack.env("PATH", &path).env("NOTES", &notes.display().to_string());
        stack.service(
            "web",
            &json!({"binaries": [{"name": "app", "source": "next-build", "path": app},
                    {"name": "node", "source": "path", "version": ">=20"}],
                "process": {"command": "${dep.node}", "args": ["${dep.app}/server.js"]}}),
        );
        Self { stack, notes }
    }

    /// What node was run for, but for serving.
    fn notes(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.notes).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The releases; expects that nothing else is there but what builds share, and the link to the live one.
    #[track_caller]
    fn releases(&self) -> Vec<String> {
        assert!(shelf(&self.stack.root).iter().all(|name| name == ".cache"), "{:?}", shelf(&self.stack.root));
        let entries = fs::read_dir(self.stack.root.join(".releases/web")).into_iter().flatten().flatten();
        let mut all: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        all.retain(|name| ![".cache", ".lock", "current"].contains(&name.as_str()));
        all.sort();
        assert!(all.iter().all(|name| name.starts_with("20")), "{all:?}");
        all
    }

    /// The folder of the server of a release.
    fn server(&self, release: &str) -> PathBuf {
        self.stack.root.join(".releases/web").join(release).join("app")
    }

    /// Which release the link for people names.
    fn live(&self) -> String {
        let link = fs::read_link(self.stack.root.join(".releases/web/current")).expect("a link");
        link.display().to_string()
    }
}

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
    until("it is named as the live one", || scene.live() == first[0]);
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
    until("it is named as the live one", || scene.live() == scene.releases()[1]);
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
    assert_eq!(files.lines().collect::<Vec<_>>(), ["./lists", "./package.json", "./page"]);
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
