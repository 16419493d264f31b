//! `core doctor`: what this host offers. Each probe is one small function that tries something, cleans up after itself,
//! and returns a finding. The caller decides about the exit code and the layout.

mod cgroup;
mod folders;
mod kernel;
mod limits;
mod programs;

use core_engine::topology::PortRange;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;

/// Whether the host has what core uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is available.
    Ok,
    /// It is partly available, or something weaker replaces it.
    Weaker,
    /// It is missing.
    Missing,
}

/// The result of one probe.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// A stable word for programs.
    pub name: String,
    /// Whether it is available.
    pub state: State,
    /// What was found, as text for people.
    pub found: String,
    /// What does not work or is weaker without it; absent if all is well.
    pub without: Option<String>,
    /// Whether core cannot run if it is missing.
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

    /// Marks it as required to run core.
    fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Whether core cannot run here.
    pub fn is_fatal(&self) -> bool {
        self.required && self.state == State::Missing
    }
}

/// Runs all probes. `range` is that of the stack's auto ports.
pub fn examine(paths: &Paths, range: &PortRange) -> Vec<Finding> {
    let mut all =
        vec![kernel::release(), programs::shim(), kernel::peer_credentials(), kernel::pidfd(), kernel::exit_codes()];
    // Before the programs: these tests fork, which should happen while there is one thread.
    all.extend(cgroup::all());
    all.extend([
        folders::run(paths),
        folders::splice(paths),
        folders::space("disk-state", &paths.state(), paths),
        folders::space("disk-dep", &paths.dep(), paths),
        folders::releases(paths),
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
