//! Apps of several versions of Next.js, brought up as they are: `cargo bench --bench apps`.
//!
//! Each row is an app at the root of its own stack, with its lock file above the copy that is built: `core init --yes`,
//! `core up -d`, a page, a file of `public/`, an edit of the page with `core apply`. It prints a table, and exits with 1
//! if a row fails.
//!
//! | variable | default | |
//! |---|---|---|
//! | `ONLY=a,b` | all | the versions |

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark speaks to whoever runs it"
)]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::fs;
use std::process::{Command, ExitCode};
use std::time::Instant;

use common::{Said, Stack, free_port, http};
use serde_json::json;

/// Versions of Next.js, each with the version of React that it is used with.
const VERSIONS: [(&str, &str); 8] = [
    ("14.2.35", "18.3.1"),
    ("15.0.4", "19.0.1"),
    ("15.5.29", "19.3.1"),
    ("16.0.10", "19.3.1"),
    ("16.2.12", "19.3.1"),
    ("16.3.4", "19.3.1"),
    ("16.3.8", "19.3.1"),
    ("16.4.6", "19.3.1"),
];

const LAYOUT: &str = "export default function Layout({ children }) { return <html><body>{children}</body></html>; }\n";

fn main() -> ExitCode {
    let only = std::env::var("ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|word| !word.is_empty()).collect();
    println!("| Next.js | first `up` | edit and `apply` | |\n|---|---|---|---|");
    let mut has_failed = false;
    for (next, react) in VERSIONS.into_iter().filter(|(next, _)| only.is_empty() || only.contains(next)) {
        match run(next, react) {
            Ok([first, edit]) => {
                println!("| {next} | {first:.1} s | {edit:.1} s | page, file of public/, edited page |");
            }
            Err(why) => {
                has_failed = true;
                println!("| {next} | | | **fails**: {} |", why.replace('\n', " "));
            }
        }
    }
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Seconds of the first start and of an edit.
fn run(next: &str, react: &str) -> Result<[f64; 2], String> {
    let stack = Stack::new();
    stack.write(
        "package.json",
        &json!({"name": "app", "private": true, "dependencies": {"next": next, "react": react, "react-dom": react}})
            .to_string(),
    );
    stack.write("app/layout.jsx", LAYOUT);
    stack.write("app/page.jsx", &page("one"));
    stack.write("public/hello.txt", "hello");
    // What `Stack` makes is not there when a newcomer begins.
    for folder in ["services", "manifests"] {
        fs::remove_dir_all(stack.root.join(folder)).map_err(|error| error.to_string())?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--package-lock-only", "--no-audit", "--no-fund"]).current_dir(&stack.root);
    well("npm install", &Said::of(npm.output().map_err(|error| format!("npm: {error}"))?))?;
    well("core init", &stack.core(&["init", "--yes"]))?;
    let port = free_port();
    stack.edit("caddy", |manifest| manifest["ports"] = json!({"http": {"port": port}}));
    let began = Instant::now();
    well("core up", &stack.core(&["up", "-d"]))?;
    let first = began.elapsed().as_secs_f64();
    expect(port, "", "text one")?;
    expect(port, "hello.txt", "hello")?;
    stack.write("app/page.jsx", &page("two"));
    let began = Instant::now();
    well("core deploy", &stack.core(&["deploy"]))?;
    let edit = began.elapsed().as_secs_f64();
    expect(port, "", "text two")?;
    well("core down", &stack.core(&["down"]))?;
    Ok([first, edit])
}

fn page(text: &str) -> String {
    format!("export default function Page() {{ return <p>text {text}</p>; }}\n")
}

fn well(what: &str, said: &Said) -> Result<(), String> {
    let last = || said.err.lines().rev().find(|line| !line.is_empty()).unwrap_or_default().to_owned();
    if said.code == 0 { Ok(()) } else { Err(format!("{what}: {}", last())) }
}

fn expect(port: u16, path: &str, text: &str) -> Result<(), String> {
    let url = format!("http://127.0.0.1:{port}/{path}");
    match http::get(&url) {
        Some((200, body)) if body.contains(text) => Ok(()),
        Some((status, body)) => Err(format!("{url}: {status}, without {text:?}: {}", &body[..body.len().min(200)])),
        None => Err(format!("{url}: no answer")),
    }
}
