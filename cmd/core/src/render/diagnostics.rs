//! Diagnostics of manifests, each with the lines it is about.

use std::fmt;

use core_manifest::{Diagnostic, Problem, Span};
use core_stack::hidden::cover_source;
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan, ThemeCharacters,
    ThemeStyles,
};

use super::{BOLD, RED, note, styled};

/// One diagnostic, in the form that the renderer wants.
#[derive(Debug)]
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedSource<String>>,
}

impl<'a> Report<'a> {
    fn new(diagnostic: &'a Diagnostic) -> Self {
        let file = diagnostic.at.as_ref().map(|span| &span.file).filter(|file| !file.text.is_empty());
        let source = file.map(|file| NamedSource::new(&file.path, cover_source(&file.path, &file.text)));
        Self { diagnostic, source }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file without text has no lines to show, but it has a name.
        match &self.diagnostic.at {
            Some(span) if self.source.is_none() => write!(f, "{}: {}", span.file.path, self.diagnostic.message),
            _ => f.write_str(&self.diagnostic.message),
        }
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        let other = self.diagnostic.also.as_ref().filter(|(span, _)| !self.is_same_file(span));
        let other = other.map(|(span, words)| {
            let (line, column) = span.line_column();
            format!("{words}: {}:{line}:{column}", span.file.path)
        });
        let all: Vec<String> = self.diagnostic.help.iter().cloned().chain(other).collect();
        (!all.is_empty()).then(|| Box::new(all.join("\n")) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        let main = self.diagnostic.at.as_ref().map(|span| LabeledSpan::new_primary_with_span(None, range(span)));
        let also = self.diagnostic.also.as_ref().filter(|(span, _)| self.is_same_file(span));
        let also = also.map(|(span, words)| LabeledSpan::new_with_span(Some(words.clone()), range(span)));
        Some(Box::new(main.into_iter().chain(also)))
    }
}

impl Report<'_> {
    fn is_same_file(&self, span: &Span) -> bool {
        self.diagnostic.at.as_ref().is_some_and(|at| at.file.path == span.file.path)
    }
}

/// A span in the renderer's form: its first line only, so that it does not underline a whole object.
fn range(span: &Span) -> SourceSpan {
    let text = span.file.text.get(span.start..span.end).unwrap_or_default();
    let length = text.find('\n').unwrap_or(text.len());
    (span.start, length).into()
}

/// Prints all diagnostics to standard error, and their number.
pub(crate) fn print(all: &[Diagnostic]) {
    for diagnostic in all {
        note(&text(diagnostic));
    }
    note(&styled(BOLD, &super::words::count(all.len(), "error")));
}

/// One diagnostic as text.
pub(crate) fn text(diagnostic: &Diagnostic) -> String {
    let is_pretty = super::is_watched();
    let has_colour = is_pretty && anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let theme = GraphicalTheme {
        characters: if is_pretty { ThemeCharacters::unicode() } else { ThemeCharacters::ascii() },
        styles: if has_colour { ThemeStyles::ansi() } else { ThemeStyles::none() },
    };
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(super::width().min(120)).with_links(false);
    match handler.render_report(&mut text, &Report::new(diagnostic)) {
        Ok(()) => text,
        Err(_) => diagnostic.problem().to_string(),
    }
}

/// A problem that the supervisor reported.
pub(crate) fn problem(problem: &Problem) -> String {
    let lines = super::words::wrap(&problem.to_string(), super::width().saturating_sub(2));
    format!("{} {}", styled(RED, "!"), lines.join("\n  "))
}
