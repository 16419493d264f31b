//! Sends signals to the intended processes only.

use nix::libc;

use super::Shim;
use super::foreign::Foreign;
use crate::sys;
use crate::wire::{Life, Report, Scope};

impl Shim {
    pub(super) fn signal(&mut self, signal: i32, scope: Scope) {
        let leader = if let Life::Running { pid } = self.life { pid } else { 0 };
        match (self.life, scope) {
            (Life::Running { .. }, Scope::Leader | Scope::Group)
                if self.foreign.is_none() && !self.is_daemon && leader > 1 =>
            {
                // A child that was not reaped: its PID and its group cannot belong to another process.
                let pid = i32::try_from(leader).unwrap_or(0);
                let target = if scope == Scope::Group { -pid } else { pid };
                // SAFETY: plain system calls; the target is neither 0 nor 1 nor -1.
                unsafe {
                    libc::kill(target, signal);
                    // A stopped process only receives it when it continues.
                    libc::kill(target, libc::SIGCONT);
                }
            }
            (Life::Running { .. } | Life::Exited { leftovers: true, .. }, _) => {
                // There is a handle on the first process, so it is reached even if no other process can be looked up.
                let held = self.foreign.as_ref().and_then(Foreign::living).filter(|_| scope != Scope::OutsideGroup);
                let reached = held.map(|handle| {
                    let _ = handle.send(signal);
                    let _ = handle.send(libc::SIGCONT);
                    leader
                });
                let is_of_group = |pid: u32| sys::Stat::of(pid).is_some_and(|stat| stat.group == self.group());
                let is_meant = |pid: u32| {
                    let is_in_scope = match scope {
                        Scope::Leader => pid == leader,
                        // A daemon has left the group that its first process was in.
                        Scope::Group => self.is_daemon || is_of_group(pid),
                        Scope::Tree => true,
                        Scope::OutsideGroup => !is_of_group(pid),
                    };
                    is_in_scope && reached != Some(pid)
                };
                let tree = self.tree();
                tree.signal(signal, is_meant);
                tree.signal(libc::SIGCONT, is_meant);
            }
            _ => {}
        }
    }

    /// Kills the first process, which is reached even if no other process can be looked up.
    fn kill_leader(&self) {
        match (self.life, &self.foreign) {
            (_, Some(foreign)) => drop(foreign.living().map(|handle| handle.send(libc::SIGKILL))),
            (Life::Running { pid }, None) if pid > 1 => {
                // SAFETY: a plain system call; a child that was not reaped, so its group belongs to no other process.
                unsafe { libc::kill(-i32::try_from(pid).unwrap_or(0), libc::SIGKILL) };
            }
            _ => {}
        }
    }

    /// The group of the first process, which led it; it may still have members when that process is gone.
    fn group(&self) -> u32 {
        self.foreign.as_ref().map_or(self.leader, |foreign| foreign.leader)
    }

    pub(super) fn kill(&mut self, number: u32) {
        match self.life {
            Life::Running { .. } | Life::Exited { leftovers: true, .. } if number == self.number => {
                self.kill_leader();
                self.tree().kill();
            }
            // No process of it is alive.
            _ => self.tell(&Report::Emptied { number }),
        }
    }
}
