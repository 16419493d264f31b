//! What a rate limit costs: `cargo bench --bench limits`.
//!
//! One service behind a real Caddy, asked over connections that are kept, by paths with and without a limit, in turn, several
//! rounds; beside it nginx with and without its own limit, if that is on PATH. Then the service that counts is held still, and
//! a million clients come to it.
//!
//! | variable | default | |
//! |---|---|---|
//! | `ROUNDS=n` | 7 | the median counts |
//! | `CLIENTS=n` | 1,200,000 | different clients of the flood |
//! | `PEER=NAME=LINE` | | a further server: a shell line that sends what comes to `$PORT` on to `$INNER`, with a limit for `/limited` |

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark speaks to whoever runs it"
)]

#[path = "../../tests/common/mod.rs"]
mod common;

mod asking;
mod beside;

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use asking::{Asked, ask, flood};
use beside::Beside;
use common::{Stack, free_port, manifests, proc, until};

/// The service that counts.
const LIMITER: &str = "caddy-limits";
/// What is so much that nothing is refused.
const PLENTY: u32 = 1_000_000;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is asked of whom, and what came of it in each round.
struct Row {
    what: String,
    address: String,
    path: &'static str,
    /// Whether each request is one of another client.
    varies: bool,
    status: u16,
    /// The row that it is compared with.
    beside: usize,
    rounds: Vec<Asked>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, port] = words.as_slice()
        && word == "app"
    {
        asking::answer_all(port.parse().expect("a port"));
        return ExitCode::SUCCESS;
    }
    let (stack, edge) = stack();
    let inner = format!("127.0.0.1:{}", stack.instance("web")["ports"]["http"].as_u64().expect("a port"));
    let mut rows = Vec::new();
    let mut row = |what: &str, address: &str, path, varies, status, beside| {
        let (what, address) = (what.to_owned(), address.to_owned());
        rows.push(Row { what, address, path, varies, status, beside, rounds: Vec::new() });
    };
    row("the edge, no limit", &edge, "/free", false, 200, 0);
    row("the edge, a limit by address", &edge, "/limited", false, 200, 0);
    row("the edge, a limit by header, 100,000 clients", &edge, "/keyed", true, 200, 0);
    row("the edge, refused", &edge, "/few", false, 429, 0);
    let others = Beside::all(&inner);
    for (number, other) in others.iter().enumerate() {
        let first = 4 + 2 * number;
        row(&format!("{}, no limit", other.name), &other.address, "/free", false, 200, first);
        row(&format!("{}, a limit by address", other.name), &other.address, "/limited", false, 200, first);
    }
    let _ = ask(&edge, "/few", false, Duration::from_millis(200));
    for _ in 0..number("ROUNDS", 7) {
        for row in &mut rows {
            row.rounds.push(ask(&row.address, row.path, row.varies, Duration::from_secs(1)));
        }
    }
    table(&rows);
    held(&stack, &edge);
    many(&stack);
    let is_well = rows.iter().all(|row| row.rounds.iter().all(|round| round.is_well(row.status)));
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// An edge and a service with limits for some paths.
fn stack() -> (Stack, String) {
    let stack = Stack::with_programs();
    let port = free_port();
    let mut caddy = manifests::whole("caddy");
    caddy["ports"]["http"]["port"] = json!(port);
    caddy["binaries"][0]["sources"].as_array_mut().expect("sources").retain(|one| one["source"] != "path");
    let limit = |path: &str, more: Value| {
        let mut limit = json!({"paths": [path], "per_second": PLENTY});
        limit.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        limit
    };
    let few = json!({"paths": ["/few"], "per_minute": 2, "burst": 1});
    let limits = json!([limit("/limited", json!({})), limit("/keyed", json!({"key": {"header": "X-Api-Key"}})), few]);
    let own = std::env::current_exe().expect("this program").display().to_string();
    let web = json!({
        "process": {"command": own, "args": ["app", "${port.http}"], "compose": {
            "readiness_probe": {"http_get": {"port": "${port.http}"}},
        }},
        "ports": {"http": {"port": "auto"}},
        "route": {"port": "http", "rate_limit": limits},
    });
    stack.service("caddy", &caddy).service("web", &web);
    stack.ok(&["up", "-d", "--timeout", "120"]);
    (stack, format!("127.0.0.1:{port}"))
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Prints what a request took, and how many came through.
fn table(rows: &[Row]) {
    let rate = |row: &Row| median(row.rounds.iter().map(|round| round.rate).collect());
    let middle = |row: &Row| median(row.rounds.iter().map(|round| round.middle).collect());
    println!("| | requests/s | beside no limit | median of a request | more |\n|---|---|---|---|---|");
    for row in rows {
        let other = &rows[row.beside];
        println!(
            "| {} | {:.0} | {:.2} | {:.0} µs | {:+.0} µs |",
            row.what,
            rate(row),
            rate(row) / rate(other),
            middle(row) * 1e6,
            (middle(row) - middle(other)) * 1e6,
        );
    }
}

/// What clients see of it when nobody counts: it is held still for some seconds.
fn held(stack: &Stack, edge: &str) {
    let pid = stack.pid(LIMITER);
    proc::hold(pid);
    let first = ask(edge, "/limited", false, Duration::from_secs(1));
    let rest = ask(edge, "/limited", false, Duration::from_secs(6));
    proc::send(pid, "CONT");
    stack.until_ready();
    println!();
    for (what, asked) in [("held, first second", first), ("held, the next six", rest)] {
        println!(
            "{what}: {} requests, longest wait {:.0} ms, {} waited longer than 100 ms, all answered with 200: {}",
            asked.count,
            asked.longest * 1e3,
            asked.late,
            asked.only(200),
        );
    }
}

/// What it takes for a flood of clients, each of which is told apart.
fn many(stack: &Stack) {
    let pid = stack.pid(LIMITER);
    let socket = stack.run_of(LIMITER).join("limits.sock");
    let memory = || proc::status_line(pid, "VmRSS");
    let before = memory();
    let clients = number("CLIENTS", 1_200_000);
    // This limit keeps a client for half a minute.
    let (took, rate) = flood(&socket, "*web  /few    0", clients);
    let peak = proc::status_line(pid, "VmHWM");
    println!("\n{clients} clients in {took:.1} s ({rate:.0} questions/s): memory {before} before, {peak} at most");
    until("they are forgotten", || {
        let now = memory();
        let kib = |text: &str| text.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        kib(&now) * 2 < kib(&peak)
    });
    println!("after they were forgotten: {}", memory());
}
