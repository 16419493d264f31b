//! How a process exited, as far as the kernel reports it: a child before it is reaped, or the child of another process.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::libc;

use crate::sys::{self, Reaped, Stat};

/// The bit of the capability to trace every process (`CAP_SYS_PTRACE`) in a capability set.
const SYS_PTRACE: u64 = 1 << 19;

/// What could be found out about the exit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The wait status of the process.
    Known(i32),
    /// It is still there, or could not be examined now.
    NotYet,
    /// It is gone: its parent has reaped it.
    Gone,
}

/// How a process exited that its parent has not reaped: field 52 of `/proc/PID/stat`. The kernel shows it to processes
/// that may trace it, and a 0 to all others, so without that right this returns [`End::NotYet`].
pub fn of_zombie(pid: u32, start_ticks: u64) -> End {
    let folder = format!("/proc/{pid}");
    let text = match fs::read(format!("{folder}/stat")) {
        Ok(text) => text,
        Err(error) => {
            let is_gone = matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH));
            return if is_gone { End::Gone } else { End::NotYet };
        }
    };
    let Some(stat) = Stat::parse(&text) else { return End::NotYet };
    if stat.start_ticks != start_ticks {
        return End::Gone;
    }
    let may_know = || {
        let owner = fs::metadata(&folder).map(|meta| meta.uid());
        owner.is_ok_and(|owner| owner == nix::unistd::geteuid().as_raw()) || may_trace()
    };
    if stat.state != b'Z' || !may_know() {
        return End::NotYet;
    }
    let after = text.iter().rposition(|byte| *byte == b')').map_or(0, |at| at + 2);
    let rest = text.get(after..).and_then(|rest| std::str::from_utf8(rest).ok()).unwrap_or_default();
    rest.split_ascii_whitespace().nth(49).and_then(|word| word.parse().ok()).map_or(End::NotYet, End::Known)
}

/// Wait status of a process that was reaped, through a pidfd opened before (Linux 6.15 and later).
pub fn of_reaped(handle: &OwnedFd) -> Option<i32> {
    // `struct pidfd_info` of linux/pidfd.h, up to the exit code.
    #[repr(C)]
    #[derive(Default)]
    struct PidfdInfo {
        mask: u64,
        cgroupid: u64,
        pids: [u32; 3],
        ids: [u32; 8],
        exit_code: i32,
        rest: [u64; 8],
    }
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    // _IOWR(0xFF, 11, struct pidfd_info), with the size that the structure has here: the kernel accepts any size from
    // the first version of the structure on.
    let size = size_of::<PidfdInfo>() as u64;
    let request = (3_u64 << 30) | (size << 16) | (0xff << 8) | 0x0b;
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the pointer is to a live, writable structure of the size that the request states.
    let result = unsafe { libc::ioctl(handle.as_raw_fd(), request, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

/// PID of a child that has exited and was not reaped, whatever its exit signal.
pub fn any_child() -> Option<u32> {
    wait_for(libc::P_ALL, 0, libc::WEXITED | libc::WNOWAIT).map(|(info, _)| child_of(&info))
}

/// A child that was stopped (true) or continued (false) since the last call, with its PID first.
pub fn held_child() -> Option<(u32, bool)> {
    let (info, _) = wait_for(libc::P_ALL, 0, libc::WSTOPPED | libc::WCONTINUED)?;
    Some((child_of(&info), info.si_code != libc::CLD_CONTINUED))
}

fn child_of(info: &libc::siginfo_t) -> u32 {
    // SAFETY: the kernel has filled it in as for a child.
    u32::try_from(unsafe { info.si_pid() }).unwrap_or(0)
}

/// The raw system call: the C library omits the last argument, and other libraries only know signals that have names.
fn wait_for(kind: libc::idtype_t, id: u32, flags: i32) -> Option<(libc::siginfo_t, libc::rusage)> {
    // SAFETY: zeroed values of plain C structures are valid.
    let (mut info, mut usage) = unsafe { (std::mem::zeroed::<libc::siginfo_t>(), std::mem::zeroed::<libc::rusage>()) };
    // SAFETY: both pointers are to live, writable values.
    let result =
        unsafe { libc::syscall(libc::SYS_waitid, kind, id, &raw mut info, flags | libc::WNOHANG, &raw mut usage) };
    (result == 0 && child_of(&info) > 0).then_some((info, usage))
}

/// How a child exited, without reaping it; `None` while it has not exited.
pub fn peek(pid: u32) -> Option<Reaped> {
    let (info, usage) = wait_for(libc::P_PID, pid, libc::WEXITED | libc::WNOWAIT)?;
    // SAFETY: the kernel has filled it in as for a child that exited.
    let value = unsafe { info.si_status() };
    let status = match info.si_code {
        libc::CLD_EXITED => (value & 0xff) << 8,
        libc::CLD_DUMPED => value | 0x80,
        _ => value,
    };
    Some(Reaped {
        pid,
        status,
        user_us: sys::micros(usage.ru_utime),
        system_us: sys::micros(usage.ru_stime),
        max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    })
}

fn may_trace() -> bool {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = text.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & SYS_PTRACE != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn an_end_is_known_before_it_is_reaped() {
        for (line, status) in [("exit 7", 7 << 8), ("kill -9 $$", 9)] {
            let mut child = Command::new("sh").args(["-c", line]).spawn().unwrap();
            let seen = loop {
                if let Some(seen) = peek(child.id()) {
                    break seen;
                }
                std::thread::yield_now();
            };
            assert_eq!(seen.status, status);
            assert!(seen.max_rss_kib > 0);
            assert_eq!(child.wait().unwrap().into_raw(), status);
        }
    }

    #[test]
    fn a_zombie_tells_how_it_ended() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let (ticks, _) = sys::identity(child.id()).unwrap();
        let is_zombie = || Stat::of(child.id()).is_some_and(|stat| stat.state == b'Z');
        while !is_zombie() {
            std::thread::yield_now();
        }
        assert_eq!(of_zombie(child.id(), ticks), End::Known(7 << 8));
        assert_eq!(of_zombie(child.id(), ticks + 1), End::Gone, "another process of the same number");
        child.wait().unwrap();
        assert_eq!(of_zombie(child.id(), ticks), End::Gone);
        let (own, _) = sys::identity(std::process::id()).unwrap();
        assert_eq!(of_zombie(std::process::id(), own), End::NotYet);
    }
}
