//! The pause before something that failed is tried again.

use std::time::Duration;

/// The first and the longest pause after core itself failed at something.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_millis(1600);

/// `first`, doubled this many times, up to `longest`.
pub(super) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(longest)
}

/// The pause after core failed at something, and had failed this many times before.
pub(super) fn pause_of_ours(before: u32) -> Duration {
    doubled(FIRST, before, LONGEST)
}
