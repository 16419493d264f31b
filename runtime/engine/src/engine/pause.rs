//! How long until something that failed is tried again.

use std::time::Duration;

/// The pause after the first attempt at something of ours that failed, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_millis(1600);

/// Twice as long each time, up to the longest.
pub(super) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(longest)
}

/// The pause after an attempt at something of ours that failed, and after so many before it.
pub(super) fn pause_of_ours(before: u32) -> Duration {
    doubled(FIRST, before, LONGEST)
}
