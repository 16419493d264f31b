//! The cache that replicas share, on real builds: `cargo bench --bench caches`.
//!
//! For each version of Next.js, small apps are built with what core puts into a build (`check.mjs`), and two servers that
//! share one folder are asked: pages at their first request, pages that are rendered again after a time, revalidation on one
//! server as the other sees it, another release, damaged and unwritable folders. Forms of pages that were rendered with a
//! former key of server actions are sent to a server with another one. Then two servers of the newest version are asked for
//! many different pages (`paths.mjs`), and one process writes a million keys (`flood.cjs`). It prints each check, and exits
//! with 1 if one fails.
//!
//! | variable | default | |
//! |---|---|---|
//! | `ONLY=a,b` | all | versions, `paths`, `flood` |
//! | `PATHS=n` | 20,000 | different pages that are asked for |
//! | `KEYS=n` | 1,000,000 | keys of the flood |

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark speaks to whoever runs it"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Versions of Next.js, each with the version of React that it is used with.
const VERSIONS: [(&str, &str); 5] =
    [("14.2.35", "18.3.1"), ("15.5.29", "19.3.1"), ("16.0.10", "19.3.1"), ("16.2.12", "19.3.1"), ("16.4.6", "19.3.1")];
/// The bound of the folder where many pages or keys are written, in MiB.
const BOUND: &str = "128";

fn main() -> ExitCode {
    let only = std::env::var("ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|word| !word.is_empty()).collect();
    let is_meant = |name: &str| only.is_empty() || only.contains(&name);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/caches");
    let work = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("caches");
    let mut failed = false;
    let mut run = |command: &mut Command| {
        let is_well = command.status().is_ok_and(|status| status.success());
        failed |= !is_well;
        is_well
    };
    let newest = VERSIONS[VERSIONS.len() - 1].0;
    let is_needed = |next: &str| is_meant(next) || (next == newest && is_meant("paths"));
    for (next, react) in VERSIONS.into_iter().filter(|(next, _)| is_needed(next)) {
        let folder = work.join(format!("v{next}"));
        let package = format!(
            r#"{{"private": true, "dependencies": {{"next": "{next}", "react": "{react}", "react-dom": "{react}"}}}}"#
        );
        if fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("package.json"), package)).is_err() {
            eprintln!("{} cannot be written", folder.display());
            return ExitCode::FAILURE;
        }
        let mut npm = Command::new("npm");
        if !run(npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder)) {
            continue;
        }
        if is_meant(next) {
            run(Command::new("node").arg(here.join("check.mjs")).arg(&work).arg(next));
        }
        if next == newest && is_meant("paths") {
            let paths = number("PATHS", "20000");
            run(Command::new("node").arg(here.join("paths.mjs")).arg(&work).args([next, &paths, BOUND]));
        }
    }
    if is_meant("flood") {
        let keys = number("KEYS", "1000000");
        run(Command::new("node").arg(here.join("flood.cjs")).args([&keys, BOUND]));
    }
    let _ = fs::remove_dir_all(work);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What a variable says, or what it is by default.
fn number(variable: &str, usual: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| usual.into())
}
