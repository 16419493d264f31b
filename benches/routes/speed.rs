//! How many requests a second: `SPEED=1 cargo bench --bench routes`. Scripts and pages of one app, asked of the app itself,
//! of the edge, and of servers of files with a configuration written by hand; in turn, several rounds, by wrk.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::common::{checkout, free_port, http, until};
use crate::edge::Edge;

/// Each is asked so often; the median counts.
const ROUNDS: usize = 7;
/// For so long, in seconds.
const SECONDS: &str = "2";

/// What is asked of whom.
struct Row {
    what: &'static str,
    whom: &'static str,
    url: String,
    rates: Vec<f64>,
}

/// A server that was started for the comparison.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        // With its workers.
        if let Ok(group) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

/// Prints the table.
///
/// # Errors
/// What could not be started or asked.
pub(crate) fn table(edge: &Edge) -> Result<(), String> {
    let script = script(edge)?;
    let pool = edge.root().join(".releases/web/pool");
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let url = |port: u16, path: &str| format!("http://127.0.0.1:{port}{path}");
    let row = |what, whom, url| Row { what, whom, url, rates: Vec::new() };
    let mut rows = vec![
        row("a script", "the app itself", url(edge.inner, &script)),
        row("a script", "the edge", url(edge.port, &script)),
    ];
    let mut beside = Vec::new();
    for (whom, start) in [("Caddy by hand", caddy as Start), ("nginx by hand", nginx as Start)] {
        let port = free_port();
        match start(folder.path(), &pool, port) {
            Ok(server) => {
                beside.push(server);
                let url = url(port, &script);
                until(whom, || http::get(&url).is_some_and(|(status, _)| status == 200));
                rows.push(row("a script", whom, url));
            }
            Err(why) => println!("without {whom}: {why}"),
        }
    }
    let rest = [
        ("a public file", "/site.css"),
        ("a page rendered at each request", "/who"),
        ("a page from the cache", "/about"),
    ];
    for (what, path) in rest {
        rows.push(row(what, "the app itself", url(edge.inner, path)));
        rows.push(row(what, "the edge", url(edge.port, path)));
    }
    // Another spelling of the path is left to the app.
    rows.push(row("a public file", "the app, through the edge", url(edge.port, "/%73ite.css")));
    for _ in 0..ROUNDS {
        for row in &mut rows {
            row.rates.push(rate(&row.url)?);
        }
    }
    println!("| what | of whom | requests a second, median of {ROUNDS} | to the first |\n|---|---|---|---|");
    let median = |row: &Row| {
        let mut rates = row.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    };
    for row in &rows {
        let first = rows.iter().find(|one| one.what == row.what).map_or(1.0, median);
        println!("| {} | {} | {:.0} | {:.2} |", row.what, row.whom, median(row), median(row) / first);
    }
    Ok(())
}

type Start = fn(&Path, &Path, u16) -> Result<Beside, String>;

/// The largest script of the first page.
fn script(edge: &Edge) -> Result<String, String> {
    let (_, page) = http::get(&format!("http://127.0.0.1:{}/", edge.port)).ok_or("the edge does not answer")?;
    let sources = page.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let scripts = sources.filter(|source| source.starts_with("/_next/static/"));
    let size = |path: &&str| {
        fs::metadata(edge.root().join(".releases/web/pool").join(&path[1..])).map_or(0, |meta| meta.len())
    };
    scripts.max_by_key(size).map(str::to_owned).ok_or_else(|| format!("no script in {page}"))
}

/// Requests a second, of a client that takes compressed answers.
fn rate(url: &str) -> Result<f64, String> {
    let words = ["-t1", "-c20", "-d", SECONDS, "-H", "Accept-Encoding: gzip", url];
    let said = Command::new("wrk").args(words).output().map_err(|error| format!("wrk: {error}; Debian has it"))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    if said.contains("Non-2xx") {
        return Err(format!("{url}: {said}"));
    }
    let rate = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")?.trim().parse().ok());
    rate.ok_or_else(|| format!("{url}: {said}"))
}

/// Starts a server in a session of its own, as the edge is in one: Linux shares the time of its processors among sessions
/// first (`sched_autogroup_enabled`), so a server in the session of the client would have another share.
fn begin(program: impl AsRef<OsStr>, words: &[&OsStr]) -> Result<Beside, String> {
    let mut command = Command::new("setsid");
    let child =
        command.arg(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.map(Beside).map_err(|error| error.to_string())
}

/// The same program as the edge, with what a person would write for a folder of scripts.
fn caddy(folder: &Path, pool: &Path, port: u16) -> Result<Beside, String> {
    let text = format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{port} {{\n root * {}\n header Cache-Control \"public, max-age=31536000, immutable\"\n file_server {{\n  precompressed br zstd gzip\n }}\n}}\n",
        pool.display()
    );
    let file = folder.join("Caddyfile");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let program: PathBuf = fs::canonicalize(checkout().join(".dep/caddy")).map_err(|error| error.to_string())?;
    let program = ["bin/caddy", "caddy"].map(|below| program.join(below)).into_iter().find(|path| path.is_file());
    let program = program.unwrap_or_else(|| "caddy".into());
    begin(program, &["run".as_ref(), "--config".as_ref(), file.as_os_str()])
}

fn nginx(folder: &Path, pool: &Path, port: u16) -> Result<Beside, String> {
    let text = format!(
        "daemon off; pid {0}/pid; worker_processes 2; error_log /dev/null;\nevents {{}}\nhttp {{ include /etc/nginx/mime.types; access_log off; sendfile on; gzip_static on;\n server {{ listen 127.0.0.1:{port}; root {1}; add_header Cache-Control \"public, max-age=31536000, immutable\"; }} }}\n",
        folder.display(),
        pool.display()
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    begin("nginx", &["-c".as_ref(), file.as_os_str()])
}
