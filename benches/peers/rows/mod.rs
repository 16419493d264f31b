//! The rows: what is measured, one file for each kind of run.

pub(crate) mod chain;
pub(crate) mod change;
pub(crate) mod kill;
pub(crate) mod logs;
pub(crate) mod probes;
pub(crate) mod sizes;

use std::time::Duration;

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// A count as a value.
#[allow(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}
