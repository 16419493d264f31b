//! Limits of a program that builds: memory, time and priority, so that what serves beside it goes on.
//!
//! Memory is limited by a cgroup, of version 2 or 1, where one can be made. Elsewhere the resident size of the program and
//! its descendants is looked at. Never by RLIMIT_AS: a JavaScript engine reserves more than it uses.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use core_shim::tree;
use nix::libc;
use tokio::process::Command;

/// The nicest there is: a build gets what services leave.
const NICE: libc::c_int = 19;
/// A build is the first to be killed where memory is short (`oom_score_adj`).
const FIRST: &[u8] = b"800";
/// How often the resident size is looked at.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Size of a page of `/proc/<pid>/statm`, which counts in these.
const PAGE: u64 = 4096;

/// How much a build may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Memory in MiB, if it is limited.
    pub(crate) memory_mib: Option<u64>,
    /// Time of one step.
    pub(crate) time: Duration,
}

/// The limit that a program went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// It used more memory than this, in MiB.
    Memory(u64),
    /// It took longer than this.
    Time(Duration),
}

impl Over {
    /// What happened, as a clause about the program.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Memory(mib) => {
                format!("it used more than {mib} MiB of memory and was killed (the limit is config.build.memory_mb)")
            }
            Self::Time(time) => {
                let seconds = time.as_secs();
                format!("it did not end within {seconds} s and was killed (timeout_seconds in `config` is the limit)")
            }
        }
    }
}

/// The limit of memory of one program and its descendants.
pub(crate) struct Fence {
    mib: u64,
    /// The cgroup that the kernel enforces it by.
    cgroup: Option<Cgroup>,
}

struct Cgroup {
    folder: PathBuf,
    /// The file through which a process enters it.
    procs: File,
    /// The file that counts killed processes, as a line `oom_kill N`.
    events: &'static str,
}

impl Fence {
    /// A limit in MiB, enforced by the kernel where it can be.
    pub(crate) fn new(mib: u64) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("core-build-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        // For hosts where cgroups exist but should not be used, and for the tests, which cover both cases.
        let wanted = std::env::var_os("CORE_NO_CGROUP").is_none();
        let cgroup = wanted.then(|| version_2(&name, mib).or_else(|_| version_1(&name, mib)).ok()).flatten();
        Self { mib, cgroup }
    }

    /// The limit, in MiB.
    pub(crate) fn mib(&self) -> u64 {
        self.mib
    }

    /// Makes a command start within it.
    pub(crate) fn enclose(&self, command: &mut Command) {
        let procs = self.cgroup.as_ref().and_then(|cgroup| cgroup.procs.try_clone().ok());
        let Some(procs) = procs else { return };
        // SAFETY: write(2) to a descriptor that was opened before the fork.
        unsafe { command.pre_exec(move || (&procs).write_all(b"0")) };
    }

    /// Whether the kernel does not enforce it, so that somebody has to look.
    pub(crate) fn needs_a_look(&self) -> bool {
        self.cgroup.is_none()
    }

    /// Whether the program `pid` and its descendants are over the limit now.
    pub(crate) fn is_over(&self, pid: u32) -> bool {
        let all = tree::descendants(pid).into_iter().chain([pid]);
        all.map(resident).sum::<u64>() > self.mib << 20
    }

    /// Whether the kernel killed something within it.
    pub(crate) fn has_killed(&self) -> bool {
        let Some(cgroup) = &self.cgroup else { return false };
        let events = fs::read_to_string(cgroup.folder.join(cgroup.events)).unwrap_or_default();
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
        killed.is_some_and(|killed| killed > 0)
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        let Some(cgroup) = &self.cgroup else { return };
        // Whatever is left in it was started by the build.
        for _ in 0..100 {
            let left = core_shim::cgroup::members_of(&cgroup.folder);
            for pid in left.iter().filter_map(|pid| i32::try_from(*pid).ok()) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            }
            if fs::remove_dir(&cgroup.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A cgroup of version 2 below that of this process, which needs the memory controller to be delegated.
fn version_2(name: &str, mib: u64) -> io::Result<Cgroup> {
    let base = core_shim::cgroup::base().ok_or(io::ErrorKind::NotFound)?;
    let control = fs::read_to_string(base.join("cgroup.subtree_control"))?;
    if !control.split_whitespace().any(|one| one == "memory") {
        fs::write(base.join("cgroup.subtree_control"), "+memory")?;
    }
    make(base.join(name), &[("memory.max", mib << 20)], "memory.events")
}

/// A cgroup of version 1 below that of this process.
fn version_1(name: &str, mib: u64) -> io::Result<Cgroup> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mount = mounts.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let is_it = words.get(2) == Some(&"cgroup") && words.get(3)?.split(',').any(|option| option == "memory");
        is_it.then(|| PathBuf::from(words[1]))
    });
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let own = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let is_it = parts.next()?.split(',').any(|one| one == "memory");
        parts.next().filter(|_| is_it)?.strip_prefix('/')
    });
    let (Some(mount), Some(own)) = (mount, own) else { return Err(io::ErrorKind::NotFound.into()) };
    make(mount.join(own).join(name), &[("memory.limit_in_bytes", mib << 20)], "memory.oom_control")
}

fn make(folder: PathBuf, limits: &[(&str, u64)], events: &'static str) -> io::Result<Cgroup> {
    fs::create_dir(&folder)?;
    let set = limits.iter().try_for_each(|(file, bytes)| fs::write(folder.join(file), bytes.to_string()));
    // One that cannot be entered limits nothing.
    let procs = set.and_then(|()| OpenOptions::new().write(true).open(folder.join("cgroup.procs")));
    match procs {
        Ok(procs) => Ok(Cgroup { folder, procs, events }),
        Err(error) => {
            let _ = fs::remove_dir(&folder);
            Err(error)
        }
    }
}

/// Resident memory of a process, in bytes; of one that is gone, none.
fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = |at: usize| text.split(' ').nth(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    // Without what it shares with others, such as the program itself.
    pages(1).saturating_sub(pages(2)) * PAGE
}

/// Makes a command run only when nothing else wants to, and be the first to be killed where memory is short.
pub(crate) fn step_back(command: &mut Command) {
    // SAFETY: system calls that are allowed after a fork; what fails leaves the build as it is.
    unsafe {
        command.pre_exec(|| {
            libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
            let fd = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if fd >= 0 {
                libc::write(fd, FIRST.as_ptr().cast(), FIRST.len());
                libc::close(fd);
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_by_its_name() {
        assert!(Over::Memory(512).words().contains("512 MiB"));
        assert!(Over::Time(Duration::from_secs(7)).words().contains("within 7 s"));
    }

    #[test]
    fn what_a_process_uses_is_counted() {
        let held = vec![1_u8; 64 << 20];
        assert!(resident(std::process::id()) >= 32 << 20);
        assert!(Fence { mib: 8, cgroup: None }.is_over(std::process::id()));
        assert!(!Fence { mib: 1 << 20, cgroup: None }.is_over(std::process::id()));
        drop(held);
        assert_eq!(resident(0), 0);
    }
}
