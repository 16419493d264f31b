//! How an invocation exited, and why a start failed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the first process of an invocation exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It was killed by the signal with this number.
    Signal(i32),
    /// It exited while no shim was watching.
    Unknown,
}

impl Exit {
    /// The code as shells report it: 128 + n for signal n; `None` when it is unknown.
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(signal) => Some(128 + signal),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Unknown => f.write_str("ended, how is not known"),
        }
    }
}

/// Why a start failed, or why core stopped a running instance as failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// A stage before or at exec failed.
    Exec {
        /// The stage, for example `cwd`, `user` or `exec`.
        stage: String,
        /// The error of the kernel, with what it refers to.
        message: String,
    },
    /// A port that it should listen on is taken.
    PortTaken {
        /// The port number.
        port: u16,
        /// The process that has it, as far as that can be told.
        owner: String,
    },
    /// A copy of it may still be alive, so it was not started.
    Guard(String),
    /// core's own part of the start failed.
    Host(String),
    /// core lacked a resource for the start: processes, descriptors, memory. This is not an error of the service, so it
    /// is tried again without being counted.
    Lack(String),
    /// It exited.
    Exit(Exit),
    /// It was not ready in time. With the last result of its probe.
    NeverReady(String),
    /// Its liveness probe failed. With the last result.
    NotAlive(String),
    /// A binary it needs is not available.
    Binary(String),
}

impl Failure {
    /// The failure as a clause: `it exited with 1`, `port 80 is taken by …`.
    pub fn of_it(&self) -> String {
        match self {
            Self::PortTaken { .. } | Self::Binary(_) => self.to_string(),
            _ => format!("it {self}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exec { stage, message } => write!(f, "could not be started ({stage}): {message}"),
            Self::PortTaken { port, owner } => write!(f, "port {port} is taken by {owner}"),
            Self::Guard(message) => write!(f, "was not started, a copy may still live: {message}"),
            Self::Host(message) | Self::Lack(message) => write!(f, "could not be started: {message}"),
            Self::Exit(exit) => exit.fmt(f),
            Self::NeverReady(answer) if answer.is_empty() => f.write_str("was not ready in time"),
            Self::NeverReady(answer) => write!(f, "was not ready in time: {answer}"),
            Self::NotAlive(answer) => write!(f, "failed its liveness probe: {answer}"),
            Self::Binary(message) => write!(f, "a binary is missing: {message}"),
        }
    }
}
