//! Exit codes.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Well.
    Ok,
    /// The stack or a service failed.
    Failed,
    /// Wrong usage, or a broken manifest.
    Usage,
    /// No supervisor runs.
    NoSupervisor,
    /// With the code of something else.
    Code(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NoSupervisor => 3,
            Exit::Code(code) => code,
        })
    }
}
