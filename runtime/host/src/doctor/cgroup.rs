//! Cgroups of version 2: whether core may make one, start a process in it, and kill all of it at once.

use std::fs;
use std::time::Duration;

use core_shim::cgroup::{self, Cgroup};
use core_shim::handle::Handle;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};

use super::Finding;
use super::kernel::child;

const WITHOUT: &str = "the processes of a service are found by descent and by their mark: a stop takes longer where \
                       they fork all the time";
const SLOWER: &str = "a service enters its cgroup a moment after its birth instead of with it";
const ONE_BY_ONE: &str = "a tree is killed process by process, round after round, until nothing is left";

/// How long a killed child may take to exit.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn all() -> Vec<Finding> {
    let mut all = Vec::new();
    match test_group(&mut all) {
        Some(group) => {
            all.push(birth(&group));
            all.push(end(&group));
            group.remove();
        }
        None => {
            all.push(Finding::missing("clone-into-cgroup", "there is no cgroup to try it with", SLOWER));
            all.push(Finding::missing("cgroup-kill", "there is no cgroup to try it with", ONE_BY_ONE));
        }
    }
    all
}

/// A cgroup for the following tests, where the keeper would make those of the services.
fn test_group(all: &mut Vec<Finding>) -> Option<Cgroup> {
    let name = "cgroup";
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let is_mounted = mounts.lines().any(|line| line.split(' ').nth(2) == Some("cgroup2"));
    if !is_mounted {
        all.push(Finding::missing(name, "cgroup v2 is not mounted", WITHOUT));
        return None;
    }
    let Some(base) = cgroup::base() else {
        let found = "cgroup v2 is there, but ours may not be written: it was not delegated";
        all.push(Finding::weaker(name, found, WITHOUT));
        return None;
    };
    match Cgroup::make(&base, &format!("core-doctor-{}", std::process::id())) {
        Ok(group) => {
            all.push(Finding::ok(name, format!("v2, writable: {}", base.display())));
            Some(group)
        }
        Err(error) => {
            let found = format!("v2, but none can be made in {}: {error}", base.display());
            all.push(Finding::weaker(name, found, WITHOUT));
            None
        }
    }
}

/// Starts a child that reports by its exit code whether it was started in the cgroup.
fn birth(group: &Cgroup) -> Finding {
    let name = "clone-into-cgroup";
    let code = child(Some(group.fd()), i32::from).and_then(|(pid, _)| waitpid(pid, None));
    match code {
        Ok(WaitStatus::Exited(_, 1)) => Finding::ok(name, "a process is born into its cgroup (clone3)"),
        Ok(_) => Finding::weaker(name, "clone3 does not put a process into a cgroup (Linux 5.7 does)", SLOWER),
        Err(error) => Finding::weaker(name, format!("could not be tried: {error}"), SLOWER),
    }
}

/// Starts a child that waits in the cgroup, and kills the cgroup.
fn end(group: &Cgroup) -> Finding {
    let name = "cgroup-kill";
    let asleep = |_| {
        // SAFETY: pause(2) is one system call, which only a signal ends.
        unsafe { nix::libc::pause() }
    };
    let (pid, handle) = match child(Some(group.fd()), asleep) {
        Ok(born) => born,
        Err(error) => return Finding::weaker(name, format!("could not be tried: {error}"), ONE_BY_ONE),
    };
    // In case it was not started in the cgroup.
    let _ = fs::write(group.procs(), pid.to_string());
    let is_killed = group.kill() && ended(handle.as_ref());
    if !is_killed {
        let _ = kill(pid, Signal::SIGKILL);
    }
    let _ = waitpid(pid, None);
    if is_killed {
        Finding::ok(name, "all processes of a service are killed at once")
    } else {
        Finding::weaker(name, "a cgroup cannot be killed as a whole (Linux 5.14 can)", ONE_BY_ONE)
    }
}

/// Whether a process exits in time.
fn ended(handle: Option<&Handle>) -> bool {
    handle.is_some_and(|handle| crate::ended::any_within(&[handle], PATIENCE))
}
