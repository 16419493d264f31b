//! The log of the supervisor and of the command line: levels, fields, text or JSON.
//!
//! `CORE_LOG` and `-v` set what is logged. Secrets are covered, and the length of an entry is limited, since other
//! programs may have chosen its text. `writer` writes the entries.

mod writer;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::OnceLock;

use core_stack::Hidden;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::harmless::harmless;
pub use writer::flush;
pub(crate) use writer::{LONGEST, unwritten};

/// The longest entry, in bytes.
const LONGEST_ENTRY: usize = 16 << 10;

/// Secrets, which are never shown.
static HIDDEN: OnceLock<Hidden> = OnceLock::new();

/// Which entries are logged, and in which format.
#[derive(Clone, Debug)]
pub struct Settings {
    targets: Targets,
    is_json: bool,
}

impl Settings {
    /// Settings from `CORE_LOG` (`debug`, `info,core_host::supervise=trace`, `debug,json`) and the number of `-v`,
    /// which takes precedence over the level in `CORE_LOG`. Without both, the level is `default`.
    ///
    /// # Errors
    /// A word in `spec` is not a level, a target with a level, or `json`.
    pub fn new(spec: Option<&str>, verbosity: u8, default: Level) -> Result<Self, String> {
        let by_option = match verbosity {
            0 => None,
            1 => Some(LevelFilter::DEBUG),
            _ => Some(LevelFilter::TRACE),
        };
        let mut level = LevelFilter::from_level(default);
        let mut settings = Self { targets: Targets::new(), is_json: false };
        for word in spec.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let wrong =
                || format!("`{word}` is not a level: error, warn, info, debug, trace, off, TARGET=LEVEL, or json");
            if word == "json" {
                settings.is_json = true;
            } else if let Some((target, level)) = word.split_once('=') {
                let level = LevelFilter::from_str(level).map_err(|_| wrong())?;
                settings.targets = settings.targets.with_target(target, level);
            } else {
                level = LevelFilter::from_str(word).map_err(|_| wrong())?;
            }
        }
        settings.targets = settings.targets.with_default(by_option.unwrap_or(level));
        Ok(settings)
    }

    /// Starts the log of this process, on its standard error.
    pub fn start(self) {
        let layer =
            tracing_subscriber::fmt::layer().with_writer(Log).with_ansi(false).with_target(false).with_timer(Utc);
        let registry = tracing_subscriber::registry();
        // A second start has no effect.
        let _ = if self.is_json {
            registry.with(layer.json().flatten_event(true).with_filter(self.targets)).try_init()
        } else {
            registry.with(layer.with_filter(self.targets)).try_init()
        };
    }
}

/// Hands the log to a thread, which keeps the file at `place` short; secrets are covered from now on.
pub(crate) fn hand_over(place: PathBuf, hidden: Hidden) {
    let _ = HIDDEN.set(hidden);
    writer::start(place);
}

/// Formats times as RFC 3339 with milliseconds.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", jiff::Timestamp::now())
    }
}

/// The destination of the formatter.
struct Log;

/// Writes one entry with a single call.
struct Entry;

impl MakeWriter<'_> for Log {
    type Writer = Entry;

    fn make_writer(&self) -> Entry {
        Entry
    }
}

impl Write for Entry {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let text = text.trim_end_matches('\n');
        let covered = HIDDEN.get().map_or_else(|| text.to_owned(), |hidden| hidden.cover(text));
        writer::put(format!("{}\n", harmless(clipped(&covered))));
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text cut to `LONGEST_ENTRY` bytes.
fn clipped(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_ENTRY);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// An error of the system without its number, which means nothing to people.
pub(crate) fn in_words(error: &io::Error) -> String {
    let error = error.to_string();
    error.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_an_end() {
        let text = "é".repeat(LONGEST_ENTRY);
        assert_eq!(clipped(&text).len(), LONGEST_ENTRY);
        assert_eq!(clipped("short"), "short");
    }

    #[test]
    fn levels_come_from_the_variable_and_the_option() {
        let level = |spec, verbosity| {
            let settings = Settings::new(spec, verbosity, Level::INFO).unwrap();
            (settings.targets.default_level(), settings.is_json)
        };
        assert_eq!(level(None, 0), (Some(LevelFilter::INFO), false));
        assert_eq!(level(Some("warn"), 0), (Some(LevelFilter::WARN), false));
        assert_eq!(level(Some("warn,json"), 1), (Some(LevelFilter::DEBUG), true));
        assert_eq!(level(Some(" off , core_host::supervise=trace"), 0), (Some(LevelFilter::OFF), false));
        let one = Settings::new(Some("off,core_host::watch=trace"), 0, Level::INFO).unwrap();
        assert!(one.targets.would_enable("core_host::watch", &Level::TRACE));
        assert!(!one.targets.would_enable("core_host::edge", &Level::ERROR));
        for wrong in ["loud", "core_host=loud", "debug;json"] {
            assert!(Settings::new(Some(wrong), 0, Level::INFO).unwrap_err().contains(wrong));
        }
    }
}
