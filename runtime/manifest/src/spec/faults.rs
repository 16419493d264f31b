//! Collects the errors of one service, each with its place.

use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::name::ServiceName;
use crate::tree::Node;

/// Collects the errors of one service.
pub(super) struct Faults<'a> {
    pub(super) name: &'a ServiceName,
    pub(super) node: &'a Node,
    pub(super) out: &'a mut Vec<Diagnostic>,
}

impl Faults<'_> {
    /// Adds an error at a path of the manifest.
    pub(super) fn add(&mut self, path: &[&str], fault: Diagnostic) {
        self.out.push(fault.at(self.node.span_at(path)).service(self.name.as_str()));
    }

    /// A duration in seconds; an invalid one adds an error.
    pub(super) fn seconds(&mut self, path: &[&str], value: Option<f64>, default: f64) -> Duration {
        duration(value.unwrap_or(default)).unwrap_or_else(|message| {
            let key = path.last().copied().unwrap_or_default();
            self.add(path, Diagnostic::new("wrong-value", format!("`{key}` {message}")));
            Duration::ZERO
        })
    }
}

/// Seconds as a duration; at most about a hundred years.
pub(super) fn duration(seconds: f64) -> Result<Duration, String> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration.as_secs() < 3_200_000_000 => Ok(duration),
        _ => Err(format!("is {seconds} seconds, which is not a valid duration")),
    }
}
