//! CPU priority of instances, for when the CPUs are fully used.
//!
//! Each service runs in its own session, and the kernel divides CPU time among sessions (`sched_autogroup`, sched(7));
//! a file of any process of a session sets its share. Without this feature, a new version takes whatever share it gets.

use std::io::ErrorKind;
use std::time::Duration;

/// The nice value of a session with low priority: it gets about a tenth of another one's share.
const YIELDING: &str = "10";
const NORMAL: &str = "0";
/// Without privileges, the kernel accepts one change in a tenth of a second.
const PAUSE: Duration = Duration::from_millis(110);
const ATTEMPTS: usize = 50;

/// Gives the session of a process low priority, or normal priority again.
pub(crate) async fn set(pid: u32, yields: bool) {
    let path = format!("/proc/{pid}/autogroup");
    if yields {
        // Tried only once: a later try might come after the change back.
        let _ = std::fs::write(&path, YIELDING);
        return;
    }
    for _ in 0..ATTEMPTS {
        match std::fs::write(&path, NORMAL) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
            // The process may have exited, or the kernel lacks the feature: no caller waits for this.
            _ => return,
        }
    }
}
