//! An error in something that a user wrote: what is wrong, where, what was expected, what to do.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text file as it was read, with the path that people know it by (relative to the root of the stack).
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path relative to the root of the stack, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A range of bytes in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The file it is in.
    pub file: Arc<SourceFile>,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

impl Span {
    /// A span for the whole file, for errors without a better place.
    pub fn file(file: Arc<SourceFile>) -> Self {
        Self { file, start: 0, end: 0 }
    }

    /// Line and column of the first byte, both counted from 1; columns count characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.file.text.as_bytes()[..self.start.min(self.file.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        (line, column)
    }
}

/// One error. Every kind has a stable `code`, so that programs need not parse the text.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// A stable kebab-case word, for example `unknown-key`.
    pub code: &'static str,
    /// What is wrong, as a sentence without its full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where it was found.
    pub at: Option<Span>,
    /// A second place, with a label, for errors that have two.
    pub also: Option<(Span, String)>,
    /// The affected service, if there is one.
    pub service: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, at: None, also: None, service: None }
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.at = Some(span);
        self
    }

    /// Sets the place if it is known.
    #[must_use]
    pub fn at_opt(mut self, span: Option<Span>) -> Self {
        self.at = span.or(self.at);
        self
    }

    /// Sets the help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the help if there is one.
    #[must_use]
    pub fn help_opt(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Sets the second place and its label.
    #[must_use]
    pub fn also(mut self, span: Option<Span>, words: impl Into<String>) -> Self {
        self.also = span.map(|span| (span, words.into()));
        self
    }

    /// Sets the affected service.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// The same error as plain data, for the API and for saving.
    pub fn problem(&self) -> Problem {
        let place = self.at.as_ref().map(|span| (span.file.path.clone(), span.line_column()));
        Problem {
            file: place.as_ref().map(|(file, _)| file.clone()),
            line: place.as_ref().map(|(_, (line, _))| *line),
            column: place.as_ref().map(|(_, (_, column))| *column),
            service: self.service.clone(),
            code: self.code.to_owned(),
            message: self.message.clone(),
            help: self.help.clone(),
        }
    }
}

/// An error as plain data, as in `problems` of `status --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// The file, relative to the root of the stack.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// The column in characters, counted from 1.
    pub column: Option<usize>,
    /// The affected service.
    pub service: Option<String>,
    /// A stable kebab-case word for programs.
    pub code: String,
    /// What is wrong, as text for people.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem without a place in a file.
    pub fn of_service(service: &str, code: &str, message: String) -> Self {
        Self {
            file: None,
            line: None,
            column: None,
            service: Some(service.to_owned()),
            code: code.to_owned(),
            message,
            help: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line, self.column) {
            (Some(file), Some(line), Some(column)) => write!(f, "{file}:{line}:{column}: ")?,
            (Some(file), ..) => write!(f, "{file}: ")?,
            _ => {
                if let Some(service) = &self.service {
                    write!(f, "{service}: ")?;
                }
            }
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}
