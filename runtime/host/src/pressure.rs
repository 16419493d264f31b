//! Whether the host runs short of memory: then what is kept in it without serving goes.

use std::fs;
use std::time::Duration;

use crate::machine;

/// Pause between two looks, while something could go.
pub(crate) const PAUSE: Duration = Duration::from_secs(2);
/// Memory is short when less than this part of it is available.
const PART: u64 = 16;

/// Where the kernel says how long programs have waited for memory: of the cgroup of a container, else of the host
/// (https://docs.kernel.org/accounting/psi.html).
const STALLS: [&str; 2] = ["/sys/fs/cgroup/memory.pressure", "/proc/pressure/memory"];

/// Whether memory is short now: little is available, and, where the kernel tells, somebody waits for it. The limit of a
/// cgroup counts what files have in the page cache, which makes room for programs by itself.
pub(crate) fn is_short() -> bool {
    let is_little =
        machine::look(&[]).is_ok_and(|machine| is_little(machine.memory_bytes, machine.memory_available_bytes));
    let told = STALLS.iter().find_map(|path| stalls(&fs::read_to_string(path).ok()?));
    is_little && told != Some(false)
}

/// Whether programs have waited for memory in the last ten seconds; `None` if that text does not tell.
fn stalls(text: &str) -> Option<bool> {
    let some = text.lines().find_map(|line| line.strip_prefix("some avg10="))?;
    Some(some.split(' ').next()?.parse::<f64>().ok()? > 0.0)
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

    #[test]
    fn the_kernel_tells_who_waits() {
        assert_eq!(stalls("some avg10=0.00 avg60=1.50 avg300=0.10 total=7\nfull avg10=0.00"), Some(false));
        assert_eq!(stalls("some avg10=0.13 avg60=0.00 avg300=0.00 total=7"), Some(true));
        assert_eq!(stalls(""), None);
    }
}
