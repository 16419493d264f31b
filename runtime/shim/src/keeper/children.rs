//! The keeper's children: shims, the supervisor, and processes whose shim has died.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use super::Keeper;
use crate::end;
use crate::shim::{self, Birth, Orphan};
use crate::sys::{self, Forked, Stat};
use crate::tree;
use crate::wire::KeeperReport;

/// Number of orphans' exits that are kept for shims that may ask for them.
const MOST_ORPHANS: usize = 128;
/// How long an orphan stays a zombie, in nanoseconds.
const ZOMBIE_NS: u64 = 100_000_000;
/// How long the remains of a stopped stack may take to go away, in nanoseconds.
const STRAYS_NS: u64 = 2_000_000_000;

impl Keeper {
    pub(super) fn fork_shim(&self, instance: &str, line: &OwnedFd) -> Result<u32, Errno> {
        // SAFETY: the keeper has one thread.
        match unsafe { sys::fork_into(None) }? {
            Forked::Parent(pid) => Ok(pid),
            Forked::Child { .. } => {
                let birth = Birth {
                    instance: instance.to_owned(),
                    run: self.settings.run.clone(),
                    cgroups: self.cgroups.clone(),
                    limits: self.limits,
                    orphans: self.orphans.iter().copied().collect(),
                };
                // SAFETY: this process was just forked and does not use anything of the keeper any more.
                unsafe { shim::run(birth, line.as_raw_fd()) }
            }
        }
    }

    /// Handles all children that have exited, stopped, or continued.
    pub(super) fn reap(&mut self) {
        // Looks first and reaps then: while the child is a zombie, its PID and start time still belong to it.
        while let Some(pid) = end::any_child() {
            if self.is_known(pid) {
                self.reap_one(pid);
                continue;
            }
            // The shim that takes over reads how an orphan exited from the zombie, so this stays for a moment.
            let now = sys::monotonic_ns();
            // If no descriptor is free to examine it, it stays longer: nobody could tell later which process it was.
            let must_wait = self.zombies_until.is_some_and(|until| until <= now) && is_blind(pid);
            let until = self.zombies_until.filter(|_| !must_wait).unwrap_or(now + ZOMBIE_NS);
            self.zombies_until = Some(until);
            if now < until {
                let known: Vec<u32> = self.known().filter(|pid| end::peek(*pid).is_some()).collect();
                for pid in known {
                    self.reap_one(pid);
                }
                break;
            }
            self.reap_one(pid);
        }
        if end::any_child().is_none() {
            self.zombies_until = None;
        }
        while let Some((pid, is_held)) = end::held_child() {
            if is_held { self.was_stopped(pid) } else { self.goes_on(pid) }
        }
    }

    fn reap_one(&mut self, pid: u32) {
        let start_ticks = if self.is_known(pid) { 0 } else { Stat::of(pid).map_or(0, |stat| stat.start_ticks) };
        if let Some(status) = reap_one(pid) {
            self.has_ended(pid, start_ticks, status);
        }
    }

    /// The shims and the supervisor.
    fn known(&self) -> impl Iterator<Item = u32> {
        self.shims.keys().copied().chain(self.supervisor.as_ref().map(|supervisor| supervisor.pid))
    }

    fn is_known(&self, pid: u32) -> bool {
        self.shims.contains_key(&pid) || self.is_supervisor(pid)
    }

    fn is_supervisor(&self, pid: u32) -> bool {
        self.supervisor.as_ref().is_some_and(|supervisor| supervisor.pid == pid)
    }

    fn has_ended(&mut self, pid: u32, start_ticks: u64, status: i32) {
        if self.is_supervisor(pid) {
            self.supervisor_died();
        } else if let Some(instance) = self.shims.remove(&pid) {
            self.tell(&KeeperReport::ShimDied { instance, pid, status });
        } else {
            if self.orphans.len() == MOST_ORPHANS {
                self.orphans.pop_front();
            }
            self.orphans.push_back(Orphan { pid, start_ticks, status });
            self.tell(&KeeperReport::OrphanDied { pid, status });
        }
    }

    fn was_stopped(&mut self, pid: u32) {
        if let Some(supervisor) = self.supervisor.as_mut().filter(|supervisor| supervisor.pid == pid) {
            supervisor.was_stopped();
        } else if let Some(instance) = self.shims.get(&pid).cloned() {
            self.tell(&KeeperReport::ShimStopped { instance, pid });
        }
    }

    fn goes_on(&mut self, pid: u32) {
        if let Some(supervisor) = self.supervisor.as_mut().filter(|supervisor| supervisor.pid == pid) {
            supervisor.goes_on();
        }
    }

    /// The stack has stopped. Any other child of the keeper now, except a shim that is about to exit, belongs to a
    /// service that has ended, and no other process looks after it.
    pub(super) fn end_strays(&mut self) {
        let until = sys::monotonic_ns() + STRAYS_NS;
        loop {
            self.reap();
            let own = std::process::id();
            // A shim that is stopped was told to exit but has not received that.
            let is_stray = |pid: &u32| {
                let stat = Stat::of(*pid).filter(|stat| stat.parent == own && stat.state != b'Z');
                stat.is_some_and(|stat| !self.is_known(*pid) || stat.state == b'T')
            };
            let strays: Vec<u32> = tree::descendants(own).into_iter().filter(is_stray).collect();
            if strays.is_empty() || sys::monotonic_ns() > until {
                return;
            }
            for pid in strays {
                // SAFETY: a plain system call; the child was not reaped, so the PID is still its own.
                unsafe { libc::kill(i32::try_from(pid).unwrap_or(0), libc::SIGKILL) };
            }
            let _ = nix::poll::poll(&mut [], 5_u8);
        }
    }
}

/// Whether a child that has exited cannot be examined right now.
fn is_blind(pid: u32) -> bool {
    let looked = std::fs::File::open(format!("/proc/{pid}/stat"));
    looked.is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)))
}

/// Reaps a child that has exited. Returns its wait status.
fn reap_one(pid: u32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: the pointer is to a live, writable value.
    let reaped = unsafe { libc::waitpid(i32::try_from(pid).ok()?, &raw mut status, libc::WNOHANG) };
    (reaped > 0).then_some(status)
}
