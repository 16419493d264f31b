//! A service, as every tool is told of it: a program without arguments, and what is to be known of it.

use std::io;
use std::path::PathBuf;

use crate::place::Place;

/// How it is known to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// It is not asked.
    Started,
    /// It says so: by a line of its output, or by a newline on the descriptor in `NOTIFY_FD`.
    Says,
    /// It answers `GET /` on this port of 127.0.0.1, asked every so many seconds.
    Answers(u16, u32),
}

/// The line by which a service says that it is ready.
pub(crate) const READY_LINE: &str = "READY";

/// A service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: String,
    /// The program: a shell script that ends in `exec`.
    pub(crate) program: PathBuf,
    /// The one that must be ready before it.
    pub(crate) after: Option<String>,
    /// How it is known to be ready.
    pub(crate) ready: Ready,
    /// Whether its output is to be kept.
    pub(crate) logged: bool,
    /// A variable of its environment, `MARK`: what is edited.
    pub(crate) mark: u32,
}

impl Service {
    /// One that does what the last command says. What it says first is its name and number.
    pub(crate) fn new(place: &Place, name: &str, last: &str) -> io::Result<Self> {
        let (held, said) = (place.path("held"), place.path("said"));
        let text =
            format!("#!/bin/sh\nexec 9>{}; echo start {name} $$ >{}; exec {last}\n", held.display(), said.display());
        let program = place.write_program(&format!("bin/{name}"), &text)?;
        Ok(Self { name: name.into(), program, after: None, ready: Ready::Started, logged: false, mark: 0 })
    }

    /// One that does nothing.
    pub(crate) fn idle(place: &Place, number: usize) -> io::Result<Self> {
        // No name is the beginning of another: a signal to `s1` shall not reach `s10`.
        Self::new(place, &format!("s{number}x"), "sleep 100000")
    }

    /// So many that do nothing.
    pub(crate) fn idle_ones(place: &Place, count: usize) -> io::Result<Vec<Self>> {
        (0..count).map(|number| Self::idle(place, number)).collect()
    }

    /// One that is this program, with these words (`acting.rs`).
    pub(crate) fn acting(place: &Place, name: &str, words: &str) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        Self::new(place, name, &format!("{} --service {name} {} {words}", program.display(), place.path("").display()))
    }
}
