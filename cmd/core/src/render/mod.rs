//! Styles and lines of output. Colour and width depend on the terminal; a pipe gets plain text.

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

/// Errors.
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
/// Success.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// Something in progress.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Less important text.
pub(crate) const DIM: Style = Style::new().dimmed();
/// More important text.
pub(crate) const BOLD: Style = Style::new().bold();

/// Text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The colour of an instance's phase.
pub(crate) fn phase_style(instance: &InstanceStatus) -> Style {
    match instance.phase {
        PhaseName::Ready => GREEN,
        PhaseName::Ended if instance.ready => GREEN,
        PhaseName::Ended => DIM,
        PhaseName::Backoff | PhaseName::GaveUp => RED,
        _ => YELLOW,
    }
}

/// Prints a line to standard output. A reader that closes the pipe (`| head`) is not an error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(anstream::stdout(), "{}", harmless(text));
}

/// Prints lines to standard output.
pub(crate) fn lines(all: &[String]) {
    for text in all {
        line(text);
    }
}

/// Prints a line to standard error. A terminal that was closed is not an error either.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", harmless(text));
}

/// Prints what is wrong.
pub(crate) fn error(text: &str) {
    note(&format!("{} {text}", styled(RED, "error:")));
}

/// Prints what to do about it.
pub(crate) fn help(text: &str) {
    note(&format!(" {} {text}", styled(DIM, "help:")));
}

/// The width of lines, in columns.
pub(crate) fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.or_else(terminal_width).unwrap_or(100)
}

/// The width of the terminal on standard output.
pub(crate) fn terminal_width() -> Option<usize> {
    console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
}

/// Whether standard error is a terminal.
pub(crate) fn is_watched() -> bool {
    console::Term::stderr().features().is_attended()
}
