//! Many hosts: thirty routes over ten of them with certificates, 200 names that redirect to them, and 5,000 networks that
//! are refused. How soon all of it serves, and how soon each kind of edit does, while each host is asked.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use hyper::Method;
use serde_json::{Value, json};

use crate::common::load::{Load, Outcome, Shape};
use crate::common::tls::Client;
use crate::common::{Stack, eventually, free_port, manifests, proc, until};
use crate::figures::Figures;
use crate::fixture;
use crate::place::{Place, rest};
use crate::settings::Settings;

const HOSTS: usize = 10;
/// The routes of each host.
const PATHS: [&str; 3] = ["/", "/b", "/c"];
/// Names that redirect to each host.
const NAMES: usize = 20;
const NETWORKS: usize = 5_000;
/// Requests a second to each host, on connections that are kept and as many on new ones.
const RATE: u32 = 10;
/// From where somebody comes who is refused only after an edit.
const STRANGER: &str = "203.0.113.7";

/// Brings it up, and edits it.
pub(crate) fn take(settings: &Settings, _place: &Place, figures: &mut Figures) {
    let many = Many::new(figures);
    let loads = many.loads();
    rest();
    let mut windows = Vec::new();
    let mut edit = |what: &str, change: &dyn Fn(u64), shows: &dyn Fn(u64) -> bool| {
        let mut spans = Vec::new();
        for round in 1..=settings.rounds {
            many.stack.until_ready();
            let (before, from, began) = (many.stack.pids_of("caddy"), loads[0].began.elapsed(), Instant::now());
            change(round);
            until(what, || shows(round));
            spans.push(began.elapsed());
            until("what ran before has ended", || !before.iter().any(|pid| proc::lives(*pid)));
            windows.push((from, loads[0].began.elapsed()));
            rest();
        }
        spans.sort();
        let rounds = settings.rounds;
        figures.line(&format!("many hosts: {what} after"), spans[spans.len() / 2], &format!("median of {rounds}"));
    };
    edit("other 5,000 networks are refused", &|round| many.refuse(round, round % 2 == 1), &|round| {
        many.asked("h0.test", "/", STRANGER, "").contains(" 403 ") == (round % 2 == 1)
    });
    edit(
        "a route has another header",
        &|round| many.stack.edit("s04", |web| web["route"]["headers"] = json!({"Round": round.to_string()})),
        &|round| many.asked("h1.test", "/b", "", "").contains(&format!("Round: {round}\r\n")),
    );
    edit(
        "a body has another limit",
        &|round| many.stack.edit("caddy", |caddy| caddy["config"]["limits"] = json!({"body_mb": 1 + (round + 1) % 2})),
        &|round| {
            let is_taken = many.asked("h2.test", "/upload", "", &"x".repeat(3 << 19)).contains(" 200 ");
            is_taken == (round % 2 == 0)
        },
    );
    edit("200 other names redirect", &|round| many.redirect(round), &|round| {
        many.redirects(&name(9, NAMES - 1, round), "h9.test")
    });
    let outcome = end(loads);
    figures.note("thirty routes over ten hosts", &outcome, &windows, &format!("{} edits", windows.len()));
    many.stack.ok(&["down"]);
}

/// The stack.
struct Many {
    stack: Stack,
    address: String,
    client: Client,
}

impl Many {
    fn new(figures: &mut Figures) -> Self {
        let (stack, port) = (Stack::with_programs(), free_port());
        stack.write("manifests/local.json", &json!({"ports": {"auto": "30000-30999"}}).to_string());
        let config = json!({"tls": "internal", "trusted_proxies": ["127.0.0.0/8"], "deny": ["file:deny.txt"]});
        let mut caddy = manifests::edge(config);
        caddy["ports"] = json!({"http": {"port": free_port()}, "https": {"port": port}});
        stack.service("caddy", &caddy);
        for number in 0..HOSTS * PATHS.len() {
            let (host, path) = place(number);
            stack.service(&service(number), &web(&host, path));
        }
        let address = format!("127.0.0.1:{port}");
        let none = Client::trusting("");
        let many = Self { stack, address, client: none };
        many.refuse(0, false);
        many.redirect(0);
        let began = Instant::now();
        many.stack.ok(&["up", "-d", "--timeout", "300"]);
        figures.line(
            "many hosts: `core up -d` is done after",
            began.elapsed(),
            "31 services, Caddy was fetched before",
        );
        let root = many.stack.root.join(".data/caddy/pki/authorities/local/root.crt");
        let many = Self { client: Client::trusting(&fs::read_to_string(root).expect("its root")), ..many };
        for host in 0..HOSTS {
            eventually("a host answers", || many.client.get(&many.address, &format!("h{host}.test"), "/").ok());
            for one in 0..NAMES {
                until("a name redirects", || many.redirects(&name(host, one, 0), &format!("h{host}.test")));
            }
        }
        figures.line("many hosts: all 210 names have certificates after", began.elapsed(), "of a CA of its own");
        many.expect_each_route();
        many
    }

    /// Each route leads to its service.
    fn expect_each_route(&self) {
        for number in 0..HOSTS * PATHS.len() {
            let (host, path) = place(number);
            let answer = self.asked(&host, path, "", "");
            let pid = self.stack.pid(&service(number));
            assert!(answer.ends_with(&format!("pid {pid}\n")), "{host}{path}: {answer}");
        }
    }

    /// Refuses other networks; one stranger too, or not.
    fn refuse(&self, round: u64, stranger: bool) {
        let mut text = String::new();
        for one in 0..NETWORKS {
            let _ = writeln!(text, "{}.{}.{}.0/24", 20 + round, one / 256, one % 256);
        }
        if stranger {
            text.push_str(STRANGER);
        }
        self.stack.write("deny.txt", &text);
    }

    /// Has other names redirect to each host.
    fn redirect(&self, round: u64) {
        for host in 0..HOSTS {
            let names: Vec<String> = (0..NAMES).map(|one| name(host, one, round)).collect();
            self.stack.edit(&service(host * PATHS.len()), |web| web["route"]["redirect_hosts"] = json!(names));
        }
    }

    fn redirects(&self, name: &str, host: &str) -> bool {
        let answer = self.client.get(&self.address, name, "/x?y").unwrap_or_default();
        answer.starts_with("HTTP/1.0 308")
            && answer.contains(&format!("Location: https://{host}"))
            && answer.contains("/x?y\r\n")
    }

    /// What a host answers to somebody from this address, to a POST of a body if there is one.
    fn asked(&self, host: &str, path: &str, from: &str, body: &str) -> String {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let from = if from.is_empty() { String::new() } else { format!("X-Forwarded-For: {from}\r\n") };
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n{from}Content-Length: {length}\r\n\r\n{body}");
        self.client.exchange(&self.address, host, &request).unwrap_or_default()
    }

    fn loads(&self) -> Vec<Load> {
        let asks: Vec<_> =
            PATHS.iter().flat_map(|path| [Method::GET, Method::POST].map(|how| (how, (*path).to_owned()))).collect();
        let of = |host: usize, fresh| {
            Load::begin(Shape {
                address: self.address.clone(),
                asks: asks.clone(),
                clients: 2,
                rate: Some(RATE),
                fresh,
                headers: Vec::new(),
                tls: Some((self.client.clone(), format!("h{host}.test"))),
            })
        };
        (0..HOSTS).flat_map(|host| [of(host, false), of(host, true)]).collect()
    }
}

fn end(loads: Vec<Load>) -> Outcome {
    let mut all = Outcome::default();
    for one in loads.into_iter().map(Load::end) {
        all.samples.extend(one.samples);
        all.reopened += one.reopened;
    }
    all
}

fn service(number: usize) -> String {
    format!("s{number:02}")
}

/// Where a service is.
fn place(number: usize) -> (String, &'static str) {
    (format!("h{}.test", number / PATHS.len()), PATHS[number % PATHS.len()])
}

fn name(host: usize, one: usize, round: u64) -> String {
    format!("www{one}-{round}.h{host}.test")
}

/// A service that serves this path of a host.
pub(crate) fn web(host: &str, path: &str) -> Value {
    json!({
        "process": {"command": fixture::command(), "args": ["fixture", "serve", "${port.http}"], "compose": {
            "readiness_probe": {"http_get": {"port": "${port.http}"}},
        }},
        "ports": {"http": {"port": "auto"}},
        "route": {"port": "http", "hosts": [host], "paths": [path]},
    })
}
