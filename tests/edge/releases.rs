//! Deploys and rollbacks under load. The app is one whose `node` only plays Node.js: what it serves is the fixture, with
//! the words that are in the release.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, proc, put_program, until};
use crate::fixture;
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] = tests![
    a_rollback_takes_no_boot,
    a_rollback_goes_on_while_the_deploy_is_watched,
    what_is_warm_ends_first,
    a_release_that_crashes_while_it_is_watched_is_put_back,
    a_release_that_is_not_well_is_never_used,
    deploys_in_a_row_lose_nothing,
];

/// Plays node: packages are there at once, a build copies the app, and the server is the fixture.
const NODE: &str = r#"#!/bin/sh
case "$1" in
--version) echo v20.20.2; exit ;;
*npm-cli.js) [ -e offline ] && echo "npm error network request to the registry failed" >&2 && exit 1
    mkdir -p node_modules/next && echo '{"version": "16.4.6"}' > node_modules/next/package.json; exit ;;
*server.js) cd "$(dirname "$1")" && exec "$FIXTURE" fixture serve "$2" $(cat words) ;;
esac
[ -e fails ] && echo "Type error: there is no such page" >&2 && exit 3
[ -e eats ] && { head -c 600m /dev/zero | tail > /dev/null || exit 1; }
[ -e hangs ] && touch "$FIXTURE_AT.building" && sleep 1000
to=.next/standalone
mkdir -p $to .next/static/chunks .next/static/media && echo static > .next/static/file
echo built > .next/BUILD_ID
[ -e rules ] && cp rules .next/routes-manifest.json
[ -e settings ] && cp settings .next/required-server-files.json
cp page ".next/static/chunks/$(cat page).js"
cp page ".next/static/media/$(cat page).png"
cp words page $to/
[ -e big ] && { head -c 5m /dev/zero > $to/big || exit 1; }
[ -e serverless ] || echo server > $to/server.js
"#;

pub(crate) struct Scene {
    pub(crate) place: Place,
}

impl Scene {
    /// With the first release up, behind the edge.
    pub(crate) fn new(update: Value) -> Self {
        Self::on(Stack::with_programs(), update)
    }

    /// The same in a stack that was prepared.
    pub(crate) fn on(stack: Stack, update: Value) -> Self {
        let node = stack.root.join("node");
        put_program(&node.join("bin/node"), NODE);
        put_program(&node.join("lib/node_modules/npm/bin/npm-cli.js"), "");
        let path = format!("{}:{}", node.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let stack = stack.env("PATH", &path).env("FIXTURE", &fixture::command());
        let at = stack.root.join("at").display().to_string();
        let stack = stack.env("FIXTURE_AT", &at);
        for (name, text) in [("package.json", "{}"), ("package-lock.json", "{}"), ("words", ""), ("page", "first")] {
            stack.write(&format!("app/{name}"), text);
        }
        let mut web = serving(&[], update);
        web["binaries"] = json!([{"name": "app", "source": "next-build", "path": "app"},
            {"name": "node", "source": "path", "version": ">=20"}]);
        web["process"]["command"] = json!("${dep.node}");
        web["process"]["args"] = json!(["${dep.app}/server.js", "${port.http}"]);
        Self { place: Place::of(stack, &web) }
    }

    pub(crate) fn stack(&self) -> &Stack {
        &self.place.stack
    }

    /// The release that the link for people names.
    pub(crate) fn live(&self) -> String {
        let link = fs::read_link(self.stack().root.join(".releases/web/current")).expect("a link");
        link.display().to_string()
    }

    pub(crate) fn try_deploy(&self, page: &str, words: &str) -> Said {
        self.stack().write("app/page", page);
        self.stack().write("app/words", words);
        self.stack().core(&["deploy"])
    }

    /// Deploys a page, and returns its release.
    pub(crate) fn deploy(&self, page: &str) -> String {
        let said = self.try_deploy(page, "");
        assert_eq!(said.code, 0, "{said:?}");
        self.live()
    }

    /// The instances of the app with this role: release and PID.
    pub(crate) fn with_role(&self, role: &str) -> Vec<(String, u32)> {
        let all = self.stack().instances("web");
        let with = all.iter().filter(|one| one["role"] == role);
        with.map(|one| {
            let pid = one["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a PID");
            (one["release"].as_str().expect("a release").to_owned(), pid)
        })
        .collect()
    }

    /// Who answers.
    pub(crate) fn answering(&self) -> u32 {
        let (status, body) = self.place.get("/").expect("an answer");
        assert_eq!(status, 200);
        body.trim().rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a PID")
    }

    /// What a process was told to be, by the file that its environment names.
    fn told(pid: u32) -> String {
        let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("an environment");
        let value = |name: &str| environment.split('\0').find_map(|one| one.strip_prefix(name)).map(str::to_owned);
        assert_eq!(value("CORE_RELEASE_ROLE="), Some("live".into()), "as it was started");
        let file = value("CORE_RELEASE_ROLE_FILE=").expect("a file");
        fs::read_to_string(file).expect("it").trim().to_owned()
    }

    fn adjustment(pid: u32) -> i32 {
        let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("it lives");
        text.trim().parse().expect("a number")
    }
}

pub(crate) fn update() -> Value {
    json!({"observe_seconds": 0.3, "ramp_seconds": 0.3, "ready_seconds": 4, "warm_minutes": 10})
}

/// The process that served before is there, and gets the requests again; no other service is touched.
fn a_rollback_takes_no_boot() {
    let scene = Scene::new(update());
    let first = scene.live();
    let (caddy, one) = (scene.stack().pid("caddy"), scene.stack().pid("web"));
    let load = scene.place.load();
    let second = scene.deploy("second");
    until("the first is warm", || scene.with_role("warm") == [(first.clone(), one)]);
    let two = scene.with_role("live")[0].1;
    assert_eq!((Scene::told(one), Scene::told(two)), ("warm".into(), "live".into()));
    for _ in 0..20 {
        assert_eq!(scene.answering(), two, "what is warm gets no request");
    }
    let shown = scene.stack().ok(&["status"]).out;
    assert!(shown.contains("warm") && shown.contains("kept for `core rollback`"), "{shown}");
    let said = scene.stack().ok(&["rollback"]);
    assert!(said.err.contains(&format!("from {second} to {first}")), "{}", said.err);
    for _ in 0..20 {
        assert_eq!(scene.answering(), one, "when it returns, nobody asks the newer one any more");
    }
    assert_eq!(Scene::told(one), "live");
    until("the newer one has ended", || !proc::lives(two));
    assert_eq!((scene.stack().pids_of("web"), scene.live()), (vec![one], first));
    assert_eq!(scene.stack().pid("caddy"), caddy);
    load.expect_none_lost();
}

/// Before it is known whether the newer one is well, the older one is there all the more.
fn a_rollback_goes_on_while_the_deploy_is_watched() {
    let mut update = update();
    update["observe_seconds"] = json!(60);
    let scene = Scene::new(update);
    let (first, one) = (scene.live(), scene.stack().pid("web"));
    let load = scene.place.load();
    scene.stack().write("app/page", "second");
    let mut deploy = scene.stack().command(&["deploy"]);
    let mut deploy = deploy.stderr(std::process::Stdio::null()).spawn().expect("core");
    until("another one answers", || scene.answering() != one);
    scene.stack().ok(&["rollback"]);
    assert_eq!(scene.answering(), one);
    assert_eq!(scene.live(), first);
    assert!(!deploy.wait().expect("it ends").success(), "nobody says that it is deployed");
    load.expect_none_lost();
}

/// By the kernel's choice; and what ended is not started again.
fn what_is_warm_ends_first() {
    let scene = Scene::new(update());
    let usual = Scene::adjustment(scene.stack().pid("web"));
    let first = scene.live();
    scene.deploy("second");
    until("the first is warm", || !scene.with_role("warm").is_empty());
    let (warm, live) = (scene.with_role("warm")[0].1, scene.with_role("live")[0].1);
    assert!(Scene::adjustment(warm) > usual && Scene::adjustment(live) == usual);
    proc::kill(warm);
    until("it is forgotten", || scene.with_role("warm").is_empty());
    assert_eq!(scene.stack().pids_of("web"), [live]);
    // The way back is the longer one now.
    scene.stack().ok(&["rollback"]);
    assert_eq!(scene.live(), first);
    // Of one that serves again, the kernel thinks as before.
    scene.deploy("third");
    until("it is warm", || !scene.with_role("warm").is_empty());
    scene.stack().ok(&["rollback"]);
    let (release, pid) = scene.with_role("live").remove(0);
    assert_eq!((release, Scene::adjustment(pid)), (first, usual));
}

fn a_release_that_crashes_while_it_is_watched_is_put_back() {
    let mut update = update();
    update["observe_seconds"] = json!(20);
    let scene = Scene::new(update);
    let (first, one) = (scene.live(), scene.stack().pid("web"));
    // The last of the new one may be in the middle of an answer when it dies: that is no matter of the switch.
    let said = scene.try_deploy("second", "--ends-after 3000");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("rolled back") && said.err.contains("exited with 9"), "{}", said.err);
    assert_eq!((scene.answering(), scene.live()), (one, first));
    // It is no release to go back to, and none to go on with.
    scene.stack().ok(&["apply"]);
    assert_eq!(scene.answering(), one);
    assert_eq!(scene.stack().core(&["rollback"]).code, 1);
}

fn a_release_that_is_not_well_is_never_used() {
    let scene = Scene::new(update());
    let (first, one) = (scene.live(), scene.stack().pid("web"));
    let load = scene.place.load();
    for (page, words, why) in [("second", "--is-ill", "500"), ("third", "--ends-after 0", "exited with 9")] {
        let said = scene.try_deploy(page, words);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("rolled back") && said.err.contains(why), "{}", said.err);
        assert_eq!((scene.answering(), scene.live()), (one, first.clone()));
    }
    load.expect_none_lost();
}

fn deploys_in_a_row_lose_nothing() {
    let scene = Scene::new(update());
    let caddy = scene.stack().pid("caddy");
    let load = scene.place.load();
    let (mut longest, mut releases) = (Duration::ZERO, std::collections::BTreeSet::new());
    for page in ["a", "b", "a", "b"] {
        releases.insert(scene.deploy(page));
        until("the one before is warm", || !scene.with_role("warm").is_empty());
        let began = Instant::now();
        scene.stack().ok(&["rollback"]);
        longest = longest.max(began.elapsed());
        until("the newer one has ended", || scene.stack().pids_of("web").len() == 1);
    }
    println!("longest rollback: {longest:?}");
    assert_eq!((releases.len(), scene.stack().pid("caddy")), (2, caddy));
    load.expect_none_lost();
}
