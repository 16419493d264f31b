//! How a process ended that is not our child, as far as the kernel tells it.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use crate::sys::{self, Stat};

/// What the capability to trace every process is in a set of them (`CAP_SYS_PTRACE`).
const SYS_PTRACE: u64 = 1 << 19;

/// Wait status of a process that has ended and that its parent has not reaped: field 52 of `/proc/PID/stat`. The kernel
/// shows it to those who may trace the process, and a 0 to all others; so nobody else asks.
pub fn of_zombie(pid: u32, start_ticks: u64) -> Option<i32> {
    let folder = format!("/proc/{pid}");
    let owner = fs::metadata(&folder).ok()?.uid();
    if owner != nix::unistd::geteuid().as_raw() && !may_trace() {
        return None;
    }
    let text = fs::read(format!("{folder}/stat")).ok()?;
    let stat = Stat::parse(&text)?;
    if stat.state != b'Z' || stat.start_ticks != start_ticks {
        return None;
    }
    let after = text.iter().rposition(|byte| *byte == b')')? + 2;
    std::str::from_utf8(text.get(after..)?).ok()?.split_ascii_whitespace().nth(49)?.parse().ok()
}

/// Wait status of a process that was reaped, by a handle from before (Linux 6.15 and later).
pub fn of_reaped(handle: &OwnedFd) -> Option<i32> {
    sys::exit_status(handle)
}

fn may_trace() -> bool {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = text.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & SYS_PTRACE != 0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_zombie_tells_how_it_ended() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let (ticks, _) = sys::identity(child.id()).unwrap();
        let is_zombie = || Stat::of(child.id()).is_some_and(|stat| stat.state == b'Z');
        while !is_zombie() {
            std::thread::yield_now();
        }
        assert_eq!(of_zombie(child.id(), ticks), Some(7 << 8));
        assert_eq!(of_zombie(child.id(), ticks + 1), None, "another process of the same number");
        child.wait().unwrap();
        assert_eq!(of_zombie(child.id(), ticks), None);
    }
}
