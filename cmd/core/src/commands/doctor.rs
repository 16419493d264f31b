//! `core doctor`

use std::path::PathBuf;

use core_engine::topology::PortRange;
use core_host::binaries::Locator;
use core_host::doctor::{self, Finding, State};
use core_host::load::{self, Options};
use core_host::paths::Paths;
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::table::{Cell, lay_out_within};
use crate::render::{self, DIM, GREEN, RED, YELLOW, styled, words};

pub(crate) fn run(context: &Context, args: &DoctorArgs) -> Exit {
    let Some(paths) = paths(context) else {
        render::error("this folder cannot be read");
        return Exit::Failed;
    };
    let findings = doctor::examine(&paths, &range(context, &paths));
    let is_fatal = findings.iter().any(Finding::is_fatal);
    if args.json {
        let answer = json!({ "ok": !is_fatal, "version": env!("CARGO_PKG_VERSION"), "checks": findings });
        render::line(&serde_json::to_string_pretty(&answer).unwrap_or_default());
    } else {
        print(&findings);
    }
    if is_fatal { Exit::Failed } else { Exit::Ok }
}

/// The folders of the stack, or those that a stack in this folder would have.
fn paths(context: &Context) -> Option<Paths> {
    let here = std::env::current_dir().ok();
    let root = context.asked_root().or_else(|| Paths::find_root(here.as_ref()?)).or(here.clone());
    root.and_then(|root: PathBuf| Paths::look(&root).ok())
}

/// The range of the auto ports; the default if the stack has errors.
fn range(context: &Context, paths: &Paths) -> PortRange {
    let options = Options { profile: Some(context.profile(paths)), ..Options::default() };
    load::load(paths, &options, &mut Locator::default()).map(|stack| stack.range).unwrap_or_default()
}

fn print(findings: &[Finding]) {
    let width = render::width();
    let rows: Vec<Vec<Cell>> = findings
        .iter()
        .map(|finding| {
            let (word, style) = match finding.state {
                State::Ok => ("ok", GREEN),
                State::Weaker => ("weaker", YELLOW),
                State::Missing if finding.required => ("missing", RED),
                State::Missing => ("missing", YELLOW),
            };
            vec![Cell::new(&finding.name), Cell::new(word).style(style), Cell::new(&finding.found)]
        })
        .collect();
    let mut groups = lay_out_within(&["CHECK", "STATE", "FOUND"], &rows, width, &[]).into_iter();
    render::lines(&groups.next().unwrap_or_default());
    for (finding, lines) in findings.iter().zip(groups) {
        render::lines(&lines);
        for part in finding.without.iter().flat_map(|text| words::wrap(text, width.saturating_sub(4))) {
            render::line(&format!("    {}", styled(DIM, &part)));
        }
    }
    let fatal = findings.iter().filter(|finding| finding.is_fatal()).count();
    let weaker = findings.iter().filter(|finding| finding.state != State::Ok).count() - fatal;
    render::line(&match (fatal, weaker) {
        (0, 0) => styled(GREEN, "core runs here, and nothing is weaker than it could be"),
        (0, _) => format!("{}; {weaker} of {} could be better", styled(GREEN, "core runs here"), findings.len()),
        (fatal, _) => format!("{}: see {fatal} of {} above", styled(RED, "core cannot run here"), findings.len()),
    });
}
