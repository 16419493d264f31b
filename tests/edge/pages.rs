//! What the edge itself answers, by pages of the stack's own.

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{http, proc, until};
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] = tests![the_edge_has_pages_of_its_own];

const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn the_edge_has_pages_of_its_own() {
    let mut web = serving(&[], json!({}));
    web["route"]["hosts"] = json!(["a.test"]);
    let place = Place::new(&web);
    let stack = &place.stack;
    let of = |host: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let all = [&[("Host", host)], headers].concat();
        http::whole("POST", &format!("http://{}{path}", place.address), &all, body).expect("an answer")
    };
    let swap = || {
        let before = stack.pids_of("caddy");
        stack.ok(&["apply"]);
        until("the edge that was has ended", || !before.iter().any(|pid| proc::lives(*pid)));
    };
    let told = || stack.core(&["check"]);
    stack.edit("caddy", |caddy| caddy["config"] = json!({"error_pages": "errors", "limits": {"body_mb": 1}}));
    let said = told();
    assert!(said.code == 2 && said.err.contains("the folder `errors` does not exist"), "{said:?}");
    stack.write("errors/style.css", "");
    let said = told();
    assert!(said.code == 2 && said.err.contains("the folder `errors` has no page"), "{said:?}");
    stack.write("errors/40x.html", "x");
    let said = told();
    assert!(said.code == 2 && said.err.contains("`errors/40x.html` is not named after a status"), "{said:?}");
    std::fs::remove_file(stack.root.join("errors/40x.html")).expect("removed");
    let page = |name: &str, words: &str| {
        stack.write(&format!("errors/{name}.html"), &format!("<style>a {{b: $c}}</style>{{http.request.uri}} {words}"));
    };
    page("404", "not here");
    page("4xx", "not so");
    page("503", "soon again");
    swap();
    let is = |answer: &str, status: u16, words: &str| {
        assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")) && answer.contains(words), "{answer}");
        assert!(answer.contains("Cache-Control: no-store"), "{answer}");
        let kind = if words.contains('<') { "text/html" } else { "text/plain" };
        assert!(answer.contains(&format!("Content-Type: {kind}; charset=utf-8")), "{answer}");
        assert!(words.contains('<') || !answer.contains("<style>"), "{answer}");
    };
    let html = |words: &str| format!("<style>a {{b: $c}}</style>{{http.request.uri}} {words}");
    is(&of("b.test", "/", &[BROWSER], ""), 404, &html("not here"));
    is(&of("b.test", "/", &[], ""), 404, "Nothing is here.");
    is(&of("b.test", "/", &[("Accept", "*/*")], ""), 404, "Nothing is here.");
    // All of it is read before it is refused.
    let large = "x".repeat((1 << 20) + 1);
    is(&of("a.test", "/upload", &[BROWSER], &large), 413, &html("not so"));
    is(&of("a.test", "/upload", &[], &large), 413, "413 Request Entity Too Large");
    // What the app answers is the app's.
    let own = of("a.test", "/_next/image?x", &[BROWSER], "");
    assert!(own.starts_with("HTTP/1.0 404") && own.contains("pid ") && !own.contains("no-store"), "{own}");
    stack.ok(&["stop", "web"]);
    let away = of("a.test", "/", &[BROWSER], "");
    is(&away, 503, &html("soon again"));
    assert!(away.contains("Retry-After: 1"), "{away}");
    let away = of("a.test", "/", &[], "");
    is(&away, 503, "The service is starting or being replaced.");
    assert!(away.contains("Retry-After: 1"), "{away}");
    stack.ok(&["start", "web"]);
    // An edit of a page is one of the manifest; who is refused gets one, too.
    page("403", "not you");
    stack.edit("web", |web| web["route"]["deny"] = json!(["127.0.0.0/8"]));
    swap();
    is(&of("a.test", "/", &[BROWSER], ""), 403, &html("not you"));
    is(&of("a.test", "/", &[], ""), 403, "your network is not admitted");
    // Where a password is asked for, it still is.
    stack.secret("web-users", "ann:$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234\n");
    stack.edit("web", |web| {
        web["route"]["deny"] = json!([]);
        web["route"]["auth"] = json!("basic");
    });
    swap();
    let asked = of("a.test", "/", &[BROWSER], "");
    is(&asked, 401, &html("not so"));
    assert!(asked.contains("Www-Authenticate: Basic"), "{asked}");
}
