//! The shim: the parent of one instance. It starts, signals, reaps, records and moves output when told to, and makes no
//! decisions. The keeper forks it without exec, so it stays small: one thread, and hardly any allocation while nothing
//! happens.

mod callers;
mod ending;
mod foreign;
mod line;
mod notify;
mod signal;
mod start;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::cgroup::Cgroup;
use crate::limits::Limits;
use crate::place::{Place, Stream};
use crate::pump::Pump;
use crate::record::{Ended, Invocation};
use crate::tree::{Stray, Tree};
use crate::wire::{ECHO, Life, Report, Request};
use crate::{guard, memory, sys};
use callers::{Caller, Listener};
use foreign::Foreign;
pub use foreign::Orphan;
use line::Line;
use notify::Notifier;
pub use notify::address as notify_address;

/// Pause between two attempts to write output that could not be written, in milliseconds.
const TRY_AGAIN_MS: u16 = 100;
/// Idle time after which memory is given back, in milliseconds.
const QUIET_MS: u16 = 1000;

/// What a shim gets when it is forked.
#[derive(Clone, Debug)]
pub struct Birth {
    /// Name of the instance it looks after.
    pub instance: String,
    /// The run folder of the stack.
    pub run: PathBuf,
    /// The folder in which cgroups are created, if that is possible.
    pub cgroups: Option<PathBuf>,
    /// The limits that the keeper started with: a limit lowered in the keeper for a while must not stay low here.
    pub limits: Limits,
    /// Processes that the keeper has reaped in the place of shims that had died.
    pub orphans: Vec<Orphan>,
}

pub(crate) struct Shim {
    instance: String,
    place: Place,
    cgroup: Option<Cgroup>,
    cgroups: Option<PathBuf>,
    pid: u32,
    /// Held while this shim looks after the instance: another shim must have it before it touches anything.
    lock: Option<File>,
    listener: Option<Listener>,
    line: Option<Line>,
    /// Callers that have not sent a valid request yet.
    callers: Vec<Caller>,
    /// Whether the last attempt to accept a caller failed.
    is_deaf: bool,
    /// Requests that came while output was waited for.
    postponed: VecDeque<(Request, Vec<OwnedFd>)>,
    orphans: Vec<Orphan>,
    pumps: Vec<Pump>,
    /// Number of the last invocation.
    number: u32,
    note: String,
    /// The first process of the last invocation, which leads its group; 0 for none.
    leader: u32,
    life: Life,
    /// How the last invocation exited.
    ended: Option<Ended>,
    /// Held sockets, by name.
    sockets: Vec<(String, OwnedFd)>,
    /// Number of dropped bytes that was last reported.
    told_dropped: u64,
    released: bool,
    /// Whether this shim must not remove the files in the place.
    leaves_all: bool,
    /// Whether the records were checked: no process of an earlier shim can be alive.
    is_clean: bool,
    /// The invocation that another shim started, if any.
    foreign: Option<Foreign>,
    /// The socket on which the service reports its state.
    notifier: Option<Notifier>,
    /// The record of the last start, as it was written.
    begun: Option<Invocation>,
    /// Whether the first process is expected to exit once the daemon it started is up.
    is_daemon: bool,
}

/// Runs a shim on the connection `fd` to its supervisor until it is released. Called in a process forked for it.
///
/// # Safety
/// The process was just forked: it has one thread, and every descriptor except 0 to 2 and `fd` may be closed.
pub unsafe fn run(birth: Birth, fd: RawFd) -> ! {
    // Descriptor 3 is the connection; the other descriptors of the keeper are not needed.
    // SAFETY: the caller gives up all descriptors of the keeper.
    unsafe { nix::libc::dup2(fd, 3) };
    sys::close_from(4);
    // SAFETY: the descriptor was created a few lines above and has no other owner.
    let line = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(3) };
    let _ = nix::fcntl::fcntl(&line, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
    birth.limits.restore();
    sys::set_title(&format!("core-shim {}", birth.instance));
    let _ = rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1));
    let mut shim = Shim::new(birth, line);
    shim.serve();
    sys::exit_now(0)
}

impl Shim {
    fn new(birth: Birth, line: OwnedFd) -> Self {
        let place = Place::new(&birth.run, &birth.instance);
        Self {
            instance: birth.instance,
            place,
            cgroup: None,
            cgroups: birth.cgroups,
            pid: std::process::id(),
            lock: None,
            listener: None,
            line: Some(Line::new(line)),
            callers: Vec::new(),
            is_deaf: false,
            postponed: VecDeque::new(),
            orphans: birth.orphans,
            pumps: Vec::new(),
            number: 0,
            note: String::new(),
            leader: 0,
            life: Life::Idle,
            ended: None,
            sockets: Vec::new(),
            told_dropped: 0,
            released: false,
            leaves_all: false,
            is_clean: false,
            foreign: None,
            notifier: None,
            begun: None,
            is_daemon: false,
        }
    }

    fn tree(&self) -> Tree<'_> {
        let stray = |foreign: &'_ Foreign| Stray {
            leader: foreign.leader,
            mark: foreign.mark.clone(),
            place: self.place.clone(),
        };
        Tree { shim: self.pid, cgroup: self.cgroup.as_ref(), foreign: self.foreign.as_ref().map(stray) }
    }

    fn serve(&mut self) {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        let Ok(signals) = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK) else { return };
        self.say_hello();
        self.read_line();
        while !self.released && !self.is_deserted() {
            self.wait(&signals);
        }
        self.leave();
    }

    /// Whether there is no connection, nothing to look after, and no way to find this shim.
    fn is_deserted(&self) -> bool {
        self.line.is_none()
            && self.callers.is_empty()
            && self.is_idle()
            && !self.listener.as_ref().is_some_and(|listener| listener.is_found_at(&self.place.socket()))
    }

    /// Whether no process of an invocation is alive.
    fn is_idle(&self) -> bool {
        matches!(self.life, Life::Idle | Life::Exited { leftovers: false, .. })
    }

    /// Waits for the next event, and handles everything that has arrived.
    fn wait(&mut self, signals: &SignalFd) {
        if !self.postponed.is_empty() {
            self.read_line();
        }
        let running = !self.is_idle();
        let stuck = self.pumps.iter().any(Pump::is_stuck);
        let hears = !std::mem::take(&mut self.is_deaf);
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(line) = &self.line {
            fds.push(PollFd::new(line.fd(), line.interest()));
        }
        fds.extend(self.callers.iter().map(|caller| PollFd::new(caller.line.fd(), PollFlags::POLLIN)));
        if let Some(listener) = self.listener.as_ref().filter(|_| hears) {
            fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        }
        if running && !stuck {
            fds.extend(self.pumps.iter().map(|pump| PollFd::new(pump.fd(), PollFlags::POLLIN)));
        }
        if let Some(handle) = self.foreign.as_ref().and_then(Foreign::awaited) {
            fds.push(PollFd::new(handle.as_fd(), PollFlags::POLLIN));
        }
        if let Some(notifier) = &self.notifier {
            fds.push(PollFd::new(notifier.fd(), PollFlags::POLLIN));
        }
        if stuck || !hears || self.must_look() {
            let _ = poll(&mut fds, PollTimeout::from(TRY_AGAIN_MS));
        } else if poll(&mut fds, PollTimeout::from(QUIET_MS)) == Ok(0) {
            memory::give_back();
            self.pumps.iter().for_each(Pump::rest);
            // Without a connection and a running service, checks now and then whether this shim can still be found.
            let is_forgotten = self.line.is_none() && !running;
            let _ = poll(&mut fds, if is_forgotten { PollTimeout::from(QUIET_MS) } else { PollTimeout::NONE });
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        let mut at = 0;
        let mut next = |present: bool| {
            let is_ready = present && ready.get(at).copied().unwrap_or(false);
            at += usize::from(present);
            is_ready
        };
        let child = next(true);
        let spoken = next(self.line.is_some());
        let calls: Vec<bool> = (0..self.callers.len()).map(|_| next(true)).collect();
        let knock = next(self.listener.is_some() && hears);
        let polled = running && !stuck;
        let flowing: Vec<bool> = (0..self.pumps.len()).map(|_| next(polled)).collect();
        if running {
            for (pump, flows) in self.pumps.iter_mut().zip(flowing) {
                if flows || stuck {
                    pump.flow();
                }
            }
            self.tell_dropped();
        }
        if spoken {
            self.read_line();
        }
        if calls.contains(&true) {
            self.read_callers(&calls);
        }
        if knock {
            self.accept();
        }
        // Before reaping: a sender is told from other processes by being a descendant of this shim.
        self.hear();
        if child {
            while let Ok(Some(_)) = signals.read_signal() {}
            self.reap();
        }
        self.look_at_foreign();
        // If something could not be sent, the other side sees the connection close, and asks again.
        if self.line.as_ref().is_some_and(Line::is_broken) {
            self.line = None;
        }
    }

    fn tell_dropped(&mut self) {
        let dropped: u64 = self.pumps.iter().map(|pump| pump.dropped().0).sum();
        if dropped > self.told_dropped {
            self.told_dropped = dropped;
            let errno = self.pumps.iter().map(|pump| pump.dropped().1).find(|errno| *errno != 0).unwrap_or(0);
            self.tell(&Report::Dropped { bytes: dropped, errno });
        }
    }

    /// The state of this shim, which is the first message on every connection.
    fn hello(&self) -> Report {
        Report::Hello {
            instance: self.instance.clone(),
            shim: self.pid,
            number: self.number,
            note: self.note.clone(),
            life: self.life,
            sockets: self.sockets.iter().map(|(name, _)| name.clone()).collect(),
        }
    }

    fn say_hello(&mut self) {
        let hello = self.hello();
        self.tell(&hello);
    }

    fn read_line(&mut self) {
        while let Some((request, fds)) = self.postponed.pop_front() {
            self.carry_out(request, fds);
        }
        let Some(line) = &mut self.line else { return };
        let mut requests = VecDeque::new();
        let is_open = line.read(&mut requests);
        line.flush();
        for (request, fds) in requests {
            self.carry_out(request, fds);
        }
        if !is_open {
            self.line = None;
            self.promote_last_caller();
        }
    }

    fn carry_out(&mut self, request: Request, fds: Vec<OwnedFd>) {
        match request {
            Request::Start(order) => self.start(&order, fds),
            Request::Signal { number, signal, scope } if number == self.number => self.signal(signal, scope),
            Request::Signal { .. } => {}
            Request::Kill { number: ECHO } => {
                self.be_found();
                self.tell(&Report::Emptied { number: ECHO });
            }
            Request::Kill { number } => self.kill(number),
            Request::Release => self.released = self.is_idle(),
            Request::LogLimit { segment_bytes } => {
                for pump in &mut self.pumps {
                    pump.limit(segment_bytes);
                }
            }
            Request::Sockets => self.hand_out_sockets(),
            Request::Adopt { sockets, number, log, leader } => {
                let mut fds = fds;
                let handle = if leader > 0 { fds.pop() } else { None };
                self.sockets = sockets.into_iter().zip(fds).collect();
                self.adopt(number, &log, handle.map(|handle| (leader, handle)));
            }
        }
    }

    fn tell(&mut self, report: &Report) {
        if let Some(line) = &mut self.line {
            line.send(&report.encode(), &[]);
        }
    }

    fn hand_out_sockets(&mut self) {
        use std::os::fd::AsRawFd;
        let names = self.sockets.iter().map(|(name, _)| name.clone()).collect();
        let fds: Vec<RawFd> = self.sockets.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
        if let Some(line) = &mut self.line {
            line.send(&Report::Sockets { names }.encode(), &fds);
        }
    }

    /// Removes what is not needed any more; the records stay, because they tell how the service exited. Without the
    /// lock, nothing here belongs to this shim.
    fn leave(&mut self) {
        let Some(_lock) = self.lock.as_ref().filter(|_| !self.leaves_all) else { return };
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
        for path in [self.place.socket(), self.place.fifo(Stream::Out), self.place.fifo(Stream::Err)] {
            let _ = fs::remove_file(path);
        }
        // A process that has the lock is alive, and no other may be started next to it.
        if !guard::is_held(&self.place) {
            let _ = fs::remove_file(self.place.lock());
        }
        let _ = fs::remove_file(self.place.shim_lock());
    }

    fn run_folder(&self) -> &Path {
        self.place.folder()
    }
}
