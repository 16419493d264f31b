//! How things look. Colour and width are those of the terminal; into a pipe goes plain text.

pub(crate) mod diagnostics;
pub(crate) mod frame;
pub(crate) mod graph;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod words;

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use core_engine::phase::PhaseName;
use core_host::api::InstanceStatus;

use core_host::harmless::harmless;

/// What went wrong.
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
/// What went well.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// What is on its way.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What matters more.
pub(crate) const BOLD: Style = Style::new().bold();

/// Text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Colour of an instance's phase.
pub(crate) fn phase_style(instance: &InstanceStatus) -> Style {
    match instance.phase {
        PhaseName::Ready => GREEN,
        PhaseName::Ended if instance.ready => GREEN,
        PhaseName::Ended => DIM,
        PhaseName::Backoff | PhaseName::GaveUp => RED,
        _ => YELLOW,
    }
}

/// A line for people, on standard output. That nobody reads it any more (`| head`) is no fault.
pub(crate) fn line(text: &str) {
    let _ = writeln!(anstream::stdout(), "{}", harmless(text));
}

/// Lines for people, on standard output.
pub(crate) fn lines(all: &[String]) {
    for text in all {
        line(text);
    }
}

/// A line for people, on standard error. That its terminal has gone away is no fault either.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", harmless(text));
}

/// What is wrong.
pub(crate) fn error(text: &str) {
    note(&format!("{} {text}", styled(RED, "error:")));
}

/// What to do about it.
pub(crate) fn help(text: &str) {
    note(&format!(" {} {text}", styled(DIM, "help:")));
}

/// How wide lines may be.
pub(crate) fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.or_else(terminal_width).unwrap_or(100)
}

/// The width of the terminal that standard output is.
pub(crate) fn terminal_width() -> Option<usize> {
    console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
}

/// Whether a person watches standard error.
pub(crate) fn is_watched() -> bool {
    console::Term::stderr().features().is_attended()
}
