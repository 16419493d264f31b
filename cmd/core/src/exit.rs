//! Exit codes.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success.
    Ok,
    /// The stack or a service failed.
    Failed,
    /// Wrong usage, or invalid manifests.
    Usage,
    /// The stack is not running.
    NoSupervisor,
    /// The exit code of another program.
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
