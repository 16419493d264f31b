//! Files of `public/`: the edge serves those of the live release that no rule touches, and the app all others.

use std::fs;
use std::time::UNIX_EPOCH;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Stack, http, proc, until};
use crate::releases::{Scene, update};

pub(crate) const TESTS: &[Test] = tests![
    public_files_are_answered_without_the_app,
    public_files_of_a_canary_are_its_own,
    public_files_are_below_the_base_path_and_a_prefix,
];

/// With two files that say which release they are of; a rule of the app touches one of them.
fn scene() -> Scene {
    let stack = Stack::with_programs();
    let rules = json!({"headers": [{"source": "/ruled.txt", "regex": "^/ruled\\.txt$", "headers": []}]});
    stack.write("app/rules", &rules.to_string());
    say(&stack, "first");
    Scene::on(stack, update())
}

fn say(stack: &Stack, text: &str) {
    for name in ["page.txt", "ruled.txt", "below/@2x/page.txt"] {
        stack.write(&format!("app/public/{name}"), text);
    }
}

fn ask(scene: &Scene, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let url = format!("http://{}{path}", scene.place.address);
    http::request(method, &url, headers, "").expect("an answer")
}

fn expect_app(scene: &Scene, method: &str, path: &str, headers: &[(&str, &str)]) {
    let (status, body) = ask(scene, method, path, headers);
    assert!(status == 200 && body.starts_with("pid "), "{method} {path} {headers:?}: {status} {body}");
}

fn public_files_are_answered_without_the_app() {
    let scene = scene();
    let (first, one) = (scene.live(), scene.stack().pid("web"));
    // The fixture answers everything that it is asked with its PID.
    let edges = |text: &str| {
        for path in ["/page.txt", "/page.txt?a=/../b", "/below/@2x/page.txt"] {
            assert_eq!(ask(&scene, "GET", path, &[]), (200, text.into()), "{path}");
        }
        expect_app(&scene, "GET", "/ruled.txt", &[]);
    };
    edges("first");
    assert_eq!(ask(&scene, "HEAD", "/page.txt", &[]), (200, String::new()));
    assert_eq!(ask(&scene, "GET", "/page.txt", &[("Range", "bytes=1-3")]), (206, "irs".into()));
    let date = fs::metadata(scene.stack().root.join(".releases/web/current/app/public/page.txt"));
    let date = date.and_then(|meta| meta.modified()).expect("a date").duration_since(UNIX_EPOCH).expect("a date");
    let millis = (date.as_nanos() + 500_000) / 1_000_000;
    let etag = format!("W/\"5-{millis:x}\"");
    assert_eq!(ask(&scene, "GET", "/page.txt", &[("If-None-Match", &etag)]).0, 304);
    let url = format!("http://{}/page.txt", scene.place.address);
    let whole = http::whole("GET", &url, &[], "").expect("an answer").to_lowercase();
    let said = ["content-type: text/plain; charset=utf-8", "cache-control: public, max-age=0", "vary: accept-encoding"];
    for line in said {
        assert_eq!(whole.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}: {whole}");
    }
    assert!(whole.contains(&etag.to_lowercase()), "{etag}: {whole}");
    let others = [
        ("POST", "/page.txt"),
        ("GET", "/page.txt/"),
        ("GET", "//page.txt"),
        ("GET", "/%70age.txt"),
        ("GET", "/PAGE.txt"),
        ("GET", "/x/../page.txt"),
        ("GET", "/below%2F@2x/page.txt"),
        ("GET", "/page.txt.etag"),
        ("GET", "/page.txt.br"),
        ("GET", "/none.txt"),
        ("GET", "/below"),
    ];
    for (method, path) in others {
        expect_app(&scene, method, path, &[]);
    }
    let by_id = format!("/{first}/page.txt");
    expect_app(&scene, "GET", &by_id, &[]);
    for header in ["RSC", "If-Range", "If-Match"] {
        expect_app(&scene, "GET", "/page.txt", &[(header, "1")]);
    }
    // An app that answers nothing.
    proc::hold(one);
    assert_eq!(ask(&scene, "GET", "/page.txt", &[]), (200, "first".into()));
    proc::send(one, "CONT");
    say(scene.stack(), "second");
    scene.deploy("second");
    edges("second");
    until("the first is warm", || scene.with_role("warm").len() == 1);
    // A page of the older release gets its own from that.
    expect_app(&scene, "GET", "/page.txt", &[("X-Deployment-Id", &first)]);
    scene.stack().ok(&["rollback"]);
    edges("first");
    // Without the folder, all is as it was before there was one.
    fs::remove_dir_all(scene.stack().root.join(".releases/web/public")).expect("it is there");
    expect_app(&scene, "GET", "/page.txt", &[]);
    let log = scene.stack().lines("caddy").join("\n");
    assert!(!log.contains("\"level\":\"error\""), "{log}");
}

fn public_files_of_a_canary_are_its_own() {
    let scene = scene();
    say(scene.stack(), "second");
    scene.stack().write("app/page", "second");
    scene.stack().ok(&["deploy", "--canary", "50%"]);
    let with = |cookie: &str| ask(&scene, "GET", "/page.txt", &[("Cookie", cookie)]);
    assert_eq!(with("core_share=fff"), (200, "first".into()));
    assert_eq!(with("core_share=000"), (200, "second".into()));
    let canary = scene.release_of("canary");
    assert_eq!(ask(&scene, "GET", "/page.txt", &[("X-Deployment-Id", &canary)]), (200, "second".into()));
    scene.stack().ok(&["rollback"]);
    assert_eq!(with("core_share=000"), (200, "first".into()));
}

fn public_files_are_below_the_base_path_and_a_prefix() {
    let stack = Stack::with_programs();
    stack.write("app/settings", &json!({"config": {"basePath": "/shop"}}).to_string());
    say(&stack, "first");
    let scene = Scene::on(stack, update());
    assert_eq!(ask(&scene, "GET", "/shop/page.txt", &[]), (200, "first".into()));
    expect_app(&scene, "GET", "/page.txt", &[]);
    scene.place.edit("web", |web| {
        web["route"] = json!({"port": "http", "paths": ["/outer"], "strip_prefix": true});
    });
    until("the edge takes the prefix away", || {
        ask(&scene, "GET", "/outer/shop/page.txt", &[]) == (200, "first".into())
    });
    expect_app(&scene, "GET", "/outer/page.txt", &[]);
}
