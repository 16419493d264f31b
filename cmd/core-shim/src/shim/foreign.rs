//! What another shim began: this one takes it over. It is not its parent, so the end is told by a pidfd, and who
//! belongs to it by the cgroup and the mark.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::Shim;
use super::notify::Notifier;
use crate::pump::Target;
use crate::record::{Ended, Invocation};
use crate::sys::{self, Reaped};
use crate::wire::{Life, Report};
use crate::{guard, sys::Stat};

/// An invocation that another shim began.
pub(super) struct Foreign {
    /// Its first process.
    pub(super) leader: u32,
    /// Its mark.
    pub(super) mark: String,
    /// A handle on the first process, for as long as that lives.
    pub(super) handle: Option<OwnedFd>,
}

impl Shim {
    /// Takes over what the records of this place speak of.
    pub(super) fn adopt(&mut self) {
        self.take_over();
        self.tell(&Report::Adopted { number: self.number, life: self.life });
    }

    fn take_over(&mut self) {
        if self.prepare_place(None).is_err() {
            return;
        }
        let Ok(record) = Invocation::read(&self.place.invocation()) else { return };
        self.make_cgroup();
        self.number = record.number;
        self.note.clone_from(&record.note);
        for pump in &mut self.pumps {
            pump.aim(Target {
                folder: PathBuf::from(&record.log_folder),
                prefix: record.log_prefix.clone(),
                segment_bytes: record.segment_bytes,
            });
        }
        // What it had said stands where it stood.
        if self.place.notified().exists() {
            self.notifier = Notifier::open(&record.mark).ok();
        }
        let ended = Ended::read(&self.place.exit()).ok().filter(|ended| ended.number == record.number);
        self.ended = ended;
        // Held before it is looked at: then it is that process that is looked at.
        let handle = sys::pidfd(record.pid).ok();
        let lives = ended.is_none() && handle.is_some() && guard::is_alive(&record);
        self.foreign = Some(Foreign { leader: record.pid, mark: record.mark, handle: handle.filter(|_| lives) });
        if lives {
            self.life = Life::Running { pid: record.pid };
            return;
        }
        let status = ended.map_or(-1, |ended| ended.status);
        let leftovers = !self.tree().members().is_empty();
        self.life = Life::Exited { status, leftovers };
        if !leftovers {
            self.empty(status);
        }
    }

    /// Whether what was taken over has ended.
    pub(super) fn look_at_foreign(&mut self) {
        let Some(foreign) = &self.foreign else { return };
        match (self.life, &foreign.handle) {
            (Life::Running { pid }, Some(handle)) => {
                if Stat::of(pid).is_some_and(|stat| stat.state != b'Z') && sys::exit_status(handle).is_none() {
                    return;
                }
                let status = sys::exit_status(handle).unwrap_or(-1);
                let reaped = Reaped { pid, status, user_us: 0, system_us: 0, max_rss_kib: 0 };
                if let Some(foreign) = &mut self.foreign {
                    foreign.handle = None;
                }
                let leftovers = !self.tree().members().is_empty();
                self.leader_ended(reaped, leftovers);
            }
            (Life::Exited { status, leftovers: true }, _) if self.tree().members().is_empty() => {
                self.empty(status);
                self.tell(&Report::Emptied { number: self.number });
            }
            _ => {}
        }
    }
}
