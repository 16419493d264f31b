//! The access log: what is in it and what is not, what it survives, and what is made of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::load::{Load, Shape};
use crate::common::pebble::Pebble;
use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, http, proc, until};
use crate::place::{Place, serving};
use crate::tls::Edge;

pub(crate) const TESTS: &[Test] = tests![
    a_request_is_a_line,
    secrets_are_in_no_file,
    only_requests_for_services_are_lines,
    lines_survive_swaps_and_kills,
    access_logs_are_bounded,
    figures_are_those_of_what_was_asked,
    an_edge_may_keep_no_log
];

/// The lines that `core logs --access` has.
fn lines(place: &Place, words: &[&str]) -> Vec<Value> {
    let said = place.stack.core(&[&["logs", "--access", "--json", "-n", "all"], words].concat());
    said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Those of requests for this path, once there are so many.
fn lines_of(place: &Place, path: &str, count: usize) -> Vec<Value> {
    eventually("they are written", || {
        let all = lines(place, &[]);
        let of: Vec<Value> = all.into_iter().filter(|line| line["path"] == path).collect();
        (of.len() >= count).then_some(of)
    })
}

fn a_request_is_a_line() {
    let place = Place::new(&serving(&[], json!({})));
    let headers =
        [("User-Agent", "a \"client\""), ("Referer", "http://other.test/page?q=1#part"), ("Host", "a.test:80")];
    let url = format!("http://{}/some/page?q=2", place.address);
    http::request("GET", &url, &headers, "").expect("an answer");
    let line = lines_of(&place, "/some/page", 1).remove(0);
    let expected = json!({
        "service": "web", "method": "GET", "host": "a.test", "path": "/some/page", "status": 200, "client": "127.0.0.1",
        "user_agent": "a \"client\"", "referer": "http://other.test/page", "complete": true,
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&line[key], value, "{line}");
    }
    assert!(line["protocol"].as_str().expect("a text").starts_with("HTTP/1."), "{line}");
    assert!(line["bytes"].as_u64() > Some(0) && line["duration_ms"].as_f64() > Some(0.0), "{line}");
    // Proxies that are trusted say who the client is, and others do not.
    let from = |path: &str| {
        let url = format!("http://{}{path}", place.address);
        http::request("GET", &url, &[("X-Forwarded-For", "192.0.2.7")], "").expect("an answer");
        lines_of(&place, path, 1)[0]["client"].as_str().expect("a text").to_owned()
    };
    assert_eq!(from("/claimed"), "127.0.0.1");
    place.replace("caddy", |caddy| caddy["config"] = json!({"trusted_proxies": ["127.0.0.1"]}));
    assert_eq!(from("/forwarded"), "192.0.2.7");
    // For people, and for other programs; also when nothing runs.
    place.stack.ok(&["down"]);
    let said = place.stack.ok(&["logs", "--access", "web"]).out;
    assert!(said.lines().any(|line| line.contains(" web ") && line.ends_with("a.test/some/page")), "{said}");
    let said = place.stack.ok(&["logs", "--access", "--combined"]).out;
    let is_combined = |line: &str| {
        line.starts_with("127.0.0.1 - - [") && line.contains("] \"GET /some/page HTTP/1.") && line.contains("\" 200 ")
    };
    assert!(said.lines().any(is_combined), "{said}");
    let last = place.stack.ok(&["logs", "--access", "--json", "-n", "1"]).out;
    assert!(last.lines().count() == 1 && last.contains("/forwarded"), "{last}");
    assert_eq!(lines(&place, &["--since", "1h"]).len(), lines(&place, &[]).len());
    assert_eq!(lines(&place, &["--since", "2000-01-01T00:00:00Z", "caddy"]), Vec::<Value>::new());
}

fn secrets_are_in_no_file() {
    const SECRET: &str = "sesame-4711";
    let place = Place::new(&serving(&[], json!({})));
    let said = |name: &'static str, value: String| (name, value);
    let headers = [
        said("Authorization", format!("Bearer {SECRET}")),
        said("Proxy-Authorization", format!("Basic {SECRET}")),
        said("Cookie", format!("session={SECRET}")),
        said("X-Api-Key", SECRET.into()),
        said("Referer", format!("http://other.test/reset?token={SECRET}#{SECRET}")),
    ];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ask = |path: &str| http::request("GET", &format!("http://{}{path}", place.address), &headers, "");
    assert!(ask(&format!("/told?token={SECRET}&b={SECRET}")).is_some());
    // Caddy says something of answers that break off, too.
    ask(&format!("/torn/1?token={SECRET}"));
    lines_of(&place, "/told", 1);
    assert_eq!(lines_of(&place, "/torn/1", 1)[0]["complete"], false);
    until("it has said so", || place.stack.lines("caddy").iter().any(|line| line.contains("/torn/1")));
    place.stack.ok(&["down"]);
    let (mut files, mut logs) = (0, 0);
    walk(&place.stack.root, &mut |path, bytes| {
        files += 1;
        logs += usize::from(path.extension().is_some_and(|ending| ending == "log"));
        let is_in = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!is_in, "{} has it", path.display());
    });
    assert!(files > 10 && logs > 2, "{files} files, {logs} logs");
}

/// Passes all files below a folder; links, to where programs are, are not followed.
fn walk(folder: &Path, each: &mut dyn FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let kind = entry.file_type().expect("its kind");
        if kind.is_dir() {
            walk(&entry.path(), each);
        } else if kind.is_file() {
            each(&entry.path(), &fs::read(entry.path()).expect("it is ours"));
        }
    }
}

/// Not those of a CA, nor redirects, nor core's own, nor those that no service has a route for.
fn only_requests_for_services_are_lines() {
    let mut pebble = None;
    let config = |plain, secure| pebble.insert(Pebble::new(plain, secure)).config();
    let edge = Edge::new(config, &["a.test"]);
    let pebble = pebble.expect("it was made");
    let client = pebble.client();
    until("it has a certificate", || client.get(&edge.address(), "a.test", "/is-one").is_ok());
    assert!(edge.redirected("a.test", "/redirected").starts_with("HTTP/1.0 308"));
    edge.redirected("other.test", "/not-ours");
    let said = eventually("it is written", || {
        client.get(&edge.address(), "a.test", "/is-one").ok()?;
        let said = edge.stack.core(&["logs", "--access", "--json", "-n", "all"]).out;
        (said.lines().count() > 1).then_some(said)
    });
    let paths: Vec<String> = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["path"].as_str().expect("a text").to_owned())
        .collect();
    assert!(paths.iter().all(|path| path == "/is-one"), "{paths:?}");
    // Nothing is left out by the reader only.
    walk(&edge.stack.root.join(".data/caddy/access"), &mut |_, bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        assert!(text.lines().all(|line| line.contains("\"uri\":\"/is-one\"")), "{text}");
    });
}

fn lines_survive_swaps_and_kills() {
    let place = Place::new(&serving(&[], json!({})));
    let load = place.load_of(false);
    for round in 0..2 {
        place.replace("caddy", |caddy| caddy["process"]["env"]["EDIT"] = json!(format!("{round}")));
    }
    let supervisor = place.stack.supervisor();
    proc::kill(supervisor);
    until("another one runs", || !proc::lives(supervisor) && place.stack.supervisor() != supervisor);
    until("it lasts a while", || load.began.elapsed() > Duration::from_secs(3));
    let outcome = load.end();
    assert!(outcome.failures().is_empty(), "{:?}", outcome.failures());
    // Each request is there, once, whoever wrote it.
    let all = lines_of(&place, "/", outcome.samples.len());
    assert_eq!(all.len(), outcome.samples.len());
    let times: Vec<&str> = all.iter().map(|line| line["time"].as_str().expect("a text")).collect();
    assert!(times.is_sorted(), "in the order of time");
    let files = || fs::read_dir(place.stack.root.join(".data/caddy/access")).expect("the logs").count();
    assert_eq!(files(), 3, "one of each instance");
    // What was written before it was killed is there, and it goes on in the same file.
    let pid = place.stack.pid("caddy");
    assert!(place.get("/before").is_some());
    lines_of(&place, "/before", 1);
    proc::kill(pid);
    place.stack.next_pid("caddy", pid);
    assert!(place.get("/after").is_some());
    lines_of(&place, "/after", 1);
    assert_eq!(lines_of(&place, "/before", 1).len(), 1);
    assert_eq!(files(), 3);
}

fn access_logs_are_bounded() {
    const LIMIT: u64 = 2 << 20;
    let place = Place::new(&serving(&[], json!({})));
    let folder = place.stack.root.join(".data/caddy/access");
    // One may go meanwhile.
    let sizes = || fs::read_dir(&folder).expect("the logs").flatten().filter_map(|file| file.metadata().ok());
    let size = || sizes().map(|meta| meta.len()).sum::<u64>();
    place.replace("caddy", |caddy| {
        caddy["config"] = json!({"deny": ["127.0.0.0/8"]});
        caddy["process"]["compose"]["log_configuration"] = json!({"rotation": {"max_size_mb": 1, "max_backups": 2}});
    });
    // The edge answers these by itself, and a path may be long.
    let path = format!("/{}", "x".repeat(4000));
    let load = Load::begin(Shape {
        address: place.address.clone(),
        asks: vec![(hyper::Method::GET, path.clone())],
        clients: 4,
        rate: None,
        fresh: false,
        headers: Vec::new(),
        tls: None,
    });
    until("it was rolled", || sizes().count() > 2);
    let began = Instant::now();
    let mut largest = 0;
    until("it was rolled a few times more", || {
        largest = largest.max(size());
        began.elapsed() > Duration::from_secs(4)
    });
    let asked = load.end().samples.len() as u64;
    assert!(asked * path.len() as u64 > 2 * LIMIT, "{asked} requests are too few");
    // One more may be there for a moment: the edge removes what it has rolled after it went on.
    assert!(largest <= LIMIT + (2 << 20), "{largest} bytes");
    assert!(lines(&place, &[]).len() > 100, "the newest are there");
}

fn figures_are_those_of_what_was_asked() {
    let stack = Stack::with_programs();
    let mut ill = serving(&["--not-through-an-edge"], json!({}));
    ill["route"]["paths"] = json!(["/ill"]);
    stack.service("ill", &ill);
    let place = Place::of(stack, &serving(&[], json!({})));
    let ask = |path: &str, count: u32, status: u16| {
        for _ in 0..count {
            assert_eq!(place.get(path).expect("an answer").0, status, "{path}");
        }
    };
    ask("/", 60, 200);
    ask("/slow/150", 20, 200);
    ask("/_next/image?x", 10, 404);
    ask("/ill", 10, 500);
    until("all are written", || lines(&place, &[]).len() == 100);
    let top = |words: &[&str]| {
        let said = place.stack.ok(&[&["top", "--json", "--window", "600"], words].concat()).out;
        serde_json::from_str::<Value>(&said).expect("JSON")
    };
    let all = top(&[]);
    let (web, ill, total) = (&all["services"]["web"], &all["services"]["ill"], &all["total"]);
    assert_eq!((&all["window_seconds"], &total["requests"]), (&json!(600), &json!(100)), "{all}");
    assert_eq!((&web["requests"], &web["client_errors"], &web["server_errors"]), (&json!(90), &json!(10), &json!(0)));
    assert_eq!((&ill["requests"], &ill["server_error_percent"]), (&json!(10), &json!(100.0)), "{all}");
    assert_eq!((&total["server_errors"], &total["client_errors"]), (&json!(10), &json!(10)), "{all}");
    let per_second = total["per_second"].as_f64().expect("a number");
    assert!((per_second - 100.0 / 600.0).abs() < 1e-9, "{all}");
    // A fifth of those of `web` took so long at least.
    assert!(web["p99_ms"].as_f64() >= Some(150.0) && web["p50_ms"].as_f64() <= web["p99_ms"].as_f64(), "{all}");
    assert_eq!(top(&["ill"])["total"]["requests"], 10);
    // Also when nothing runs; and without a terminal it is printed once.
    place.stack.ok(&["down"]);
    let said = place.stack.ok(&["top", "--window", "600"]).out;
    assert!(said.lines().any(|line| line.starts_with("ill") && line.contains("100.0%")), "{said}");
    assert!(said.lines().any(|line| line.starts_with("total")), "{said}");
}

fn an_edge_may_keep_no_log() {
    let place = Place::new(&serving(&[], json!({})));
    place.replace("caddy", |caddy| caddy["config"] = json!({"access_log": false}));
    assert!(place.get("/unseen").is_some());
    place.replace("caddy", |caddy| caddy["config"] = json!({}));
    assert!(place.get("/seen").is_some());
    lines_of(&place, "/seen", 1);
    assert!(lines(&place, &[]).iter().all(|line| line["path"] != "/unseen"));
}
