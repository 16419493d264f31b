//! What this host offers. Each probe is one small function: it tries something, cleans up after itself, and returns
//! what it found. What it means for the exit code, and how it looks, is decided by whoever asked.

mod cgroup;
mod folders;
mod kernel;
mod limits;
mod programs;

use core_engine::topology::PortRange;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;

/// How far the host has what was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is there.
    Ok,
    /// It is there in part, or something less good takes its place.
    Weaker,
    /// It is not there.
    Missing,
}

/// What one probe found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable word.
    pub name: String,
    /// How far it is there.
    pub state: State,
    /// What was found, in words.
    pub found: String,
    /// What is weaker for it; absent when all is well.
    pub without: Option<String>,
    /// core cannot run when it is missing.
    pub required: bool,
}

impl Finding {
    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, found: found.into(), without: None, required: false }
    }

    fn weaker(name: &str, found: impl Into<String>, without: &str) -> Self {
        Self { state: State::Weaker, without: Some(without.into()), ..Self::ok(name, found) }
    }

    fn missing(name: &str, found: impl Into<String>, without: &str) -> Self {
        Self { state: State::Missing, ..Self::weaker(name, found, without) }
    }

    /// Without it nothing goes.
    fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Whether core cannot run here.
    pub fn is_fatal(&self) -> bool {
        self.required && self.state == State::Missing
    }
}

/// Looks at everything. `range` is that of the stack's auto ports.
pub fn examine(paths: &Paths, range: &PortRange) -> Vec<Finding> {
    let mut all =
        vec![kernel::release(), programs::shim(), kernel::peer_credentials(), kernel::pidfd(), kernel::exit_codes()];
    // Before the programs: what is forked here should find one thread.
    all.extend(cgroup::all());
    all.extend([
        folders::run(paths),
        folders::splice(paths),
        folders::space("disk-state", &paths.state(), paths),
        folders::space("disk-dep", &paths.dep(), paths),
        limits::machine(),
        limits::open_files(),
        limits::inotify(),
        kernel::sock_diag(),
        limits::pids(),
        limits::ports(range),
    ]);
    all.extend(programs::tools());
    all
}
