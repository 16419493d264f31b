//! Whether the host runs short of memory: then what is kept in it without serving goes.

use std::time::Duration;

use crate::machine;

/// Pause between two looks, while something could go.
pub(crate) const PAUSE: Duration = Duration::from_secs(2);
/// Memory is short when less than this part of it is available.
const PART: u64 = 16;

/// Whether memory is short now.
pub(crate) fn is_short() -> bool {
    machine::look(&[]).is_ok_and(|machine| is_little(machine.memory_bytes, machine.memory_available_bytes))
}

/// Whether so much available memory is little, both in bytes.
fn is_little(total: u64, available: u64) -> bool {
    available < total / PART
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixteenth_is_enough() {
        assert!(is_little(16 << 30, (1 << 30) - 1));
        assert!(!is_little(16 << 30, 1 << 30));
    }
}
