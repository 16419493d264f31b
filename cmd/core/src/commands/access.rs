//! `core logs --access`: the requests that the edge has answered.

use std::io::{self, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use core_host::harmless::harmless_line;
use core_host::logs::Selection;
use core_host::logs::access::{self, Entry, Follower};
use core_host::paths::Paths;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::cli::LogsArgs;
use crate::exit::Exit;
use crate::render::words::{bytes, took};
use crate::render::{self, DIM, RED, YELLOW, styled};

/// How often new entries are looked for.
const PAUSE: Duration = Duration::from_millis(200);
/// The width of most addresses of clients, and of methods.
const CLIENT: usize = 15;
const METHOD: usize = 4;

/// Reads the files itself: they are there whether the stack runs or not.
pub(super) async fn run(paths: &Paths, args: &LogsArgs, selection: &Selection) -> Exit {
    if !access::is_there(paths) && !args.follow {
        return tell_missing();
    }
    let mut printer = Printer { args, zone: TimeZone::system(), widest: 0 };
    let mut is_open = true;
    let mut follower = Follower::begin(paths, selection, &mut |entry| {
        is_open = printer.print(&entry);
        is_open
    });
    while args.follow && is_open {
        tokio::time::sleep(PAUSE).await;
        is_open = follower.more().iter().all(|entry| printer.print(entry));
    }
    Exit::Ok
}

/// The services that requests are for whose previews are named: `web` for `web~pr-12`.
pub(super) fn services(named: &[String]) -> Vec<String> {
    named.iter().map(|name| name.split('~').next().unwrap_or(name).to_owned()).collect()
}

/// Says that nothing was written yet.
pub(super) fn tell_missing() -> Exit {
    render::error("the edge has not written an access log yet");
    render::help("it does with its first request; see `access_log` in the `config` of the edge");
    Exit::Failed
}

struct Printer<'a> {
    args: &'a LogsArgs,
    zone: TimeZone,
    widest: usize,
}

impl Printer<'_> {
    /// Prints an entry. Returns false once the output is closed.
    fn print(&mut self, entry: &Entry) -> bool {
        let line = if self.args.json {
            as_json(entry)
        } else if self.args.combined {
            harmless_line(&combined(entry, &self.zone))
        } else {
            self.line(entry)
        };
        let written = writeln!(anstream::stdout().lock(), "{line}");
        // A full disk may accept the next one.
        written.map_or_else(
            |error| error.kind() != io::ErrorKind::BrokenPipe && error.raw_os_error() != Some(5),
            |()| true,
        )
    }

    fn line(&mut self, entry: &Entry) -> String {
        self.widest = self.widest.max(entry.service.len());
        let time = time_of(entry);
        let time = if self.args.timestamps {
            format!("{time:.6}")
        } else {
            time.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string()
        };
        let duration = if entry.is_complete() { took(entry.seconds) } else { "cut off".to_owned() };
        let client = harmless_line(&entry.client);
        format!(
            "{} {:<width$} {} {:>8} {:>8} {} {:<METHOD$} {}{}",
            styled(DIM, &time),
            entry.service,
            styled(style(entry), &entry.status.to_string()),
            duration,
            bytes(entry.bytes),
            styled(DIM, &format!("{client:<CLIENT$}")),
            harmless_line(&entry.method),
            styled(DIM, &harmless_line(&entry.host)),
            harmless_line(&entry.path),
            width = self.widest,
        )
    }
}

/// The colour of a status.
fn style(entry: &Entry) -> Style {
    match entry.status {
        _ if !entry.is_complete() => RED,
        500.. => RED,
        400.. => YELLOW,
        300.. => AnsiColor::Cyan.on_default(),
        _ => AnsiColor::Green.on_default(),
    }
}

fn time_of(entry: &Entry) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(entry.wall_ns)).unwrap_or_default()
}

fn as_json(entry: &Entry) -> String {
    json!({
        "time": format!("{:.6}", time_of(entry)),
        "service": entry.service,
        "method": entry.method,
        "host": entry.host,
        "path": entry.path,
        "protocol": entry.protocol,
        "status": entry.status,
        "bytes": entry.bytes,
        "duration_ms": entry.is_complete().then_some(entry.seconds * 1e3),
        "complete": entry.is_complete(),
        "client": entry.client,
        "user_agent": entry.user_agent,
        "referer": entry.referer,
    })
    .to_string()
}

/// The Combined Log Format, as Apache has defined it: quotes in texts are escaped.
fn combined(entry: &Entry, zone: &TimeZone) -> String {
    let text = |text: &str| match text {
        "" => "-".to_owned(),
        text => text.replace('\\', "\\\\").replace('"', "\\\""),
    };
    format!(
        "{} - - [{}] \"{} {} {}\" {} {} \"{}\" \"{}\"",
        entry.client,
        time_of(entry).to_zoned(zone.clone()).strftime("%d/%b/%Y:%H:%M:%S %z"),
        text(&entry.method),
        text(&entry.path),
        entry.protocol,
        entry.status,
        entry.bytes,
        text(&entry.referer),
        text(&entry.user_agent),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_programs_can_read_it() {
        let entry = Entry {
            wall_ns: 1_700_000_000_000_000_000,
            method: "GET".into(),
            path: "/a\"b".into(),
            protocol: "HTTP/2.0".into(),
            status: 200,
            bytes: 5,
            client: "::1".into(),
            user_agent: "curl".into(),
            ..Entry::default()
        };
        let expected = r#"::1 - - [14/Nov/2023:22:13:20 +0000] "GET /a\"b HTTP/2.0" 200 5 "-" "curl""#;
        assert_eq!(combined(&entry, &TimeZone::UTC), expected);
    }
}
