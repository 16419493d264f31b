//! `core history`

use core_engine::plan::Planned;
use core_host::client::{self, ClientError};
use core_host::history;
use core_host::history::{History, HistoryEntry, HistoryOutcome};
use core_host::paths::Paths;

use super::{tell, tell_unknown};
use crate::cli::HistoryArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::table::{Cell, lay_out_within};
use crate::render::{self, DIM, GREEN, RED, YELLOW};

/// Columns that a narrow terminal leaves out: TOOK, BY.
const SPARE: [usize; 2] = [5, 3];
/// How many services a row names beside the verb.
const NAMED: usize = 2;

pub(crate) async fn run(context: &Context, args: &HistoryArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let entries = match ask(&paths, args).await {
        Ok(history) => history.entries,
        // The history is readable after the stack has stopped; then no operation is still under way.
        Err(ClientError::NoSupervisor) => {
            history::select(history::read(&paths, None), &args.services, Some(args.entries))
        }
        Err(error) => return tell(&error),
    };
    if let Some(unknown) = args.services.iter().find(|name| !is_known(&paths, &entries, name)) {
        return tell_unknown(unknown, paths.service_names().iter().map(String::as_str));
    }
    if args.json {
        render::line(&serde_json::to_string_pretty(&History { entries }).unwrap_or_default());
    } else if entries.is_empty() {
        render::line("nothing was done yet; `core up` brings the stack up");
    } else {
        render::lines(&lines(&entries));
    }
    Exit::Ok
}

async fn ask(paths: &Paths, args: &HistoryArgs) -> Result<History, ClientError> {
    let path = format!("/v1/history?services={}&n={}", args.services.join(","), args.entries);
    client::get(paths, &path).await
}

/// Whether the service exists or existed.
fn is_known(paths: &Paths, entries: &[HistoryEntry], name: &str) -> bool {
    paths.knows_service(name) || entries.iter().any(|entry| entry.changes.contains_key(name))
}

fn lines(entries: &[HistoryEntry]) -> Vec<String> {
    let now = jiff::Zoned::now();
    let rows: Vec<Vec<Cell>> = entries.iter().map(|entry| row(entry, &now)).collect();
    let head = ["TIME", "GENERATION", "WHAT", "BY", "RESULT", "TOOK", ""];
    lay_out_within(&head, &rows, render::width(), &SPARE).concat()
}

fn row(entry: &HistoryEntry, now: &jiff::Zoned) -> Vec<Cell> {
    let (word, style) = match entry.outcome {
        HistoryOutcome::UnderWay => ("under way", YELLOW),
        HistoryOutcome::Done => ("done", GREEN),
        HistoryOutcome::Failed { .. } => ("failed", RED),
        HistoryOutcome::Replaced { .. } => ("replaced", DIM),
        HistoryOutcome::CutShort => ("cut short", RED),
    };
    vec![
        Cell::new(short_time(&entry.time, now)),
        Cell::new(entry.generation.map(|number| number.to_string()).unwrap_or_default()).right(),
        Cell::new(what(entry)),
        Cell::new(by(entry)),
        Cell::new(word).style(style),
        Cell::new(took(entry)).right(),
        Cell::new(story(entry)),
    ]
}

/// A time in the local time zone, without the date if it is today.
pub(super) fn short_time(time: &str, now: &jiff::Zoned) -> String {
    let Ok(time) = time.parse::<jiff::Timestamp>() else { return time.to_owned() };
    let time = time.to_zoned(now.time_zone().clone());
    let format = if time.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    time.strftime(format).to_string()
}

/// The operation, roughly as it was typed.
fn what(entry: &HistoryEntry) -> String {
    if let Some(replicas) = entry.replicas {
        return format!("{} {}={replicas}", entry.verb, entry.services.join(" "));
    }
    let mut words = vec![entry.verb.clone()];
    words.extend(entry.services.iter().take(NAMED).cloned());
    if entry.services.len() > NAMED {
        words.push(format!("+{}", entry.services.len() - NAMED));
    }
    words.extend(entry.release.clone());
    words.join(" ")
}

fn by(entry: &HistoryEntry) -> String {
    let by = &entry.by;
    let number = by.uid.map(|uid| format!("uid {uid}"));
    by.user.clone().or(number).unwrap_or_else(|| by.kind.clone())
}

fn took(entry: &HistoryEntry) -> String {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let ended = entry.ended.as_deref().and_then(time);
    let Some((begun, ended)) = time(&entry.time).zip(ended) else { return String::new() };
    let seconds = ended.duration_since(begun).as_secs_f64().max(0.0);
    if seconds < 60.0 {
        format!("{seconds:.1}s")
    } else {
        render::words::span(std::time::Duration::from_secs_f64(seconds))
    }
}

/// The error, then the changes.
fn story(entry: &HistoryEntry) -> String {
    let mut parts: Vec<String> = entry.message.iter().map(|message| format!("\u{201c}{message}\u{201d}")).collect();
    match &entry.outcome {
        HistoryOutcome::Failed { message, culprit: Some(culprit) } if !message.contains(culprit) => {
            parts.push(format!("{message} ({culprit})"));
        }
        HistoryOutcome::Failed { message, .. } => parts.push(message.clone()),
        HistoryOutcome::Replaced { by } => parts.push(format!("by generation {by}")),
        HistoryOutcome::CutShort => parts.push("its supervisor died before it was known".into()),
        HistoryOutcome::UnderWay | HistoryOutcome::Done => {}
    }
    // Services with the same change and reasons share one entry.
    let mut alike: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, planned) in &entry.changes {
        let change = change(planned);
        match alike.iter_mut().find(|(known, _)| *known == change) {
            Some((_, names)) => names.push(name),
            None => alike.push((change, vec![name])),
        }
    }
    parts.extend(alike.into_iter().map(|(change, names)| format!("{}: {change}", names.join(", "))));
    parts.join("; ")
}

fn change(planned: &Planned) -> String {
    let word = planned.change.word();
    if planned.reasons.is_empty() { word.to_owned() } else { format!("{word} ({})", planned.reasons.join(", ")) }
}
