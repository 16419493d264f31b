//! Headless Chromium over three deploys: `cargo bench --bench browser`.
//!
//! A small app (`app/`) is brought up as a newcomer does it, `core init --yes` and `core up -d --profile production`, and is
//! deployed three times. Each deploy changes a text, a component that is loaded on a click, and an image. Before each, a browser
//! opens a tab for each check (`checks.mjs`) and keeps it; after the last one, each check is carried out in the old tabs. So
//! there are tabs of releases 1 and 2, whose instances are gone, of release 3, which is warm, and of release 4, which is live.
//! A second set of tabs of release 3 is used after `warm_minutes` is over.
//!
//! Another browser, which keeps its cache, visits before the third deploy and after it: only what changed may come again.
//!
//! It prints tables, and exits with 1 if a check or a request fails.

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark speaks to whoever runs it"
)]

#[path = "../../tests/common/mod.rs"]
mod common;

mod chromium;
mod sheet;
mod stage;
mod visits;

use std::process::ExitCode;
use std::time::Instant;

use chromium::Chromium;
use common::Said;
use sheet::Sheet;
use stage::Stage;
use visits::Visit;

/// How many deploys there are after the first release.
const DEPLOYS: usize = 3;

fn main() -> ExitCode {
    let began = Instant::now();
    let mut sheet = Sheet::default();
    let result = run(&mut sheet);
    let mut is_well = sheet.print();
    println!();
    if let Ok((first, second)) = &result {
        is_well &= visits::print(first, second);
    }
    println!("It took {} s.", began.elapsed().as_secs());
    match result {
        Ok(_) if is_well => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("**fails**: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the visits before the last deploy and after it.
fn run(sheet: &mut Sheet) -> Result<(Visit, Visit), String> {
    let stage = Stage::start()?;
    let mut chromium = Chromium::start(&stage)?;
    println!("{}, Chromium {}\n", stage.versions(), chromium.version()?);
    let mut first = None;
    for release in 1..=DEPLOYS {
        chromium.open(&release.to_string(), release)?;
        if release == DEPLOYS {
            chromium.open("later", release)?;
            first = Some(chromium.visit(release)?);
        }
        stage.deploy(release + 1)?;
    }
    let live = DEPLOYS + 1;
    let second = chromium.visit(live)?;
    stage.until_warm();
    chromium.open(&live.to_string(), live)?;
    // Those that may have to be loaded anew first; the release that is warm stays so for ten minutes.
    for release in 1..=live {
        let title = match release {
            _ if release == live => format!("{release}, live"),
            DEPLOYS => format!("{release}, warm"),
            _ => release.to_string(),
        };
        sheet.column(title, chromium.check(&release.to_string(), live)?);
    }
    stage.expect_warm()?;
    stage.end_warm()?;
    sheet.column(format!("{DEPLOYS}, ended"), chromium.check("later", live)?);
    chromium.end()?;
    stage.end()?;
    Ok((first.ok_or("nobody visited")?, second))
}

fn well(what: &str, said: &Said) -> Result<(), String> {
    if said.code == 0 { Ok(()) } else { Err(format!("{what}: {}{}", said.out, said.err)) }
}
