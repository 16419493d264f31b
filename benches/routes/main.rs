//! Every kind of route, asked of the edge and of `next start`: `cargo bench --bench routes`.
//!
//! Five apps (`apps/`) are brought up as a newcomer does it, `core init --yes` and `core up -d --profile production`. The
//! same sources are built a second time and served by `next start` (`oracle.rs` says why, and how). Both get the same
//! requests, byte for byte, in the same order (`apps.rs`, `manners.rs`, `odd.rs`), and what differs in status, headers and
//! decoded bodies is printed, reduced to kinds. What is meant to differ is in `decided.rs`, with the reason.
//!
//! It exits with 1 if anything else differs, or if core does not serve an app.
//!
//! | variable | default | |
//! |---|---|---|
//! | `ONLY=a,b` | all | names of apps |
//! | `SPEED=1` | | only tells how many requests a second are answered (`speed.rs`), and when the first part of a page comes (`streamed.rs`) |
//! | `ALL=1` | | tells each difference as it is found |

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark speaks to whoever runs it"
)]

#[path = "../../tests/common/mod.rs"]
mod common;

mod apps;
mod client;
mod comparison;
mod decided;
mod edge;
mod extras;
mod manners;
mod odd;
mod oracle;
mod packages;
mod page;
mod session;
mod sheet;
mod speed;
mod streamed;
mod texts;

use std::process::ExitCode;
use std::time::Instant;

use apps::{APPS, App};
use common::Said;
use edge::Edge;
use oracle::Oracle;
use packages::Packages;
use session::Side;
use sheet::Sheet;

/// A key of server actions for both builds, so that their ids are the same: 32 bytes in base64.
const ACTION_KEY: &str = "cm91dGVzIG9mIGEgYmVuY2htYXJrLCAzMiBieXRlcyE=";

fn main() -> ExitCode {
    let only = std::env::var("ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|word| !word.is_empty()).collect();
    let mut sheet = Sheet::default();
    let packages = match Packages::fetch() {
        Ok(packages) => packages,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    if std::env::var_os("SPEED").is_some() {
        return match speed(&packages) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    for app in APPS.iter().filter(|app| only.is_empty() || only.contains(&app.name)) {
        eprintln!("{}", app.name);
        let began = Instant::now();
        let result = run(app, &packages, &mut sheet);
        sheet.row(app.name, app.about, result, began.elapsed());
    }
    let is_well = sheet.is_well();
    sheet.print();
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How fast the first app is.
fn speed(packages: &Packages) -> Result<(), String> {
    let edge = Edge::start(&APPS[0], packages)?;
    speed::table(&edge)?;
    streamed::table(&edge)
}

/// Brings an app up on both sides, and asks.
fn run(app: &'static App, packages: &Packages, sheet: &mut Sheet) -> Result<(), String> {
    let tells = std::env::var_os("ALL").is_some();
    let edge = Edge::start(app, packages)?;
    let oracle = Oracle::start(app, packages, &edge.id)?;
    let next = Side::new(app, oracle.port, None, &edge.id);
    let core = Side::new(app, edge.port, Some(edge.inner), &edge.id);
    session::compare(app, &next, &core, |request, all| {
        if tells {
            for one in all.iter().filter(|one| decided::decision(one).is_none()) {
                eprintln!("{} | {request} | {} | {} | {}", app.name, one.what, one.next, one.edge);
            }
        }
        sheet.asked(app.name, &request, all);
    });
    Ok(())
}

fn well(what: &str, said: &Said) -> Result<(), String> {
    let last = || {
        let lines = said.err.lines().chain(said.out.lines());
        let told = lines.map(str::trim).find(|line| line.to_lowercase().contains("error"));
        told.map_or_else(|| said.err.trim().to_owned(), str::to_owned)
    };
    if said.code == 0 { Ok(()) } else { Err(format!("{what}: {}", last())) }
}
