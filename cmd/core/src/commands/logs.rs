//! `core logs`

use core_host::client::{self, ClientError};
use core_host::logs::{Entry, Follower, Selection};
use core_host::paths::Paths;

use super::tell;
use crate::cli::LogsArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::words::parse_span;
use crate::render::{self, DIM, styled};

/// Colours of slots, in the order they are met.
const COLOURS: [anstyle::AnsiColor; 6] = [
    anstyle::AnsiColor::Cyan,
    anstyle::AnsiColor::Magenta,
    anstyle::AnsiColor::Green,
    anstyle::AnsiColor::Blue,
    anstyle::AnsiColor::Yellow,
    anstyle::AnsiColor::Red,
];

pub(crate) async fn run(context: &Context, args: &LogsArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let selection = match selection(args) {
        Ok(selection) => selection,
        Err(message) => {
            render::error(&message);
            return Exit::Usage;
        }
    };
    let mut printer = Printer::new(args.timestamps, args.json);
    if let Err(exit) = check_services(&paths, &selection) {
        return exit;
    }
    match stream(&paths, &selection, args.follow, &mut printer).await {
        Ok(()) => Exit::Ok,
        // What was said stays readable after the stack has ended.
        Err(ClientError::NoSupervisor) if !args.follow => {
            Follower::begin(&paths, &selection, &mut |entry| {
                printer.print(&entry);
            });
            Exit::Ok
        }
        Err(error) => tell(&error),
    }
}

fn check_services(paths: &Paths, selection: &Selection) -> Result<(), Exit> {
    let is_known = |name: &str| paths.logs().join(name).is_dir() || paths.root.join("services").join(name).is_dir();
    match selection.services.iter().find(|name| !is_known(name)) {
        Some(unknown) => {
            render::error(&format!("there is no service `{unknown}`"));
            Err(Exit::Usage)
        }
        None => Ok(()),
    }
}

/// Prints lines as they come, until the answer ends or nobody reads.
pub(crate) async fn stream(
    paths: &Paths,
    selection: &Selection,
    follow: bool,
    printer: &mut Printer,
) -> Result<(), ClientError> {
    let mut path = format!("/v1/logs?services={}&follow={}", selection.services.join(","), u8::from(follow));
    if let Some(last) = selection.last {
        path += &format!("&n={last}");
    }
    if let Some(since) = selection.since_ns {
        path += &format!("&since_ns={since}");
    }
    client::lines(&paths.socket(), &path, |line| match serde_json::from_slice::<Entry>(line) {
        Ok(entry) => printer.print(&entry),
        Err(_) => true,
    })
    .await
}

fn selection(args: &LogsArgs) -> Result<Selection, String> {
    let last = match args.lines.as_str() {
        "all" => None,
        number => Some(number.parse().map_err(|_| format!("`{number}` is no number of lines, and not `all`"))?),
    };
    let since_ns = args.since.as_deref().map(parse_since).transpose()?;
    // Since when is asked for all lines since then.
    let last = if since_ns.is_some() && args.lines == "200" { None } else { last };
    Ok(Selection { services: args.services.clone(), last, since_ns })
}

fn parse_since(text: &str) -> Result<u64, String> {
    let now = jiff::Timestamp::now();
    let time = match parse_span(text) {
        Some(span) => now.checked_sub(span).ok(),
        None => text.parse::<jiff::Timestamp>().ok(),
    };
    let nanoseconds = time.and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    nanoseconds.ok_or_else(|| format!("`{text}` is neither a span (10m, 2h) nor a time (2026-01-31T12:00:00Z)"))
}

/// Prints entries, each with its slot.
pub(crate) struct Printer {
    timestamps: bool,
    json: bool,
    slots: Vec<String>,
    widest: usize,
}

impl Printer {
    pub(crate) fn new(timestamps: bool, json: bool) -> Self {
        Self { timestamps, json, slots: Vec::new(), widest: 0 }
    }

    /// False when nobody reads any more.
    pub(crate) fn print(&mut self, entry: &Entry) -> bool {
        use std::io::Write as _;
        let mut out = anstream::stdout().lock();
        if self.json {
            return writeln!(out, "{}", serde_json::to_string(entry).unwrap_or_default()).is_ok();
        }
        let number = self.slots.iter().position(|slot| *slot == entry.slot).unwrap_or_else(|| {
            self.slots.push(entry.slot.clone());
            self.widest = self.widest.max(entry.slot.len());
            self.slots.len() - 1
        });
        let style = COLOURS[number % COLOURS.len()].on_default();
        let time = if self.timestamps { format!("{} ", styled(DIM, &entry.time)) } else { String::new() };
        let mark = if entry.stream == "err" { "!" } else { "|" };
        let slot = styled(style, &format!("{:<width$} {mark}", entry.slot, width = self.widest));
        writeln!(out, "{time}{slot} {}", entry.line).is_ok()
    }
}
