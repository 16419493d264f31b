//! What another shim began: this one takes it over. It is not its parent, so the end is told by a pidfd, and who
//! belongs to it by the cgroup, the mark and the lock.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Shim;
use super::notify::{self, Notifier};
use super::start::Failed;
use crate::end::{self, End};
use crate::guard;
use crate::handle::Handle;
use crate::pump::Target;
use crate::record::{Ended, Invocation};
use crate::sys::{self, Reaped, Stat};
use crate::wire::{Life, LogPlace, Report};

/// A process whose shim had died, and that the keeper has reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since boot.
    pub start_ticks: u64,
    /// Wait status.
    pub status: i32,
}

/// An invocation that another shim began.
pub(super) struct Foreign {
    /// Its first process.
    pub(super) leader: u32,
    /// When that was started.
    start_ticks: u64,
    /// Its mark.
    pub(super) mark: String,
    /// A handle on the first process, until it is known how that ended.
    handle: Option<Handle>,
    /// It has ended; how is not known yet.
    has_ended: bool,
}

impl Foreign {
    /// What can be read once the first process has ended, while that is waited for.
    pub(super) fn awaited(&self) -> Option<&OwnedFd> {
        self.handle.as_ref().filter(|_| !self.has_ended).and_then(Handle::fd)
    }

    /// The first process, while it lives.
    pub(super) fn living(&self) -> Option<&Handle> {
        self.handle.as_ref().filter(|handle| !self.has_ended && !Self::ended(handle))
    }

    /// Whether the first process has ended.
    fn ended(handle: &Handle) -> bool {
        match handle.fd() {
            Some(fd) => poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1),
            None => !handle.lives(),
        }
    }
}

impl Shim {
    /// Takes over what the records of this place speak of. Whoever cannot goes.
    /// `held` is a handle on its first process from when that lived, if anybody has one.
    pub(super) fn adopt(&mut self, number: u32, log: &LogPlace, held: Option<(u32, OwnedFd)>) {
        let report = match self.take_over(number, log, held) {
            Ok(()) => Report::Adopted { number: self.number, life: self.life },
            Err(failed) => {
                // What is there is the service's still: its pipes above all.
                (self.released, self.leaves_all) = (true, true);
                Report::AdoptFailed { errno: failed.errno(), detail: failed.words() }
            }
        };
        self.tell(&report);
    }

    fn take_over(&mut self, number: u32, log: &LogPlace, held: Option<(u32, OwnedFd)>) -> Result<(), Failed> {
        self.prepare_place(None)?;
        self.make_cgroup();
        // Without one nothing was executed, whatever the order was.
        let Some(record) = self.record(number, log)? else { return Ok(()) };
        self.number = record.number;
        self.leader = record.pid;
        self.note.clone_from(&record.note);
        self.begun = Some(record.clone());
        for pump in &mut self.pumps {
            pump.aim(Target {
                folder: PathBuf::from(&record.log_folder),
                prefix: record.log_prefix.clone(),
                segment_bytes: record.segment_bytes,
            });
        }
        // What it had said stands where it stood.
        if self.place.notified().exists() {
            let address = if record.notify.is_empty() { notify::address(&record.mark) } else { record.notify.clone() };
            self.notifier = Notifier::open(&address, owner_of(record.pid)).ok();
        }
        let exit = self.place.exit();
        let ended = match Ended::read(&exit) {
            Ok(ended) => Some(ended).filter(|ended| ended.number == record.number),
            Err(error) if is_lost(&error) => None,
            Err(error) => return Err(Failed::io("record", exit.display().to_string())(error)),
        };
        self.ended = ended;
        // Held before it is looked at: then it is that process that is looked at.
        let handle = Handle::of(record.pid);
        let (pid, start_ticks) = (record.pid, record.start_ticks);
        let lives = handle.as_ref().is_some_and(|handle| !Foreign::ended(handle));
        let end = match ended {
            Some(_) => End::Gone,
            None if lives => End::NotYet,
            None => end::of_zombie(pid, start_ticks),
        };
        if end == End::NotYet && handle.is_none() {
            let detail = format!("process {pid} cannot be looked at");
            return Err(Failed { stage: "record", errno: 0, detail });
        }
        let is_it = record.boot == sys::boot_id();
        let handle = handle.filter(|_| is_it && end == End::NotYet);
        self.foreign = Some(Foreign { leader: pid, start_ticks, mark: record.mark, handle, has_ended: false });
        match (ended, end) {
            (Some(Ended { status, .. }), _) => {
                let leftovers = self.lives_on();
                self.life = Life::Exited { status, leftovers };
                if !leftovers {
                    self.empty(status);
                }
            }
            (None, End::NotYet) if is_it => self.life = Life::Running { pid },
            // It ended while nobody stood over it: its keeper may have seen how, or a handle from before may tell.
            (None, End::Known(status)) if is_it => self.foreign_ended(pid, status),
            (None, _) => {
                let told = || held.filter(|(held, _)| *held == pid).and_then(|(_, handle)| end::of_reaped(&handle));
                let status = self.reaped_as(pid, start_ticks).or_else(told).unwrap_or(-1);
                self.foreign_ended(pid, status);
            }
        }
        Ok(())
    }

    /// The record of the last invocation; `None` when there was none. Where it cannot be read, and something that has its
    /// lock lives, it is made anew of that.
    fn record(&self, number: u32, log: &LogPlace) -> Result<Option<Invocation>, Failed> {
        let path = self.place.invocation();
        let is_held = guard::is_held(&self.place);
        let mut record = match Invocation::read(&path) {
            // Its shim died before it had written down which process that came to.
            Ok(record) if record.pid == 0 && is_held => record,
            Ok(record) if record.pid == 0 => return Ok(None),
            Ok(record) => return Ok(Some(record)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_held => return Ok(None),
            // That we cannot read it now says nothing of what stands there.
            Err(error) if !is_lost(&error) => {
                return Err(Failed::io("record", path.display().to_string())(error));
            }
            Err(_) => Invocation {
                number,
                boot: sys::boot_id().to_owned(),
                wall_ns: sys::wall_ns(),
                log_folder: std::ffi::OsStr::from_bytes(&log.folder).display().to_string(),
                log_prefix: log.prefix.clone(),
                segment_bytes: log.segment_bytes.max(1),
                note: "{}".into(),
                ..Invocation::default()
            },
        };
        if is_held {
            self.complete(&mut record)?;
        }
        record.write(&path).map_err(Failed::io("record", path.display().to_string()))?;
        Ok(Some(record))
    }

    /// Finds what a record does not say, by who has the lock.
    fn complete(&self, record: &mut Invocation) -> Result<(), Failed> {
        let holders = guard::holders(&self.place);
        if holders.is_empty() && guard::is_held(&self.place) {
            let detail = "its record cannot be read, and what has its lock cannot be told".to_owned();
            return Err(Failed { stage: "record", errno: 0, detail });
        }
        if record.mark.is_empty() {
            record.mark = holders.iter().find_map(|pid| mark_of(*pid)).unwrap_or_default();
        }
        // The first process was the first to have the lock, and leads a session.
        let leader = holders
            .iter()
            .filter_map(|pid| Some((*pid, Stat::of(*pid)?)))
            .filter(|(pid, stat)| stat.session == *pid)
            .min_by_key(|(_, stat)| stat.start_ticks);
        if let Some((pid, _)) = leader {
            record.pid = pid;
            (record.start_ticks, record.pidfd_inode) = sys::identity(pid).unwrap_or_default();
        }
        Ok(())
    }

    /// How a process ended that the keeper has reaped.
    fn reaped_as(&self, pid: u32, start_ticks: u64) -> Option<i32> {
        let is_it = |orphan: &&Orphan| orphan.pid == pid && orphan.start_ticks == start_ticks;
        self.orphans.iter().find(is_it).map(|orphan| orphan.status)
    }

    /// Whether something of what was taken over lives. Where nothing is seen of it, it may be we who cannot see.
    fn lives_on(&self) -> bool {
        guard::is_held(&self.place) || !self.tree().members().is_empty()
    }

    /// Whether nobody will tell us of what is waited for, so that one must look.
    pub(super) fn must_look(&self) -> bool {
        let leftovers = matches!(self.life, Life::Exited { leftovers: true, .. });
        self.foreign.as_ref().is_some_and(|foreign| {
            leftovers || foreign.has_ended || foreign.handle.as_ref().is_some_and(|handle| handle.fd().is_none())
        })
    }

    /// Whether what was taken over has ended.
    pub(super) fn look_at_foreign(&mut self) {
        if let Life::Exited { status, leftovers: true } = self.life {
            if self.foreign.is_some() && !self.lives_on() {
                self.empty(status);
                self.tell(&Report::Emptied { number: self.number });
            }
            return;
        }
        let Some(foreign) = &mut self.foreign else { return };
        let (Life::Running { pid }, Some(handle)) = (self.life, &foreign.handle) else { return };
        if !Foreign::ended(handle) {
            return;
        }
        foreign.has_ended = true;
        let status = match end::of_zombie(pid, foreign.start_ticks) {
            End::Known(status) => status,
            // Its handle tells how it ended once it was reaped, and until then we may not be allowed to know.
            End::NotYet => return,
            End::Gone => handle.fd().and_then(end::of_reaped).unwrap_or(-1),
        };
        self.foreign_ended(pid, status);
    }

    fn foreign_ended(&mut self, pid: u32, status: i32) {
        if let Some(foreign) = &mut self.foreign {
            (foreign.handle, foreign.has_ended) = (None, false);
        }
        let reaped = Reaped { pid, status, user_us: 0, system_us: 0, max_rss_kib: 0 };
        let leftovers = self.lives_on();
        self.leader_ended(reaped, leftovers);
    }
}

/// Whether a record is not there, or torn. That it cannot be read now is another matter.
fn is_lost(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData)
}

/// Who a process runs as.
fn owner_of(pid: u32) -> Option<(u32, u32)> {
    let meta = fs::metadata(format!("/proc/{pid}")).ok()?;
    Some((meta.uid(), meta.gid()))
}

/// The mark in the environment of a process.
fn mark_of(pid: u32) -> Option<String> {
    let env = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mark = env.split(|byte| *byte == 0).find_map(|pair| pair.strip_prefix(b"CORE_INSTANCE="))?;
    Some(String::from_utf8_lossy(mark).into_owned())
}
