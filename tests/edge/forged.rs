//! What clients say of themselves, and requests that mean two things: nothing of it reaches an app as truth.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{PATIENCE, http, until};
use crate::place::{Place, serving};
use crate::tls::internal_with;

pub(crate) const TESTS: &[Test] = tests![
    what_a_client_says_of_itself_is_believed_of_trusted_proxies_only,
    a_load_balancer_says_who_the_client_is,
    a_request_means_one_thing
];

/// An address, a host and a scheme that are not the client's.
const FORGED: [(&str, &str); 12] = [
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Proto", "https"),
    ("X-Real-IP", "192.0.2.1"),
    ("Forwarded", "for=192.0.2.1;host=evil.test;proto=https"),
    ("True-Client-IP", "192.0.2.1"),
    ("CF-Connecting-IP", "192.0.2.1"),
    ("X-Forwarded-Port", "192.0.2.1"),
    ("X-Original-URL", "/evil.test"),
    ("X-Core-Anything", "192.0.2.1"),
    ("x_forwarded_for", "192.0.2.1"),
    ("x_real_ip", "192.0.2.1"),
];

fn what_a_client_says_of_itself_is_believed_of_trusted_proxies_only() {
    let place = Place::new(&serving(&[], json!({})));
    let seen = || {
        let url = format!("http://{}/head", place.address);
        let (status, head) = http::request("GET", &url, &FORGED, "").expect("an answer");
        assert_eq!(status, 200, "{head}");
        head.to_ascii_lowercase()
    };
    let head = seen();
    for word in ["192.0.2.1", "evil.test", "https"] {
        assert!(!head.contains(word), "{word}: {head}");
    }
    assert!(head.contains("x-forwarded-for: 127.0.0.1") && head.contains("x-forwarded-proto: http"), "{head}");
    place.replace("caddy", |caddy| caddy["config"] = json!({"trusted_proxies": ["127.0.0.1"]}));
    let head = seen();
    for line in ["x-forwarded-for: 192.0.2.1, 127.0.0.1", "x-forwarded-proto: https", "x-forwarded-host: evil.test"] {
        assert!(head.contains(line), "{line}: {head}");
    }
    // Nobody has checked the others.
    for name in [
        "x-real-ip",
        "forwarded:",
        "true-client-ip",
        "cf-",
        "x-forwarded-port",
        "x-core-anything",
        "x_forwarded_for",
        "x_real_ip",
    ] {
        assert!(!head.lines().any(|line| line.starts_with(name)), "{name}: {head}");
    }
}

/// By the PROXY protocol, with and without TLS.
fn a_load_balancer_says_who_the_client_is() {
    let (edge, client) = internal_with(json!({"proxy_protocol": ["127.0.0.1"]}));
    let first = "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n";
    let request = "GET /head HTTP/1.0\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.3\r\n\r\n";
    let after = |first: &str| {
        let mut tcp = TcpStream::connect(edge.address()).expect("the edge");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a socket");
        tcp.write_all(first.as_bytes()).expect("sent");
        client.exchange_over(tcp, "a.test", request).unwrap_or_default().to_ascii_lowercase()
    };
    let plain = || {
        let mut tcp = TcpStream::connect(("127.0.0.1", edge.plain)).expect("the edge");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a socket");
        tcp.write_all(format!("{first}{request}").as_bytes()).expect("sent");
        let mut answer = String::new();
        let _ = tcp.read_to_string(&mut answer);
        answer
    };
    assert!(after(first).contains("\r\nx-forwarded-for: 192.0.2.1\r\n"), "{}", after(first));
    assert!(after("").contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "who says nothing is who connects");
    assert!(plain().contains(" 308 "), "{}", plain());
    assert_eq!(edge.stack.status()["problems"], json!([]));
    // Of somebody else it is no request.
    edge.stack.edit("caddy", |caddy| caddy["config"]["proxy_protocol"] = json!(["192.0.2.0/24"]));
    edge.stack.ok(&["apply"]);
    until("it is not believed", || after(first).is_empty());
    assert!(after("").contains("\r\nx-forwarded-for: 127.0.0.1\r\n"));
    assert!(plain().contains(" 400 "), "{}", plain());
}

fn a_request_means_one_thing() {
    let place = Place::new(&serving(&[], json!({})));
    let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // All answers on a connection that sends this and waits until the edge closes it.
    let answers = |request: &str| {
        let mut stream = TcpStream::connect(&place.address).expect("the edge");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        text.match_indices("HTTP/1.1 ").map(|(at, word)| text[at + word.len()..][..3].to_owned()).collect::<Vec<_>>()
    };
    let post = |headers: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}");
    // What two servers could read as one request or as two.
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: chunked, identity\r\nContent-Length: 5",
        "Transfer-Encoding : chunked\r\nContent-Length: 5",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
    ] {
        let said = answers(&post(headers, &format!("0\r\n\r\n{hidden}")));
        assert!(said.len() == 1 && (said[0] == "400" || said[0] == "501"), "{headers}: {said:?}");
    }
    // A chunked body ends where it says, whatever length is said beside it, and what follows is a request of its own.
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 5";
    assert_eq!(answers(&post(both, &format!("0\r\n\r\n{hidden}"))), ["200", "200"]);
    // The app gets each of them by the edge's own words.
    let url = format!("http://{}/head", place.address);
    let head = http::request("POST", &url, &[("Connection", "X-Forwarded-For")], "x").expect("an answer").1;
    assert!(head.to_ascii_lowercase().contains("x-forwarded-for: 127.0.0.1"), "{head}");
}
