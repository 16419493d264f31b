//! What a host may run short of: descriptors and processes.

use std::fs;
use std::path::PathBuf;

use nix::libc::{self, RLIMIT_NOFILE, RLIMIT_NPROC};
use nix::sys::resource::{Resource, getrlimit};

use crate::common::proc;

/// Limits how many descriptors a process may have to those that it has.
pub(crate) fn files(pid: u32) -> bool {
    let have = u64::try_from(proc::descriptors(pid).len()).ok().filter(|count| *count > 0);
    have.is_some_and(|have| limit(pid, RLIMIT_NOFILE, have).is_some())
}

/// Leaves a process without a single descriptor to open, whatever number would be free; it may poll two that it has.
pub(crate) fn all_files(pid: u32) -> bool {
    limit(pid, RLIMIT_NOFILE, 2).is_some()
}

/// Gives a process, which may have been begun by one that was limited, as many as this one may have: of both.
pub(crate) fn ease(pid: u32) {
    for (resource, number) in [(Resource::RLIMIT_NOFILE, RLIMIT_NOFILE), (Resource::RLIMIT_NPROC, RLIMIT_NPROC)] {
        if let Ok((soft, _)) = getrlimit(resource) {
            let _ = limit(pid, number, soft);
        }
    }
}

/// Limits how many processes the user of a process may have to none more, as far as it is concerned. The kernel asks
/// nobody with privileges.
pub(crate) fn processes(pid: u32) -> bool {
    !nix::unistd::geteuid().is_root() && limit(pid, RLIMIT_NPROC, 1).is_some()
}

/// Sets a soft limit, and returns the one before. `None` when that process is gone.
fn limit(pid: u32, resource: libc::__rlimit_resource_t, soft: u64) -> Option<u64> {
    let pid = i32::try_from(pid).ok()?;
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain system call; the pointer is to a live value of the type that it writes.
    if unsafe { libc::prlimit(pid, resource, std::ptr::null(), &raw mut before) } != 0 {
        return None;
    }
    let after = libc::rlimit { rlim_cur: soft.min(before.rlim_max), rlim_max: before.rlim_max };
    // SAFETY: as above; it reads this one.
    let done = unsafe { libc::prlimit(pid, resource, &raw const after, std::ptr::null_mut()) };
    (done == 0).then_some(before.rlim_cur)
}

/// A cgroup that limits how many processes there are, with those in it that were put there and what they begin.
pub(crate) struct Processes(PathBuf);

impl Processes {
    /// Makes it, where the host lets one be made: v1 has a hierarchy for it, in v2 it must be handed down.
    pub(crate) fn make(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let v1 = own.lines().find_map(|line| line.split_once(":pids:/")).map(|(_, path)| path);
        let v2 = own.lines().find_map(|line| line.strip_prefix("0::/"));
        mounts.lines().find_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let is_v1 = words[2] == "cgroup" && words[3].split(',').any(|word| word == "pids");
            let own = if is_v1 { v1 } else { v2.filter(|_| words[2] == "cgroup2") };
            let folder = PathBuf::from(words[1]).join(own?).join(name);
            fs::create_dir(&folder).ok()?;
            let one = Self(folder);
            one.0.join("pids.max").exists().then_some(one)
        })
    }

    /// Puts a process into it.
    pub(crate) fn take(&self, pid: u32) -> bool {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).is_ok()
    }

    /// From now on no process in it can begin another.
    pub(crate) fn squeeze(&self) -> bool {
        fs::write(self.0.join("pids.max"), "1").is_ok()
    }

    /// They can again.
    pub(crate) fn ease(&self) {
        let _ = fs::write(self.0.join("pids.max"), "max");
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.ease();
        // Whoever is still in it goes back to where it would have been.
        let members = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        let above = self.0.parent().map(|above| above.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines() {
            let _ = fs::write(&above, pid);
        }
        let _ = fs::remove_dir(&self.0);
    }
}
