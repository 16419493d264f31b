//! Clocks, and the few system calls that no library wraps in a suitable way.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::libc;

/// A child as `wait4` reports it.
#[derive(Clone, Copy, Debug)]
pub struct Reaped {
    /// PID of the child.
    pub pid: u32,
    /// Wait status.
    pub status: i32,
    /// CPU time in user mode, microseconds.
    pub user_us: u64,
    /// CPU time in the kernel, microseconds.
    pub system_us: u64,
    /// Largest resident set size, KiB.
    pub max_rss_kib: u64,
}

/// Whether an error number means that a call is not available here: a kernel without it (`ENOSYS`), a file system
/// without it (`EOPNOTSUPP`), or a filter, which may return anything but usually returns one of these.
pub fn is_refused(errno: i32) -> bool {
    matches!(errno, libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EOPNOTSUPP)
}

/// The result of an attempt to reap.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// This child has exited and was reaped.
    Reaped(Reaped),
    /// There are children, but none has exited.
    Living,
    /// There are no children.
    Childless,
}

/// Reaps one child that has exited, if there is one.
pub fn reap() -> Wait {
    let mut status = 0;
    // SAFETY: a zeroed rusage is a valid value of a plain C structure.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live, writable values.
        let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
        return match (pid, Errno::last()) {
            (0, _) => Wait::Living,
            (-1, Errno::EINTR) => continue,
            (-1, _) => Wait::Childless,
            (pid, _) => Wait::Reaped(Reaped {
                pid: pid.unsigned_abs(),
                status,
                user_us: micros(usage.ru_utime),
                system_us: micros(usage.ru_stime),
                max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
            }),
        };
    }
}

pub(crate) fn micros(time: libc::timeval) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
}

/// The result of a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    /// This is the parent; the PID is that of the child.
    Parent(u32),
    /// This is the child.
    Child {
        /// Whether the kernel has put it into the cgroup.
        entered: bool,
    },
}

/// Forks a child, into the given cgroup if the kernel supports that.
///
/// # Errors
/// The error of the kernel.
///
/// # Safety
/// The process must have only one thread.
pub unsafe fn fork_into(cgroup: Option<RawFd>) -> Result<Forked, Errno> {
    // As of Linux 5.7; the fields before the cgroup are zero for a plain fork.
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let clone = |flags: u64, cgroup: RawFd| {
        let args = CloneArgs {
            flags,
            exit_signal: u64::try_from(libc::SIGCHLD).unwrap_or(17),
            cgroup: u64::try_from(cgroup).unwrap_or(0),
            ..CloneArgs::default()
        };
        // SAFETY: without CLONE_VM and without a stack this is a fork; the structure lives through the call.
        unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) }
    };
    let born = |pid: libc::c_long, entered: bool| match u32::try_from(pid) {
        Ok(0) => Ok(Some(Forked::Child { entered })),
        Ok(pid) => Ok(Some(Forked::Parent(pid))),
        Err(_) if matches!(Errno::last(), Errno::EAGAIN | Errno::ENOMEM) => Err(Errno::last()),
        // An old kernel, a filter, or a cgroup that does not accept the child: fork without it.
        Err(_) => Ok(None),
    };
    if let Some(fd) = cgroup
        && let Some(forked) = born(clone(CLONE_INTO_CGROUP, fd), true)?
    {
        return Ok(forked);
    }
    // The C library's own fork writes to pages of that library, in the child too, for threads and handlers that do not
    // exist here, and every shim would keep a copy of them. Only those need what it does beyond the system call.
    if let Some(forked) = born(clone(0, 0), false)? {
        return Ok(forked);
    }
    // SAFETY: the caller has one thread.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::last()),
        0 => Ok(Forked::Child { entered: false }),
        pid => Ok(Forked::Parent(pid.unsigned_abs())),
    }
}

/// Exits this process at once, without destructors or exit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: it never returns and does not touch memory of this process.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: RawFd) {
    // SAFETY: the caller gives up all descriptors from `first` on; it does not use any of them as a Rust value again.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first.unsigned_abs(), u32::MAX, 0) };
    if result != 0 {
        for fd in open_from(first) {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}

/// Marks every descriptor from `first` on as close-on-exec.
pub fn close_on_exec_from(first: RawFd) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: only a flag of descriptors is changed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first.unsigned_abs(), u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if result == 0 {
        return Ok(());
    }
    for fd in open_from(first) {
        // SAFETY: as above; a number that is not a descriptor gives an error that can be ignored.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// The open descriptors from `first` on, and perhaps some that are not open. Used without close_range(2), to handle
/// them one by one; counting up to the limit could mean a billion steps.
fn open_from(first: RawFd) -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return (first..65_536).collect() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|fd| *fd >= first).collect()
}

/// The monotonic clock in nanoseconds.
pub fn monotonic_ns() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// The wall clock in nanoseconds since 1970.
pub fn wall_ns() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

fn clock(which: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live, writable value.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// The ID of the current boot. Read once: a process does not outlive a boot, and shims inherit it from their keeper.
pub fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned())
}

/// An identity that no other process of this boot has, as far as the kernel reports it: start time in clock
/// ticks, and the inode of the pidfd.
pub fn identity(pid: u32) -> Option<(u64, u64)> {
    let ticks = Stat::of(pid)?.start_ticks;
    let inode = pidfd(pid).and_then(|fd| {
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        fs::metadata(path).map(|meta| meta.ino())
    });
    Some((ticks, inode.unwrap_or(0)))
}

/// A pidfd: a handle on a process that stays valid when the PID is reused.
///
/// # Errors
/// The error of the kernel; `ESRCH` if there is no such process.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// The needed fields of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The state as one letter: R, S, D, T, Z, …
    pub state: u8,
    /// PID of the parent.
    pub parent: u32,
    /// The process group.
    pub group: u32,
    /// The session.
    pub session: u32,
    /// CPU time in user mode, clock ticks.
    pub user_ticks: u64,
    /// CPU time in the kernel, clock ticks.
    pub system_ticks: u64,
    /// Start time, clock ticks since boot.
    pub start_ticks: u64,
    /// Resident set size in pages.
    pub resident_pages: u64,
}

impl Stat {
    /// Whether the process has ended. One whose first thread has exited while others continue has not.
    pub fn has_ended(&self, pid: u32) -> bool {
        let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        self.state == b'Z' && threads() <= 1
    }

    /// The fields for a process; `None` if there is no such process.
    pub fn of(pid: u32) -> Option<Self> {
        // It fits, and one read gives all of it: whoever looks at every process of a host does this thousands of times.
        let mut buffer = [0; 1024];
        let length = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut buffer)).ok()?;
        Self::parse(&buffer[..length])
    }

    /// Parses the text of the file. The name in it may contain anything, so parsing starts after the last `)`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let after = text.iter().rposition(|byte| *byte == b')')? + 2;
        let rest = std::str::from_utf8(text.get(after..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let mut number = |skipped: usize| fields.nth(skipped).and_then(|text| text.parse::<u64>().ok());
        // Fields 4 to 6, 14 and 15, 22, 24 of proc(5).
        Some(Self {
            state,
            parent: u32::try_from(number(0)?).ok()?,
            group: u32::try_from(number(0)?).unwrap_or(0),
            session: u32::try_from(number(0)?).unwrap_or(0),
            user_ticks: number(7)?,
            system_ticks: number(0)?,
            start_ticks: number(6)?,
            resident_pages: number(1).unwrap_or(0),
        })
    }
}

/// Duplicates a descriptor to a number of at least `least`, with close-on-exec.
///
/// # Errors
/// The error of the kernel.
pub fn move_up(fd: RawFd, least: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel creates a new descriptor, which this process owns.
    let moved = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) };
    if moved < 0 {
        return Err(Errno::last());
    }
    // SAFETY: it was just created and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}

/// Sets the title of this process for `ps`, as far as there is room: its short name, and its command line.
pub fn set_title(title: &str) {
    let mut short: Vec<u8> = title.bytes().filter(|byte| *byte != 0).take(15).collect();
    short.push(0);
    if let Ok(name) = CStr::from_bytes_with_nul(&short) {
        let _ = rustix::thread::set_name(name);
    }
    overwrite_arguments(title);
}

/// The command line is in memory that the process may write; `/proc/PID/stat` tells where.
fn overwrite_arguments(title: &str) {
    let Ok(text) = fs::read_to_string("/proc/self/stat") else { return };
    let Some((_, rest)) = text.rsplit_once(')') else { return };
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|text| text.parse::<usize>().ok());
    // arg_start and arg_end are fields 48 and 49, counted from 1 over the whole line.
    let (Some(start), Some(end)) = (number(45), number(46)) else { return };
    let room = end.saturating_sub(start);
    if start == 0 || room < 2 {
        return;
    }
    let mut bytes: Vec<u8> = title.bytes().filter(|byte| *byte != 0).take(room - 1).collect();
    bytes.resize(room, 0);
    // SAFETY: according to the kernel these bytes are the command line of this process; they are on its stack,
    // writable, and nothing reads them any more, because the arguments were copied when the program started.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start as *mut u8, room) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_everything_in_it_does_not_confuse_stat() {
        let line = b"77 (a) b (c) S 1 77 77 0 -1 4194560 1 2 3 4 11 12 13 14 20 0 1 0 4242 1000 33 x";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.start_ticks), (b'S', 1, 4242));
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.resident_pages), (11, 12, 33));
    }

    #[test]
    fn this_process_has_an_identity() {
        let (ticks, _) = identity(std::process::id()).unwrap();
        assert!(ticks > 0);
        assert_eq!(identity(std::process::id()), identity(std::process::id()));
    }
}
