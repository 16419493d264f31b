//! Exits: of the first process, and of the last one of its tree.

use std::collections::VecDeque;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Shim, TRY_AGAIN_MS};
use crate::end;
use crate::pump::Moved;
use crate::record::{Ended, Invocation};
use crate::sys::{self, Reaped, Wait};
use crate::wire::{ECHO, Life, Report, Request};

/// How often output is moved before it counts as drained: the rest of a tree may write without end.
const MOST_MOVES: usize = 64;

impl Shim {
    /// Reaps every process that has exited, and handles what that means for the invocation.
    pub(super) fn reap(&mut self) {
        self.note_end();
        let mut leader = None;
        let childless = loop {
            match sys::reap() {
                Wait::Reaped(reaped) if self.life == (Life::Running { pid: reaped.pid }) => leader = Some(reaped),
                Wait::Reaped(_) => {}
                Wait::Living => break false,
                Wait::Childless => break true,
            }
        };
        // A foreign invocation does not consist of children of this shim.
        if self.foreign.is_some() {
            return;
        }
        if let Some(reaped) = leader {
            self.leader_ended(reaped, !childless);
        } else if childless && let Life::Exited { status, leftovers: true } = self.life {
            self.empty(status);
            self.tell(&Report::Emptied { number: self.number });
        }
    }

    /// Records how the first process exited before it is reaped: afterwards nothing else could tell.
    fn note_end(&mut self) {
        let Life::Running { pid } = self.life else { return };
        let Some(seen) = end::peek(pid).filter(|seen| self.foreign.is_none() && !(self.is_daemon && seen.status == 0))
        else {
            return;
        };
        let _ = self.ended_as(&seen, true).write(&self.place.exit());
    }

    fn ended_as(&self, reaped: &Reaped, leftovers: bool) -> Ended {
        Ended {
            number: self.number,
            status: reaped.status,
            leftovers,
            wall_ns: sys::wall_ns(),
            monotonic_ns: sys::monotonic_ns(),
            user_us: reaped.user_us,
            system_us: reaped.system_us,
            max_rss_kib: reaped.max_rss_kib,
        }
    }

    pub(super) fn leader_ended(&mut self, reaped: Reaped, leftovers: bool) {
        if leftovers && reaped.status == 0 && self.is_daemon && self.follow_daemon() {
            return;
        }
        // First the output, then the record, then the report.
        self.drain();
        let ended = self.ended_as(&reaped, leftovers);
        self.ended = Some(ended);
        let _ = ended.write(&self.place.exit());
        self.life = Life::Exited { status: reaped.status, leftovers };
        if !leftovers {
            self.empty(reaped.status);
        }
        self.tell(&Report::Exited { number: self.number, status: reaped.status, leftovers });
    }

    /// The first process has exited with 0 and left a daemon, which is the service from now on. Returns false if there
    /// is none whose exit this shim will see.
    fn follow_daemon(&mut self) -> bool {
        let ours =
            |pid: &u32| sys::Stat::of(*pid).filter(|stat| stat.parent == self.pid).map(|stat| (stat.start_ticks, *pid));
        let Some((_, pid)) = self.tree().members().iter().filter_map(ours).min() else { return false };
        let Ok(mut record) = Invocation::read(&self.place.invocation()) else { return false };
        record.pid = pid;
        (record.start_ticks, record.pidfd_inode) = sys::identity(pid).unwrap_or_default();
        let _ = record.write(&self.place.invocation());
        self.life = Life::Running { pid };
        self.tell(&Report::Adopted { number: self.number, life: self.life });
        true
    }

    /// No process of the invocation is alive any more.
    pub(super) fn empty(&mut self, status: i32) {
        self.drain();
        if let Some(ended) = self.ended.as_mut().filter(|ended| ended.leftovers) {
            ended.leftovers = false;
            let _ = ended.write(&self.place.exit());
        }
        self.life = Life::Exited { status, leftovers: false };
        self.is_clean = true;
        self.foreign = None;
    }

    /// Moves out what is in the pipes. What cannot be written because of a full disk stays there and is tried again;
    /// requests that come in the meantime are read.
    pub(super) fn drain(&mut self) {
        for at in 0..self.pumps.len() {
            let mut moves = 0;
            while moves < MOST_MOVES {
                moves += 1;
                match self.pumps[at].pump() {
                    Moved::Some(_) => {}
                    Moved::Nothing => break,
                    Moved::Stuck if self.pumps[at].dropped().0 > self.told_dropped => break,
                    Moved::Stuck => self.read_ahead(),
                }
            }
        }
        self.tell_dropped();
    }

    /// Waits a moment, or until the supervisor sends something. Requests are carried out later, in order.
    fn read_ahead(&mut self) {
        let mut fds: Vec<PollFd<'_>> = self.line.iter().map(|line| PollFd::new(line.fd(), PollFlags::POLLIN)).collect();
        if poll(&mut fds, PollTimeout::from(TRY_AGAIN_MS)) != Ok(1) {
            return;
        }
        let Some(line) = &mut self.line else { return };
        let mut requests = VecDeque::new();
        let is_open = line.read(&mut requests);
        for (request, fds) in requests {
            if request == (Request::Kill { number: ECHO }) {
                self.tell(&Report::Emptied { number: ECHO });
            } else {
                self.postponed.push_back((request, fds));
            }
        }
        if !is_open {
            self.line = None;
        }
    }
}
