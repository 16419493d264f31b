//! Projects brought up as they are: `cargo bench --bench apps`.
//!
//! The first table has a row for each version of Next.js, as an app at the root of its own stack, with its lock file above
//! the copy that is built. The second has projects of other shapes. Each row is `core init --yes`, `core up -d` (the
//! development server), `core up -d --profile production` (a release), and an edit of the page with `core deploy`; after
//! each, a page is looked at. The third has variables, and where the app sees them. It prints tables, and exits with 1 if a row fails.
//!
//! | variable | default | |
//! |---|---|---|
//! | `ONLY=a,b` | all | versions, beginnings of the names of shapes, or `variables` |

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark speaks to whoever runs it"
)]

#[path = "../../tests/common/mod.rs"]
mod common;

mod shapes;
mod variables;

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use common::{Said, Stack, free_port, http, printed};
use serde_json::json;
use shapes::{Ends, SHAPES, Shape};

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
/// Routes of other classes, for `core analyze`.
const AGAIN: &str = "export const revalidate = 60;\nexport default function Page() { return <p>{Date.now()}</p>; }\n";
const SOME: &str = "export const generateStaticParams = () => [{ word: 'a' }, { word: 'b' }];
export default async function Page({ params }) { return <p>{(await params).word}</p>; }\n";
const NOW: &str = "export const dynamic = 'force-dynamic';\nexport const GET = () => new Response('now');\n";
const OLD: &str = "export default function Page() { return <p>old</p>; }
export const getServerSideProps = () => ({ props: {} });\n";
/// How long a page may take: a development server compiles it first.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let only = std::env::var("ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|word| !word.is_empty()).collect();
    let is_meant = |name: &str| only.is_empty() || only.iter().any(|word| name.starts_with(word));
    let mut has_failed = false;
    let mut row = |name: &str, result: Result<Vec<f64>, String>| match result {
        Ok(seconds) => {
            let cells: Vec<String> = seconds.iter().map(|seconds| format!("{seconds:.1} s")).collect();
            println!("| {name} | {} |", cells.join(" | "));
        }
        Err(why) => {
            has_failed = true;
            println!("| {name} | **fails**: {} |", why.replace('\n', " "));
        }
    };
    let head = "| first page of `up` | first page of production | edit and `deploy` |\n|---|---|---|---|";
    println!("| Next.js {head}");
    for (next, react) in VERSIONS.into_iter().filter(|(next, _)| is_meant(next)) {
        row(next, version(next, react));
    }
    println!("\n| project {head}");
    for shape in SHAPES.iter().filter(|shape| is_meant(shape.name)) {
        row(shape.name, run(shape));
    }
    if is_meant("variables") {
        println!();
        if let Err(why) = variables::table() {
            has_failed = true;
            println!("variables: **fails**: {why}");
        }
    }
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A folder as its author left it.
fn bare() -> Result<Stack, String> {
    let stack = Stack::new();
    // What `Stack` makes is not there when a newcomer begins.
    for folder in ["services", "manifests"] {
        fs::remove_dir_all(stack.root.join(folder)).map_err(|error| error.to_string())?;
    }
    Ok(stack)
}

fn run(shape: &Shape) -> Result<Vec<f64>, String> {
    let stack = bare()?;
    (shape.write)(&stack)?;
    match shape.ends {
        Ends::Page(path, text) => up_in_both_modes(&stack, path, text),
        Ends::Refused(words) => {
            let said = stack.core(&["init", "--yes"]);
            if said.code != 0 && said.err.contains(words) { Ok(Vec::new()) } else { Err(format!("{said:?}")) }
        }
    }
}

/// Seconds of the first page in each mode.
fn up_in_both_modes(stack: &Stack, path: &str, text: &str) -> Result<Vec<f64>, String> {
    well("core init", &stack.core(&["init", "--yes"]))?;
    well("core check", &stack.core(&["check"]))?;
    let port = free_port();
    stack.edit("caddy", |manifest| manifest["ports"] = json!({"http": {"port": port}}));
    let began = Instant::now();
    well("core up", &stack.core(&["up", "-d"]))?;
    expect(port, path, text)?;
    let develop = began.elapsed().as_secs_f64();
    let began = Instant::now();
    well("core up --profile production", &stack.core(&["up", "-d", "--profile", "production", "--timeout", "300"]))?;
    expect(port, path, text)?;
    Ok(vec![develop, began.elapsed().as_secs_f64()])
}

/// The same, and those of an edit.
fn version(next: &str, react: &str) -> Result<Vec<f64>, String> {
    let stack = bare()?;
    stack.write(
        "package.json",
        &json!({"name": "app", "private": true, "dependencies": {"next": next, "react": react, "react-dom": react}})
            .to_string(),
    );
    stack.write("app/layout.jsx", LAYOUT);
    stack.write("app/page.jsx", &page("one"));
    stack.write("public/hello.txt", "hello");
    stack.write("app/again/page.jsx", AGAIN);
    stack.write("app/some/[word]/page.jsx", SOME);
    stack.write("app/api/now/route.js", NOW);
    stack.write("pages/old.jsx", OLD);
    let mut npm = Command::new("npm");
    npm.args(["install", "--package-lock-only", "--no-audit", "--no-fund"]).current_dir(&stack.root);
    well("npm install", &Said::of(npm.output().map_err(|error| format!("npm: {error}"))?))?;
    let mut all = up_in_both_modes(&stack, "", "text one")?;
    let port = u16::try_from(stack.instance("caddy")["ports"]["http"].as_u64().unwrap_or(0)).unwrap_or(0);
    expect(port, "hello.txt", "hello")?;
    stack.write("app/page.jsx", &page("two"));
    let began = Instant::now();
    well("core deploy", &stack.core(&["deploy"]))?;
    expect(port, "", "text two")?;
    all.push(began.elapsed().as_secs_f64());
    printed::compare(&stack);
    well("core down", &stack.core(&["down"]))?;
    Ok(all)
}

fn page(text: &str) -> String {
    format!("export default function Page() {{ return <p>text {text}</p>; }}\n")
}

fn well(what: &str, said: &Said) -> Result<(), String> {
    let last = || {
        let lines = said.err.lines().chain(said.out.lines());
        lines.filter(|line| line.contains("error") || line.contains("Error")).take(3).collect::<Vec<_>>().join(" / ")
    };
    if said.code == 0 { Ok(()) } else { Err(format!("{what}: {}", last())) }
}

/// Waits until a page says what it should.
fn expect(port: u16, path: &str, text: &str) -> Result<(), String> {
    let url = format!("http://127.0.0.1:{port}/{path}");
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = http::get(&url);
        match answer {
            Some((200, body)) if body.contains(text) => return Ok(()),
            _ if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
            Some((status, body)) => {
                let begins: String = body.chars().take(200).collect();
                return Err(format!("{url}: {status}, without {text:?}: {begins}"));
            }
            None => return Err(format!("{url}: no answer")),
        }
    }
}
