//! Certificates: from a real CA, and from Caddy's own.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::load::{Load, Shape};
use crate::common::pebble::Pebble;
use crate::common::tls::Client;
use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, free_port, http, manifests, proc, until};
use crate::place::{Loads, serving};

pub(crate) const TESTS: &[Test] = tests![
    a_ca_of_its_own_does_for_this_machine,
    certificates_come_from_a_real_ca,
    a_ca_that_fails_is_told_of_and_harms_nobody,
    an_edge_with_certificates_is_swapped_without_a_loss,
    who_dies_in_a_swap_of_certificates_costs_nothing,
    a_killed_edge_refuses_nobody
];

/// An edge with certificates: where it listens, without and with them.
pub(crate) struct Edge {
    pub(crate) stack: Stack,
    pub(crate) plain: u16,
    pub(crate) secure: u16,
}

impl Edge {
    pub(crate) fn new(config: impl FnOnce(u16, u16) -> Value, hosts: &[&str]) -> Self {
        let (stack, plain, secure) = (Stack::with_programs(), free_port(), free_port());
        let mut caddy = manifests::edge(config(plain, secure));
        caddy["ports"] = json!({"http": {"port": plain}, "https": {"port": secure}});
        let mut web = serving(&[], json!({}));
        web["route"]["hosts"] = json!(hosts);
        stack.service("caddy", &caddy).service("web", &web);
        stack.ok(&["up", "-d", "--timeout", "120"]);
        Self { stack, plain, secure }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.secure)
    }

    /// Asks for this host without a pause, by connections that are kept and by new ones.
    pub(crate) fn load(&self, client: &Client, host: &str) -> Loads {
        let of = |fresh| {
            Load::begin(Shape {
                address: self.address(),
                asks: vec![(hyper::Method::GET, "/".into()), (hyper::Method::POST, "/".into())],
                clients: 5,
                rate: Some(50),
                fresh,
                headers: Vec::new(),
                tls: Some((client.clone(), host.into())),
            })
        };
        Loads(vec![of(false), of(true)])
    }

    /// Replaces Caddy, does something while both run, and waits until nothing is left of what ran before.
    pub(crate) fn swap(&self, edit: &str, meanwhile: impl FnOnce()) {
        let before = self.stack.pids_of("caddy");
        self.stack.edit("caddy", |caddy| caddy["process"] = json!({"env": {"EDIT": edit}}));
        // Its connection may break.
        let mut apply = self.stack.command(&["apply"]);
        let mut apply = apply.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("core runs");
        until("both run", || self.stack.pids_of("caddy").len() == 2);
        meanwhile();
        until("what ran before has ended", || !before.iter().any(|pid| proc::lives(*pid)));
        apply.wait().expect("it is ours");
    }

    pub(crate) fn redirected(&self, host: &str, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}{path}", self.plain);
        http::whole("GET", &url, &[("Host", host)], "").expect("an answer")
    }
}

fn a_ca_of_its_own_does_for_this_machine() {
    let (edge, client) = internal();
    for host in ["a.test", "web.localhost"] {
        let answer = eventually("it has a certificate", || client.get(&edge.address(), host, "/").ok());
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
    let answer = edge.redirected("a.test", "/x?y=z");
    assert!(answer.starts_with("HTTP/1.0 308"), "{answer}");
    assert!(answer.contains(&format!("Location: https://a.test:{}/x?y=z", edge.secure)), "{answer}");
    let status = edge.stack.status();
    assert_eq!(status["url"], format!("https://localhost:{}/", edge.secure));
    assert_eq!(status["problems"], json!([]));
}

fn certificates_come_from_a_real_ca() {
    let (mut pebble, hosts) = (None, ["a.test", "b.test"]);
    let config = |plain, secure| pebble.insert(Pebble::new(plain, secure)).config();
    let edge = Edge::new(config, &hosts);
    let pebble = pebble.expect("it was made");
    let client = pebble.client();
    for host in hosts {
        let answer = eventually("it has a certificate", || client.get(&edge.address(), host, "/").ok());
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
    let shown = |status: &Value| {
        let all = status["certificates"].as_array().cloned().unwrap_or_default();
        all.iter().filter(|one| one["not_after"].is_string()).count()
    };
    until("status shows them", || shown(&edge.stack.status()) == hosts.len());
    let status = edge.stack.status();
    assert_eq!(status["problems"], json!([]));
    assert_eq!(status["url"], format!("https://a.test:{}/", edge.secure));
}

/// Refusing, answering nonsense, and ended, while another host has its certificate.
fn a_ca_that_fails_is_told_of_and_harms_nobody() {
    let mut pebble = None;
    let config = |plain, secure| pebble.insert(Pebble::new(plain, secure)).config();
    let edge = Edge::new(config, &["a.test"]);
    let mut pebble = pebble.expect("it was made");
    let client = pebble.client();
    let serves = |host: &str| {
        let answer = client.get(&edge.address(), host, "/");
        answer.is_ok_and(|answer| answer.starts_with("HTTP/1.0 200"))
    };
    until("it has a certificate", || serves("a.test"));
    let load = edge.load(&client, "a.test");
    let told = |host: &str, said: &str| {
        until(said, || {
            let problems = edge.stack.status()["problems"].as_array().cloned().unwrap_or_default();
            let has = |one: &Value| {
                let message = one["message"].as_str().unwrap_or_default();
                one["code"] == "no-certificate" && message.contains(host) && message.contains(said)
            };
            problems.iter().any(has)
        });
    };
    let want = |hosts: &[&str]| {
        edge.stack.edit("web", |web| web["route"]["hosts"] = json!(hosts));
        edge.stack.ok(&["apply"]);
    };
    // Its name leads to another host.
    pebble.lead("b.test", "127.0.0.2");
    want(&["a.test", "b.test"]);
    told("b.test", "does not reach b.test");
    pebble.lead("b.test", "127.0.0.1");
    // An edge that was just started asks again at once.
    edge.swap("1", || ());
    until("it has its own", || serves("b.test"));
    until("nothing is told any more", || edge.stack.status()["problems"] == json!([]));
    pebble.talk_nonsense();
    want(&["a.test", "b.test", "c.test"]);
    told("c.test", "does not answer as a CA");
    pebble.talk_no_more();
    want(&["a.test", "b.test", "c.test", "d.test"]);
    told("d.test", "is not reached: connection refused");
    load.expect_none_lost();
    assert!(serves("a.test") && serves("b.test"));
}

/// Over TLS, the request of a new connection comes after a handshake: nobody may be cut off between the two.
fn an_edge_with_certificates_is_swapped_without_a_loss() {
    let (edge, client) = internal();
    let load = edge.load(&client, "a.test");
    for round in 0..3 {
        edge.swap(&format!("{round}"), || ());
    }
    load.expect_none_lost();
}

fn who_dies_in_a_swap_of_certificates_costs_nothing() {
    let (edge, client) = internal();
    let load = edge.load(&client, "a.test");
    edge.swap("1", || {
        for _ in 0..2 {
            let supervisor = edge.stack.supervisor();
            proc::kill(supervisor);
            until("another one runs", || !proc::lives(supervisor) && edge.stack.supervisor() != supervisor);
        }
    });
    edge.swap("2", || proc::kill(edge.stack.keeper()));
    load.expect_none_lost();
}

fn a_killed_edge_refuses_nobody() {
    let (edge, client) = internal();
    for _ in 0..3 {
        let pid = edge.stack.pid("caddy");
        proc::kill(pid);
        // Who comes meanwhile waits on the sockets.
        let answer = client.get(&edge.address(), "a.test", "/").expect("an answer");
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        assert!(edge.redirected("a.test", "/").starts_with("HTTP/1.0 308"));
        edge.stack.next_pid("caddy", pid);
    }
}

/// An edge with certificates of a CA of its own, and who trusts that.
pub(crate) fn internal() -> (Edge, Client) {
    internal_with(json!({}))
}

/// The same with further settings.
pub(crate) fn internal_with(mut config: Value) -> (Edge, Client) {
    config["tls"] = json!("internal");
    let edge = Edge::new(|_, _| config, &["a.test"]);
    let root = edge.stack.root.join(".data/caddy/pki/authorities/local/root.crt");
    let client = Client::trusting(&fs::read_to_string(root).expect("its root"));
    until("it has a certificate", || client.get(&edge.address(), "a.test", "/").is_ok());
    (edge, client)
}
