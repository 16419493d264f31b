//! How an invocation ended, and why a start failed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the first process of an invocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal of this number ended it.
    Signal(i32),
    /// It ended while nobody who could know was watching.
    Unknown,
}

impl Exit {
    /// The code as shells show it: 128 + n after signal n.
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

/// Why a start failed, or why a running instance was stopped by us as failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// A stage before or at exec.
    Exec {
        /// The stage, such as `cwd`, `user`, `exec`.
        stage: String,
        /// What the kernel said, with what it said it of.
        message: String,
    },
    /// A port it should listen on is taken.
    PortTaken {
        /// The port.
        port: u16,
        /// Who has it, as far as can be told.
        owner: String,
    },
    /// A copy of it may still live; it was left alone.
    Guard(String),
    /// Our own part of the start failed.
    Host(String),
    /// Something of ours was lacking for the start: processes, descriptors, memory. No fault of the service, and tried
    /// again without being counted.
    Lack(String),
    /// It ended.
    Exit(Exit),
    /// It was not ready in time. With the last answer of its probe.
    NeverReady(String),
    /// Its liveness probe failed. With the last answer.
    NotAlive(String),
    /// A binary it needs is not available.
    Binary(String),
}

impl Failure {
    /// The same as a clause: `it exited with 1`, `port 80 is taken by …`.
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
