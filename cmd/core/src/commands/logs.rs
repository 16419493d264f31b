//! `core logs`

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use core_engine::engine::StackState;
use core_host::client::{self, ClientError};
use core_host::logs::{Entry, Follower, Selection};
use core_host::paths::Paths;

use super::{access, ask_status, build_log, tell, tell_unknown};
use crate::cli::LogsArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::words::parse_span;
use crate::render::{self, DIM, styled};
use core_host::harmless::harmless_line;

/// Colours of slots, in the order in which they first appear.
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
    if args.build {
        return build_log::run(&paths, args).await;
    }
    let selection = match selection(args) {
        Ok(selection) => selection,
        Err(message) => {
            render::error(&message);
            return Exit::Usage;
        }
    };
    let named = if args.access { access::services(&selection.services) } else { selection.services.clone() };
    if let Err(exit) = check_services(&paths, &named) {
        return exit;
    }
    if args.access {
        return access::run(&paths, args, &selection).await;
    }
    let mut printer = Printer::new(args.timestamps, args.json);
    let printed = if args.follow {
        follow(&paths, selection.clone(), &mut printer, &mut || false).await
    } else {
        stream(&paths, &selection, false, &mut printer).await
    };
    match printed {
        Ok(()) => Exit::Ok,
        // Logs are readable after the stack has stopped, and when the supervisor does not answer.
        Err(error @ (ClientError::NoSupervisor | ClientError::Silent | ClientError::Broken(_))) if !args.follow => {
            if !matches!(error, ClientError::NoSupervisor) {
                render::note(&format!("{error}; this is what the files say"));
            }
            let selection = printer.after(selection);
            Follower::begin(&paths, &selection, &mut |entry| {
                printer.print(&entry);
            });
            Exit::Ok
        }
        Err(error) => tell(&error),
    }
}

/// Refuses services that the stack does not have.
pub(super) fn check_services(paths: &Paths, services: &[String]) -> Result<(), Exit> {
    match services.iter().find(|name| !paths.knows_service(name)) {
        Some(unknown) => Err(tell_unknown(unknown, paths.service_names().iter().map(String::as_str))),
        None => Ok(()),
    }
}

/// How long the supervisor may be away before the stack counts as stopped.
const AWAY: Duration = Duration::from_secs(5);
/// How long the keeper, which would start another supervisor, may be absent.
const NO_KEEPER: Duration = Duration::from_millis(300);

/// Prints lines as they come, until the stack has stopped or the output is closed. If the supervisor is replaced, the
/// next one continues after the last printed line. `is_over` returns whether the stack is known to have stopped.
pub(crate) async fn follow(
    paths: &Paths,
    mut selection: Selection,
    printer: &mut Printer,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<(), ClientError> {
    loop {
        let is_silent = match stream(paths, &selection, true, printer).await {
            Err(error @ ClientError::Refused(_)) => return Err(error),
            Err(error @ ClientError::NoSupervisor) if !printer.has_begun() => return Err(error),
            Err(ClientError::Silent) => true,
            _ => false,
        };
        if printer.is_closed {
            return Ok(());
        }
        if !comes_back(paths, is_over).await {
            return if is_silent { Err(ClientError::Silent) } else { Ok(()) };
        }
        selection = printer.after(selection);
    }
}

/// Waits for another supervisor. Returns false if none will come.
async fn comes_back(paths: &Paths, is_over: &mut dyn FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < AWAY && !is_over() {
        if ask_status(paths).await.is_ok_and(|status| status.state != StackState::Stopped) {
            return true;
        }
        if began.elapsed() > NO_KEEPER && !core_host::last_resort::keeper_lives(paths) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// Prints lines as they come, until the answer ends or the output is closed.
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
    client::lines(paths, &path, |line| match serde_json::from_slice::<Entry>(line) {
        Ok(entry) => printer.print(&entry),
        Err(_) => true,
    })
    .await
}

fn selection(args: &LogsArgs) -> Result<Selection, String> {
    let last = match args.lines.as_str() {
        "all" => None,
        number => Some(number.parse().map_err(|_| format!("`{number}` is neither a number of lines nor `all`"))?),
    };
    let since_ns = args.since.as_deref().map(parse_since).transpose()?;
    // `--since` alone means all lines since then: the default of `--lines` does not limit it.
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

/// Prints log entries, each with its slot.
pub(crate) struct Printer {
    timestamps: bool,
    json: bool,
    slots: Vec<String>,
    widest: usize,
    /// The time of the last printed line, and how many printed lines had this time.
    last: Option<(String, usize)>,
    /// How many lines of that time to skip, because they were printed before.
    skip: usize,
    /// The output is closed.
    is_closed: bool,
}

impl Printer {
    pub(crate) fn new(timestamps: bool, json: bool) -> Self {
        Self { timestamps, json, slots: Vec::new(), widest: 0, last: None, skip: 0, is_closed: false }
    }

    /// Whether the output is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// The part of a selection that has not been printed yet.
    fn after(&mut self, selection: Selection) -> Selection {
        let Some((time, count)) = &self.last else { return selection };
        let since = time.parse::<jiff::Timestamp>().ok();
        self.skip = *count;
        let since_ns = since.and_then(|time| u64::try_from(time.as_nanosecond()).ok());
        Selection { last: None, since_ns, ..selection }
    }

    /// Prints an entry. Returns false once the output is closed.
    pub(crate) fn print(&mut self, entry: &Entry) -> bool {
        let is_of_last = self.last.as_ref().is_some_and(|(time, _)| *time == entry.time);
        if is_of_last && self.skip > 0 {
            self.skip -= 1;
            return true;
        }
        match &mut self.last {
            Some((_, count)) if is_of_last => *count += 1,
            last => *last = Some((entry.time.clone(), 1)),
        }
        if let Err(error) = self.write(entry) {
            // A closed pipe or terminal never accepts a line again; a full disk may accept the next one.
            let is_gone = error.raw_os_error() == Some(nix::libc::EIO);
            self.is_closed = is_gone || error.kind() == io::ErrorKind::BrokenPipe;
        }
        !self.is_closed
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        if self.json {
            return writeln!(out, "{}", serde_json::to_string(entry).unwrap_or_default());
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
        writeln!(out, "{time}{slot} {}", harmless_line(&entry.line))
    }
}
