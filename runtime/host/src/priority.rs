//! How much of the processor an instance gets where there is not enough for all.
//!
//! Each service is a session of its own, and the kernel shares the processor out by sessions (`sched_autogroup`,
//! sched(7)); how much each gets is set by a file of any of its processes. Where the kernel does not do so, a new
//! version just takes what it wants.

use std::io::ErrorKind;
use std::time::Duration;

/// The nice value of a session that yields: about a tenth of what another one gets.
const YIELDING: &str = "10";
const NORMAL: &str = "0";
/// Without privileges, the kernel takes one such order in a tenth of a second.
const PAUSE: Duration = Duration::from_millis(110);
const ATTEMPTS: usize = 50;

/// Lets the session of a process yield, or no longer.
pub(crate) async fn set(pid: u32, yields: bool) {
    let path = format!("/proc/{pid}/autogroup");
    if yields {
        // Tried once: it must not come after what takes it back.
        let _ = std::fs::write(&path, YIELDING);
        return;
    }
    for _ in 0..ATTEMPTS {
        match std::fs::write(&path, NORMAL) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
            // It may have ended, or there is no such thing here: nobody waits for it.
            _ => return,
        }
    }
}
