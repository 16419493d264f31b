//! On which terms clients are answered: headers, limits, networks, further names.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{PATIENCE, http};
use crate::place::{Place, serving};
use crate::tls::internal;

pub(crate) const TESTS: &[Test] =
    tests![good_headers_are_added_with_certificates, clients_are_limited, clients_are_admitted_by_network];

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(have, _)| have.eq_ignore_ascii_case(name)))
        .map(|one| one.1)
}

fn good_headers_are_added_with_certificates() {
    let (edge, client) = internal();
    let get = |path: &str| client.get(&edge.address(), "a.test", path).expect("an answer");
    let plain = get("/");
    assert_eq!(header(&plain, "X-Content-Type-Options"), Some("nosniff"), "{plain}");
    assert_eq!(header(&plain, "X-Frame-Options"), Some("SAMEORIGIN"), "{plain}");
    assert_eq!(header(&plain, "Referrer-Policy"), Some("strict-origin-when-cross-origin"), "{plain}");
    // Nobody may be bound to a certificate that only this machine trusts.
    assert_eq!(header(&plain, "Strict-Transport-Security"), None, "{plain}");
    edge.stack.edit("caddy", |caddy| {
        caddy["config"]["headers"] = json!({"X-Frame-Options": false, "Content-Type": "application/x-other"});
    });
    edge.stack.edit("web", |web| {
        web["route"]["headers"] = json!({"Referrer-Policy": "no-referrer", "X-Mine": "yes"});
        web["route"]["redirect_hosts"] = json!(["www.a.test"]);
    });
    edge.swap("headers", || ());
    let own = get("/");
    assert_eq!(header(&own, "X-Frame-Options"), None, "{own}");
    assert_eq!(header(&own, "Referrer-Policy"), Some("no-referrer"), "{own}");
    assert_eq!(header(&own, "X-Mine"), Some("yes"), "{own}");
    // The app's own always wins.
    let stream = get("/stream/1");
    assert_eq!(header(&stream, "Content-Type"), Some("text/event-stream"), "{stream}");
    let further = client.get(&edge.address(), "www.a.test", "/x?y").expect("an answer");
    assert!(further.starts_with("HTTP/1.0 308"), "{further}");
    let to = format!("https://a.test:{}/x?y", edge.secure);
    assert_eq!(header(&further, "Location"), Some(to.as_str()), "{further}");
    // In one step, also without a certificate.
    let further = edge.redirected("www.a.test", "/x?y");
    assert_eq!(header(&further, "Location"), Some(to.as_str()), "{further}");
}

fn clients_are_limited() {
    let place = Place::new(&serving(&[], json!({})));
    let large = "x".repeat(3 << 20);
    // Who is refused is answered before all was sent.
    let status_of = |head: &str, body: &str| {
        let mut stream = TcpStream::connect(&place.address).expect("the edge");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let head = format!("{head}\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        let mut answer = [0; 64];
        let count = stream.read(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..count]).split(' ').nth(1).expect("a status").to_owned()
    };
    let post = |body: &str| status_of("POST /upload HTTP/1.0", body);
    assert_eq!(post(&large), "200");
    place.replace("caddy", |caddy| {
        caddy["config"] = json!({"limits": {"header_kb": 8, "body_mb": 1, "header_seconds": 1}});
    });
    assert_eq!(post(&large), "413");
    assert_eq!(post(&large[..1 << 20]), "200");
    assert_eq!(status_of(&format!("GET / HTTP/1.0\r\nX-Large: {}", &large[..16 << 10]), ""), "431");
    // Who sends a head without an end is not waited for.
    let mut slow = TcpStream::connect(&place.address).expect("the edge");
    slow.set_read_timeout(Some(PATIENCE)).expect("set");
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").expect("sent");
    let mut rest = Vec::new();
    assert!(slow.read_to_end(&mut rest).is_ok(), "the edge closes it");
    // A service may say otherwise.
    place.edit("web", |web| web["route"]["limits"] = json!({"body_mb": 4}));
    place.replace("caddy", |caddy| caddy["process"]["env"]["EDIT"] = json!("1"));
    assert_eq!(post(&large), "200");
}

fn clients_are_admitted_by_network() {
    let place = Place::new(&serving(&[], json!({})));
    let status = || place.get("/").expect("an answer").0;
    let from = |address: &str| {
        let url = format!("http://{}/", place.address);
        http::request("GET", &url, &[("X-Forwarded-For", address)], "").expect("an answer").0
    };
    let terms = |config: Value| place.replace("caddy", |caddy| caddy["config"] = config);
    terms(json!({"deny": ["127.0.0.0/8"]}));
    assert_eq!(status(), 403);
    // Nobody says of himself that he is another.
    assert_eq!(from("192.0.2.1"), 403);
    terms(json!({"allow": ["192.0.2.0/24"], "trusted_proxies": ["127.0.0.1"]}));
    assert_eq!((status(), from("192.0.2.1"), from("198.51.100.1")), (403, 200, 403));
    terms(json!({}));
    assert_eq!(status(), 200);
    let said = place.stack.ok(&["plan"]).out;
    assert!(!said.contains("web"), "{said}");
    place.stack.edit("web", |web| web["route"]["deny"] = json!(["127.0.0.1/40"]));
    let said = place.stack.core(&["apply"]);
    assert!(said.err.contains("`127.0.0.1/40` in `deny` of `web`"), "{}", said.err);
    assert_eq!(status(), 200);
}
