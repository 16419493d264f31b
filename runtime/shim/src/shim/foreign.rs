//! A foreign invocation: another shim started it, and this one takes it over. This shim is not its parent, so a pidfd
//! tells its exit, and the cgroup, the mark and the lock tell which processes belong to it.

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

/// A process whose shim had died and that the keeper has reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// PID of the process.
    pub pid: u32,
    /// Start time, in clock ticks since boot.
    pub start_ticks: u64,
    /// Wait status.
    pub status: i32,
}

/// An invocation that another shim started.
pub(super) struct Foreign {
    /// PID of its first process.
    pub(super) leader: u32,
    /// Start time of that process, in clock ticks since boot.
    start_ticks: u64,
    /// The mark of the invocation.
    pub(super) mark: String,
    /// A handle on the first process, until it is known how that exited.
    handle: Option<Handle>,
    /// It has exited; how is not known yet.
    has_ended: bool,
}

impl Foreign {
    /// The descriptor that becomes readable when the first process exits, while that is waited for.
    pub(super) fn awaited(&self) -> Option<&OwnedFd> {
        self.handle.as_ref().filter(|_| !self.has_ended).and_then(Handle::fd)
    }

    /// The handle on the first process, while that is alive.
    pub(super) fn living(&self) -> Option<&Handle> {
        self.handle.as_ref().filter(|handle| !self.has_ended && !Self::ended(handle))
    }

    /// Whether the first process has exited.
    fn ended(handle: &Handle) -> bool {
        match handle.fd() {
            Some(fd) => poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1),
            None => !handle.lives(),
        }
    }
}

impl Shim {
    /// Takes over what the records of this place describe. A shim that cannot do that exits. `held` is the PID of the
    /// first process and a handle on it from when it was alive, if there is one.
    pub(super) fn adopt(&mut self, number: u32, log: &LogPlace, held: Option<(u32, OwnedFd)>) {
        let report = match self.take_over(number, log, held) {
            Ok(()) => Report::Adopted { number: self.number, life: self.life },
            Err(failed) => {
                // Everything there still belongs to the service, above all its pipes.
                (self.released, self.leaves_all) = (true, true);
                Report::AdoptFailed { errno: failed.errno(), detail: failed.words() }
            }
        };
        self.tell(&report);
    }

    fn take_over(&mut self, number: u32, log: &LogPlace, held: Option<(u32, OwnedFd)>) -> Result<(), Failed> {
        self.prepare_place(None)?;
        self.make_cgroup();
        // Without a record nothing was executed, whatever was ordered.
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
        // What the service had reported is still in its file. Its socket is opened again at the old address.
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
        // Opened before it is looked at, so that it is this process that is looked at.
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
            // It exited while no shim was there: the keeper may have seen how, or a handle opened before may tell.
            (None, End::Known(status)) if is_it => self.foreign_ended(pid, status),
            (None, _) => {
                let told = || held.filter(|(held, _)| *held == pid).and_then(|(_, handle)| end::of_reaped(&handle));
                let status = self.reaped_as(pid, start_ticks).or_else(told).unwrap_or(-1);
                self.foreign_ended(pid, status);
            }
        }
        Ok(())
    }

    /// The record of the last invocation; `None` if there was none. If it cannot be read and a process that has its
    /// lock is alive, the record is rebuilt from that process.
    fn record(&self, number: u32, log: &LogPlace) -> Result<Option<Invocation>, Failed> {
        let path = self.place.invocation();
        let is_held = guard::is_held(&self.place);
        let mut record = match Invocation::read(&path) {
            // The shim died before it recorded which process it had forked.
            Ok(record) if record.pid == 0 && is_held => record,
            Ok(record) if record.pid == 0 => return Ok(None),
            Ok(record) => return Ok(Some(record)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_held => return Ok(None),
            // A failure to read it now says nothing about its contents.
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

    /// Finds what a record lacks, from the processes that have the lock.
    fn complete(&self, record: &mut Invocation) -> Result<(), Failed> {
        let holders = guard::holders(&self.place);
        if holders.is_empty() && guard::is_held(&self.place) {
            let detail = "its record cannot be read, and what has its lock cannot be told".to_owned();
            return Err(Failed { stage: "record", errno: 0, detail });
        }
        if record.mark.is_empty() {
            record.mark = holders.iter().find_map(|pid| mark_of(*pid)).unwrap_or_default();
        }
        // The first process was the first to have the lock, and is a session leader.
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

    /// The wait status of a process that the keeper has reaped.
    fn reaped_as(&self, pid: u32, start_ticks: u64) -> Option<i32> {
        let is_it = |orphan: &&Orphan| orphan.pid == pid && orphan.start_ticks == start_ticks;
        self.orphans.iter().find(is_it).map(|orphan| orphan.status)
    }

    /// Whether a foreign process is alive. If none is seen, this shim may only lack the right to see it.
    fn lives_on(&self) -> bool {
        guard::is_held(&self.place) || !self.tree().members().is_empty()
    }

    /// Whether nothing will report the awaited exit, so that this shim has to poll.
    pub(super) fn must_look(&self) -> bool {
        let leftovers = matches!(self.life, Life::Exited { leftovers: true, .. });
        self.foreign.as_ref().is_some_and(|foreign| {
            leftovers || foreign.has_ended || foreign.handle.as_ref().is_some_and(|handle| handle.fd().is_none())
        })
    }

    /// Checks whether the foreign invocation has ended.
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
            // Its handle tells how it exited once it is reaped; until then this shim may not be allowed to know.
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

/// Whether a record is missing or damaged. One that cannot be read at the moment is not lost.
fn is_lost(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData)
}

/// The user and group of a process.
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
