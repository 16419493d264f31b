//! Whether names lead to a stack: `core tls check`, with real name servers, a real CA, and other servers on this machine.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::common::pebble::Pebble;
use crate::common::trials::{Test, tests};
use crate::common::{CORE, Said, Stack, eventually, free_port, until};
use crate::place::serving;
use crate::tls::Edge;

pub(crate) const TESTS: &[Test] =
    tests![what_leads_elsewhere_is_named, the_way_of_a_request_does_not_matter, without_an_edge_the_check_answers];

pub(crate) const OF_ROOT: &[Test] = tests![the_first_start_tells_what_a_ca_would_be_refused_by];

/// A server on another address of this machine; it ends when it goes out of sight.
struct Other {
    address: (String, u16),
    goes_on: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Other {
    /// One that answers each connection in this way.
    fn new(address: &str, port: u16, answer: impl Fn(TcpStream) + Send + 'static) -> Self {
        // Connections of other tests may have this number for a moment.
        let listener =
            eventually("the port is free on an address of this machine", || TcpListener::bind((address, port)).ok());
        let goes_on = Arc::new(AtomicBool::new(true));
        let still = goes_on.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take_while(|_| still.load(Ordering::Relaxed)) {
                answer(stream);
            }
        });
        Self { address: (address.to_owned(), port), goes_on, thread: Some(thread) }
    }

    /// One of another name.
    fn foreign(address: &str, port: u16) -> Self {
        Self::new(address, port, |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nServer: other/1.0\r\nContent-Length: 0\r\n\r\n");
        })
    }

    /// One that passes on what it gets to a port of this machine, and has its answers changed.
    fn passing_on(address: &str, port: u16, to: u16, change: fn(Vec<u8>) -> Vec<u8>) -> Self {
        Self::new(address, port, move |mut stream| {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap_or_default();
            let Ok(mut inside) = TcpStream::connect(("127.0.0.1", to)) else { return };
            let mut answer = Vec::new();
            let _ = inside.write_all(&buffer[..count]).and_then(|()| inside.read_to_end(&mut answer));
            let _ = stream.write_all(&change(answer));
        })
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.goes_on.store(false, Ordering::Relaxed);
        let _ = TcpStream::connect((self.address.0.as_str(), self.address.1));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// An edge with certificates for these names, and who tells where they lead.
fn edge(hosts: &[&str]) -> (Edge, Pebble) {
    let mut pebble = None;
    let edge = Edge::new(|plain, secure| pebble.insert(Pebble::new(plain, secure)).config(), hosts);
    let pebble = pebble.expect("it was made");
    let client = pebble.client();
    for host in hosts {
        until("it has a certificate", || client.get(&edge.address(), host, "/").is_ok());
    }
    (edge, pebble)
}

/// What the check says of the names: whether all is well, and what is seen, as JSON.
fn check(stack: &Stack, resolver: &str, ports: (u16, u16), hosts: &[&str]) -> (bool, Value) {
    let (plain, secure) = (ports.0.to_string(), ports.1.to_string());
    let words =
        ["tls", "check", "--json", "--resolver", resolver, "--http-port", &plain, "--https-port", &secure].to_vec();
    let said = stack.core(&[words, hosts.to_vec()].concat());
    let seen: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}{}", said.out, said.err));
    assert_eq!(seen["ok"] == true, said.code == 0, "{seen}");
    (said.code == 0, seen)
}

/// The codes and messages of what is wrong with the first name.
fn faults(seen: &Value) -> Vec<(String, String)> {
    let name = &seen["names"][0];
    let records = name["records"].as_array().cloned().unwrap_or_default();
    let all = records.iter().map(|one| &one["faults"]).chain([&name["faults"], &seen["faults"]]);
    let of = |one: &Value| {
        let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        (word("code"), format!("{}; {}", word("message"), word("help")))
    };
    all.flat_map(|list| list.as_array().cloned().unwrap_or_default()).map(|one| of(&one)).collect()
}

#[track_caller]
fn expect_one(seen: &(bool, Value), code: &str, words: &[&str]) {
    let all = faults(&seen.1);
    assert!(!seen.0, "{}", seen.1);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(all[0].0, code, "{all:#?}");
    assert!(words.iter().all(|word| all[0].1.contains(word)), "{all:#?}");
}

fn what_leads_elsewhere_is_named() {
    let (edge, pebble) = edge(&["a.test", "b.test"]);
    let ports = (edge.plain, edge.secure);
    let check = |hosts: &[&str]| check(&edge.stack, &pebble.resolver(), ports, hosts);
    let (is_well, seen) = check(&[]);
    assert!(is_well, "{seen}");
    assert_eq!(seen["answering"]["by"], "edge");
    for name in seen["names"].as_array().expect("names") {
        assert_eq!(name["records"].as_array().map(Vec::len), Some(1), "there are A records only: {name}");
        let record = &name["records"][0];
        assert_eq!((&record["family"], &record["leads_here"]), (&json!("A"), &json!(true)));
        let certificate = &record["addresses"][0]["secure"]["reached"];
        assert!(certificate["issuer"].as_str().is_some_and(|issuer| issuer.contains("Pebble")), "{certificate}");
        assert_eq!((&certificate["is_for_name"], &certificate["is_over"]), (&json!(true), &json!(false)));
    }
    // Nothing listens there; then another server does.
    pebble.lead("a.test", "127.0.0.2");
    let closed = check(&["a.test"]);
    assert_eq!(faults(&closed.1).len(), 2, "both ports: {}", closed.1);
    assert!(faults(&closed.1).iter().all(|(code, text)| code == "port-closed" && text.contains("refuses")));
    let other = Other::foreign("127.0.0.2", edge.plain);
    expect_one(&check(&["a.test"]), "leads-elsewhere", &["the A record of `a.test`, 127.0.0.2", "(other/1.0)"]);
    drop(other);
    // Of both families, one is wrong.
    pebble.lead("b.test", "::1");
    let other = Other::foreign("::1", edge.plain);
    let seen = check(&["b.test"]);
    expect_one(&seen, "leads-elsewhere", &["AAAA record of `b.test`, ::1", "the A record is right", "remove the AAAA"]);
    let said = edge.stack.core(&[
        "tls",
        "check",
        "--resolver",
        &pebble.resolver(),
        "--http-port",
        &ports.0.to_string(),
        "--https-port",
        &ports.1.to_string(),
        "b.test",
    ]);
    assert!(said.out.contains("✓  b.test  A       127.0.0.1  leads here; certificate of Pebble"), "{}", said.out);
    assert!(said.out.contains("✗  b.test  AAAA    ::1        does not lead here"), "{}", said.out);
    drop(other);
    // Who may issue is read, from the nearest name that says it.
    pebble.of_names("add-caa", &json!({"host": "test.", "policies": [{"tag": "issue", "value": "ca.example"}]}));
    pebble.lead("a.test", "127.0.0.1");
    let (is_well, seen) = check(&["a.test"]);
    assert!(is_well, "{seen}");
    assert_eq!(seen["names"][0]["caa"], json!(["test", ["ca.example"]]));
    pebble.of_names("set-servfail", &json!({"host": "a.test."}));
    expect_one(&check(&["a.test"]), "dns-failed", &["SERVFAIL"]);
    pebble.of_names("set-default-ipv4", &json!({"ip": ""}));
    expect_one(&check(&["c.test"]), "no-address", &["`c.test` has neither an A nor an AAAA record"]);
}

/// A router passes connections on, from other ports; a CDN answers in its own name.
fn the_way_of_a_request_does_not_matter() {
    let (edge, pebble) = edge(&["a.test"]);
    let ports = (free_port(), edge.secure);
    pebble.lead("a.test", "127.0.0.3");
    let router = Other::passing_on("127.0.0.3", ports.0, edge.plain, |answer| answer);
    let (_, seen) = check(&edge.stack, &pebble.resolver(), ports, &["a.test"]);
    assert_eq!(seen["names"][0]["records"][0]["leads_here"], true, "{seen}");
    // The router forgets the other port.
    expect_one(&(false, seen), "port-closed", &[&format!("port {} of 127.0.0.3", ports.1)]);
    drop(router);
    let named = |answer: Vec<u8>| String::from_utf8_lossy(&answer).replace("Server: Caddy", "Server: cdn").into_bytes();
    let cdn = Other::passing_on("127.0.0.3", ports.0, edge.plain, named);
    let secure = Other::foreign("127.0.0.3", ports.1);
    let seen = check(&edge.stack, &pebble.resolver(), ports, &["a.test"]);
    expect_one(&seen, "proxy-in-front", &["`a.test` comes here through another server (cdn)"]);
    drop((cdn, secure));
    // Nobody else learns anything: without a check, and beside one, requests go on as if it were not.
    let folder = edge.stack.run_folder().expect("a run folder").join("edge/.here");
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 0);
    let path = "/.well-known/core-stack/x";
    assert!(edge.redirected("a.test", path).starts_with("HTTP/1.0 308"));
    fs::write(folder.join("x"), "secret").expect("a file");
    assert!(edge.redirected("a.test", path).ends_with("secret"));
    for other in ["/.well-known/core-stack/", "/.well-known/core-stack/y", "/.well-known/x"] {
        assert!(edge.redirected("a.test", other).starts_with("HTTP/1.0 308"), "{other}");
    }
}

fn without_an_edge_the_check_answers() {
    let (stack, plain, secure) = (Stack::with_programs(), free_port(), free_port());
    let pebble = Pebble::new(plain, secure);
    let ports = json!({"http": {"port": plain}, "https": {"port": secure}});
    stack.service("caddy", &json!({"kind": "caddy", "ports": ports, "config": pebble.config()}));
    let mut web = serving(&[], json!({}));
    web["route"]["hosts"] = json!(["a.test"]);
    stack.service("web", &web);
    let check = || check(&stack, &pebble.resolver(), (plain, secure), &[]);
    let (is_well, seen) = check();
    assert!(is_well, "{seen}");
    assert_eq!(seen["answering"]["by"], "check");
    assert_eq!(seen["names"][0]["records"][0]["leads_here"], true);
    // Its ports are free again, and those of another program are not its own.
    let _other = Other::foreign("127.0.0.1", plain);
    let seen = check();
    let all = faults(&seen.1);
    assert_eq!(all.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["port-closed", "not-shown"], "{all:#?}");
    assert!(all[1].1.contains(&format!("has port {plain}")) && all[1].1.contains("process"), "{all:#?}");
    assert_eq!(seen.1["names"][0]["records"][0]["leads_here"], Value::Null);
}

/// The name server of this machine knows no name: another one, in a view of the file system of its own.
fn the_first_start_tells_what_a_ca_would_be_refused_by() {
    const SERVER: &str = "127.0.0.99";
    let socket = UdpSocket::bind((SERVER, 53)).expect("the port of name servers");
    let thread = std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut query) {
            if count == 0 {
                break;
            }
            // Its answer: that the name does not exist.
            query[2..4].copy_from_slice(&[0x81, 0x83]);
            let _ = socket.send_to(&query[..count], from);
        }
    });
    let stack = Stack::with_programs();
    let ports = json!({"http": {"port": free_port()}, "https": {"port": free_port()}});
    stack
        .service("caddy", &json!({"kind": "caddy", "ports": ports, "config": {"email": "a@b.example", "tls": "auto"}}));
    let mut web = serving(&[], json!({}));
    web["route"]["hosts"] = json!(["missing.test"]);
    stack.service("web", &web);
    stack.write("resolv.conf", &format!("nameserver {SERVER}\n"));
    let script = "mount --bind resolv.conf /etc/resolv.conf && exec \"$0\" up -d --timeout 120";
    let mut up = Command::new("unshare");
    up.args(["--mount", "sh", "-c", script, CORE]).current_dir(&stack.root).stdin(Stdio::null());
    let said = Said::of(up.output().expect("unshare runs"));
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("warning: `missing.test` has neither an A nor an AAAA record"), "{}", said.err);
    assert!(said.err.contains("`core tls check` says what to do"), "{}", said.err);
    let end = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    end.send_to(&[], (SERVER, 53)).expect("sent");
    thread.join().expect("it ends");
}
