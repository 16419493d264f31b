//! `core releases`

use core_host::paths::Paths;
use core_host::releases::{self, Listed};

use crate::cli::{ReleaseArgs, ReleasesArgs, ReleasesCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::render::table::{Cell, lay_out_within};
use crate::render::{self, BOLD, DIM, GREEN};

/// Columns that a narrow terminal leaves out: COMMIT, SIZE, BY.
const SPARE: [usize; 3] = [5, 6, 4];
/// How many digits of a commit are shown.
const DIGITS: usize = 9;

pub(crate) fn run(context: &Context, args: &ReleasesArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let service = args.service.as_deref();
    let done = match &args.command {
        None => {
            show(&paths, args);
            return Exit::Ok;
        }
        Some(ReleasesCommand::Pin(one)) => meant(&paths, service, one).and_then(|one| pin(&paths, &one, true)),
        Some(ReleasesCommand::Unpin(one)) => meant(&paths, service, one).and_then(|one| pin(&paths, &one, false)),
        Some(ReleasesCommand::Remove(one)) => meant(&paths, service, one).and_then(|one| {
            let bytes = releases::remove(&paths, &one).map_err(|message| (message, Exit::Failed))?;
            Ok(format!("deleted release {}: {} MiB are free again", one.record.id, bytes >> 20))
        }),
    };
    match done {
        Ok(said) => {
            render::note(&said);
            Exit::Ok
        }
        Err((message, exit)) => {
            render::error(&message);
            render::help("`core releases` lists them");
            exit
        }
    }
}

fn meant(paths: &Paths, service: Option<&str>, args: &ReleaseArgs) -> Result<Listed, (String, Exit)> {
    releases::find(paths, service, &args.release).map_err(|message| (message, Exit::Usage))
}

fn pin(paths: &Paths, one: &Listed, pinned: bool) -> Result<String, (String, Exit)> {
    releases::pin(paths, one, pinned).map_err(|message| (message, Exit::Failed))?;
    let word = if pinned { "is kept until it is unpinned" } else { "is deleted when it is old" };
    Ok(format!("release {} {word}", one.record.id))
}

fn show(paths: &Paths, args: &ReleasesArgs) {
    let all = releases::list(paths, args.service.as_deref());
    if args.json {
        render::line(&serde_json::to_string_pretty(&all).unwrap_or_default());
    } else if all.releases.is_empty() {
        render::line("there are no releases yet; `core deploy` makes one");
    } else {
        let now = jiff::Zoned::now();
        // The newest first: that is the one that people look for.
        let rows: Vec<Vec<Cell>> = all.releases.iter().rev().map(|one| row(one, &now)).collect();
        let head = ["SERVICE", "RELEASE", "STATE", "MADE", "BY", "COMMIT", "SIZE", ""];
        render::lines(&lay_out_within(&head, &rows, render::width(), &SPARE).concat());
    }
}

fn row(one: &Listed, now: &jiff::Zoned) -> Vec<Cell> {
    let (state, style) = match one {
        _ if one.live => ("live", GREEN),
        _ if one.unprepared => ("only made", DIM),
        _ if one.wanted => ("wanted", BOLD),
        _ if one.before => ("rollback goes here", BOLD),
        _ if one.served.is_some() => ("served", DIM),
        _ => ("never served", DIM),
    };
    let state = if one.pinned { format!("{state}, pinned") } else { state.to_owned() };
    let commit: String = one.record.commit.iter().flat_map(|commit| commit.chars().take(DIGITS)).collect();
    let commit = if one.record.dirty { format!("{commit}, dirty") } else { commit };
    vec![
        Cell::new(one.record.service.clone()),
        Cell::new(one.record.id.clone()),
        Cell::new(state).style(style),
        Cell::new(super::history::short_time(&one.record.made, now)),
        Cell::new(one.record.deployer.by.clone().unwrap_or_default()),
        Cell::new(commit),
        Cell::new(format!("{} MiB", one.record.bytes >> 20)).right(),
        Cell::new(one.record.deployer.message.clone().unwrap_or_default()),
    ]
}
