//! The shim: the parent of one instance. It starts, signals, reaps, records and moves output when told to, and
//! decides nothing. It is forked by the keeper without exec, so it stays small: one thread, no allocation to speak of
//! while nothing happens.

mod foreign;
mod line;
mod notify;
mod signal;
mod start;

use std::collections::VecDeque;
use std::fs;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::cgroup::Cgroup;
use crate::memory;
use crate::place::{Place, Stream};
use crate::pump::{Moved, Pump};
use crate::record::{Ended, Invocation};
use crate::sys::{self, Reaped, Wait};
use crate::tree::Tree;
use crate::wire::{Life, Report, Request};
use foreign::Foreign;
use line::Line;
use notify::Notifier;
pub use notify::address as notify_address;

/// Pause between two attempts to write output that could not be written, in milliseconds.
const TRY_AGAIN_MS: u16 = 100;
/// How long nothing may happen until memory is given back, in milliseconds.
const QUIET_MS: u16 = 1000;

/// What a shim is given at its birth.
#[derive(Clone, Debug)]
pub struct Birth {
    /// The instance it stands over.
    pub instance: String,
    /// The stack's run folder.
    pub run: PathBuf,
    /// The folder in which cgroups are made, where they can be.
    pub cgroups: Option<PathBuf>,
}

pub(crate) struct Shim {
    instance: String,
    place: Place,
    cgroup: Option<Cgroup>,
    cgroups: Option<PathBuf>,
    pid: u32,
    listener: Option<UnixListener>,
    line: Option<Line>,
    pumps: Vec<Pump>,
    /// Number of the last invocation.
    number: u32,
    note: String,
    life: Life,
    /// How the last invocation ended.
    ended: Option<Ended>,
    /// Held sockets, by name.
    sockets: Vec<(String, OwnedFd)>,
    /// What was said of dropped output.
    told_dropped: u64,
    released: bool,
    /// Nothing of an earlier shim may be here: its records were looked at.
    is_clean: bool,
    /// What another shim began.
    foreign: Option<Foreign>,
    /// Where the service says how it is.
    notifier: Option<Notifier>,
    /// The first process of the invocation is to end when what it began is up.
    is_daemon: bool,
}

/// Runs a shim on the line `fd` to its supervisor until it is released. Called in a process forked for it.
///
/// # Safety
/// The process was just forked: it has one thread, and every descriptor but 0 to 2 and `fd` may be closed.
pub unsafe fn run(birth: Birth, fd: RawFd) -> ! {
    // Descriptor 3 is the line; whatever else the keeper had is not ours.
    // SAFETY: the caller gives up all descriptors of the keeper.
    unsafe { nix::libc::dup2(fd, 3) };
    sys::close_from(4);
    // SAFETY: the descriptor was made two lines above and belongs to nobody else.
    let line = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(3) };
    let _ = nix::fcntl::fcntl(&line, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
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
            listener: None,
            line: Some(Line::new(line)),
            pumps: Vec::new(),
            number: 0,
            note: String::new(),
            life: Life::Idle,
            ended: None,
            sockets: Vec::new(),
            told_dropped: 0,
            released: false,
            is_clean: false,
            foreign: None,
            notifier: None,
            is_daemon: false,
        }
    }

    fn tree(&self) -> Tree<'_> {
        let foreign = self.foreign.as_ref().map(|foreign| (foreign.leader, foreign.mark.as_str()));
        Tree { shim: self.pid, cgroup: self.cgroup.as_ref(), foreign }
    }

    fn serve(&mut self) {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        let Ok(signals) = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK) else { return };
        self.say_hello();
        self.read_line();
        while !self.released {
            self.wait(&signals);
            // A supervisor that died before its first order came: nobody will ever find us, and nothing was begun.
            if self.line.is_none() && self.listener.is_none() {
                break;
            }
        }
        self.leave();
    }

    /// Waits for whatever comes first, and takes it in.
    fn wait(&mut self, signals: &SignalFd) {
        let running = !matches!(self.life, Life::Idle | Life::Exited { leftovers: false, .. });
        let stuck = self.pumps.iter().any(Pump::is_stuck);
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(listener) = &self.listener {
            fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        }
        if let Some(line) = &self.line {
            fds.push(PollFd::new(line.fd(), line.interest()));
        }
        if running && !stuck {
            fds.extend(self.pumps.iter().map(|pump| PollFd::new(pump.fd(), PollFlags::POLLIN)));
        }
        if let Some(handle) = self.foreign.as_ref().and_then(|foreign| foreign.handle.as_ref()) {
            fds.push(PollFd::new(handle.as_fd(), PollFlags::POLLIN));
        }
        if let Some(notifier) = &self.notifier {
            fds.push(PollFd::new(notifier.fd(), PollFlags::POLLIN));
        }
        // Of what is not our child, nobody tells us when the last of it has gone.
        let looks = matches!((&self.foreign, self.life), (Some(_), Life::Exited { leftovers: true, .. }));
        if stuck || looks {
            let _ = poll(&mut fds, PollTimeout::from(TRY_AGAIN_MS));
        } else if poll(&mut fds, PollTimeout::from(QUIET_MS)) == Ok(0) {
            memory::give_back();
            self.pumps.iter().for_each(Pump::rest);
            let _ = poll(&mut fds, PollTimeout::NONE);
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        let mut at = 0;
        let mut next = |present: bool| {
            let is_ready = present && ready.get(at).copied().unwrap_or(false);
            at += usize::from(present);
            is_ready
        };
        let child = next(true);
        let caller = next(self.listener.is_some());
        let spoken = next(self.line.is_some());
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
        if caller {
            self.accept();
        }
        if spoken {
            self.read_line();
        }
        // Before anybody is reaped: who said something last is told from strangers by standing below us.
        self.hear();
        if child {
            while let Ok(Some(_)) = signals.read_signal() {}
            self.reap();
        }
        self.look_at_foreign();
    }

    fn tell_dropped(&mut self) {
        let dropped: u64 = self.pumps.iter().map(|pump| pump.dropped().0).sum();
        if dropped > self.told_dropped {
            self.told_dropped = dropped;
            let errno = self.pumps.iter().map(|pump| pump.dropped().1).find(|errno| *errno != 0).unwrap_or(0);
            self.tell(&Report::Dropped { bytes: dropped, errno });
        }
    }

    /// A new supervisor. What the old one said and was not carried out yet is void: its line is closed unread.
    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let Ok((stream, _)) = listener.accept() else { return };
        let mine = nix::unistd::geteuid();
        let peer = nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::PeerCredentials);
        if !peer.is_ok_and(|peer| peer.uid() == mine.as_raw() || peer.uid() == 0) {
            return;
        }
        let _ = stream.set_nonblocking(true);
        self.line = Some(Line::new(OwnedFd::from(stream)));
        self.say_hello();
    }

    fn say_hello(&mut self) {
        let hello = Report::Hello {
            instance: self.instance.clone(),
            shim: self.pid,
            number: self.number,
            note: self.note.clone(),
            life: self.life,
            sockets: self.sockets.iter().map(|(name, _)| name.clone()).collect(),
        };
        self.tell(&hello);
    }

    fn read_line(&mut self) {
        let Some(line) = &mut self.line else { return };
        let mut requests = VecDeque::new();
        let is_open = line.read(&mut requests);
        line.flush();
        for (request, fds) in requests {
            self.carry_out(request, fds);
        }
        if !is_open {
            self.line = None;
        }
    }

    fn carry_out(&mut self, request: Request, fds: Vec<OwnedFd>) {
        match request {
            Request::Start(order) => self.start(&order, fds),
            Request::Signal { number, signal, scope } if number == self.number => self.signal(signal, scope),
            Request::Signal { .. } => {}
            Request::Kill { number } => self.kill(number),
            Request::Release => self.released = matches!(self.life, Life::Idle | Life::Exited { leftovers: false, .. }),
            Request::LogLimit { segment_bytes } => {
                for pump in &mut self.pumps {
                    pump.limit(segment_bytes);
                }
            }
            Request::Sockets => self.hand_out_sockets(),
            Request::Adopt { sockets } => {
                self.sockets = sockets.into_iter().zip(fds).collect();
                self.adopt();
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

    /// Reaps whatever has ended, and says what that means for the invocation.
    fn reap(&mut self) {
        let mut leader = None;
        let childless = loop {
            match sys::reap() {
                Wait::Reaped(reaped) if self.life == (Life::Running { pid: reaped.pid }) => leader = Some(reaped),
                Wait::Reaped(_) => {}
                Wait::Living => break false,
                Wait::Childless => break true,
            }
        };
        // Of what another shim began, our children tell nothing.
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

    fn leader_ended(&mut self, reaped: Reaped, leftovers: bool) {
        if leftovers && reaped.status == 0 && self.is_daemon && self.follow_daemon() {
            return;
        }
        // Output first, then the record, then the word.
        self.drain();
        let ended = Ended {
            number: self.number,
            status: reaped.status,
            leftovers,
            wall_ns: sys::wall_ns(),
            monotonic_ns: sys::monotonic_ns(),
            user_us: reaped.user_us,
            system_us: reaped.system_us,
            max_rss_kib: reaped.max_rss_kib,
        };
        self.ended = Some(ended);
        let _ = ended.write(&self.place.exit());
        self.life = Life::Exited { status: reaped.status, leftovers };
        if !leftovers {
            self.empty(reaped.status);
        }
        self.tell(&Report::Exited { number: self.number, status: reaped.status, leftovers });
    }

    /// The first process has ended well and has left a daemon: that is the service from now on. False when there is
    /// none that we will see end.
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

    /// Nothing of the invocation lives any more.
    fn empty(&mut self, status: i32) {
        self.drain();
        if let Some(ended) = self.ended.as_mut().filter(|ended| ended.leftovers) {
            ended.leftovers = false;
            let _ = ended.write(&self.place.exit());
        }
        self.life = Life::Exited { status, leftovers: false };
        self.is_clean = true;
        self.foreign = None;
    }

    /// Moves out what is in the pipes. What a full disk holds back stays there and is tried again.
    fn drain(&mut self) {
        for pump in &mut self.pumps {
            while pump.drain() == Moved::Stuck {
                if pump.dropped().0 > self.told_dropped {
                    break;
                }
                let _ = poll(&mut [], PollTimeout::from(TRY_AGAIN_MS));
            }
        }
        self.tell_dropped();
    }

    /// Takes away what is of no use any more; records stay, for whoever asks how it ended.
    fn leave(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
        for path in [self.place.socket(), self.place.fifo(Stream::Out), self.place.fifo(Stream::Err), self.place.lock()]
        {
            let _ = fs::remove_file(path);
        }
    }

    fn run_folder(&self) -> &Path {
        self.place.folder()
    }
}
