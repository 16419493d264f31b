//! The supervisor as a child of its keeper: started, restarted, and replaced when it does not answer.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsString};
use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::poll::PollFlags;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{execve, execveat};

use super::{Keeper, SUPERVISOR_FD, eprint_line};
use crate::inherited;
use crate::limits::Limits;
use crate::sys::{self, Forked};
use crate::wire::{KeeperReport, send};

/// A supervisor that has answered for this long does not count as a failed start.
const PROVEN_NS: u64 = 1_000_000_000;
/// The first and the longest pause after a failed start of the supervisor.
const FIRST_PAUSE_NS: u64 = 100_000_000;
const LONGEST_PAUSE_NS: u64 = 30_000_000_000;
/// The longest pause after a supervisor that had answered, however briefly: a working one is back within a second.
const LONGEST_PAUSE_AFTER_AN_ANSWER_NS: u64 = 500_000_000;
/// After this many consecutive failed starts, the held program file and the one at its path are tried in turn.
const DOUBTFUL: u32 = 3;
/// How long a supervisor may stay stopped (SIGSTOP).
const STOPPED_NS: u64 = 1_000_000_000;
/// How long a supervisor may take to answer; doubled for each consecutive one that does not, up to the longest: if the
/// whole machine is slow, another supervisor is not faster.
pub(super) const ANSWER_NS: u64 = 2_000_000_000;
const LONGEST_ANSWER_NS: u64 = 32_000_000_000;

/// The program of the supervisor.
pub(super) struct Program {
    words: Vec<CString>,
    /// The program file as it was when the keeper started: it may be removed, or replaced by one that does not run.
    held: Option<OwnedFd>,
    /// Whether it was logged that the file is gone.
    told: bool,
}

impl Program {
    /// Opens the first word of a command line or, if that fails, this program's file: one file may be both programs.
    pub(super) fn open(command: &[OsString]) -> Self {
        let open = |path: &std::ffi::OsStr| {
            let mut options = OpenOptions::new();
            let file = options.read(true).custom_flags(OFlag::O_PATH.bits()).open(path).ok()?;
            // Not on the descriptor where a supervisor expects its connection.
            sys::move_up(file.as_raw_fd(), SUPERVISOR_FD + 1).ok()
        };
        let held = command.first().and_then(|path| open(path)).or_else(|| open("/proc/self/exe".as_ref()));
        let words = command.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
        Self { words, held, told: false }
    }

    /// Whether an executable file exists at its path.
    fn is_there(&self) -> bool {
        self.words
            .first()
            .is_some_and(|path| nix::unistd::access(path.as_c_str(), nix::unistd::AccessFlags::X_OK).is_ok())
    }

    /// Executes it: by its path, so that an upgrade takes effect, else the held file. With `held_first`, the held file
    /// is tried first. Returns when neither can be executed.
    fn execute(&self, env: &[CString], held_first: bool) {
        let Some(path) = self.words.first() else { return };
        let held = || {
            if let Some(file) = &self.held {
                let _ = execveat(file.as_fd(), c"", &self.words, env, AtFlags::AT_EMPTY_PATH);
            }
        };
        if held_first {
            held();
        }
        let _ = execve::<CString, CString>(path, &self.words, env);
        held();
    }
}

/// A running supervisor.
pub(super) struct Supervisor {
    pub(super) pid: u32,
    line: OwnedFd,
    pub(super) answering_since: Option<u64>,
    /// Messages that could not be sent yet.
    unsent: VecDeque<Vec<u8>>,
    /// It is stopped; when it is killed for that.
    stopped_until: Option<u64>,
    /// It was asked to answer; when the answer has to be there.
    answer_by: Option<u64>,
    /// How long it may take to answer, in nanoseconds.
    patience: u64,
    /// It was killed because it did not answer.
    was_silent: bool,
}

impl Supervisor {
    /// Starts the program with its connection on descriptor 3. It inherits the keeper's environment, that of `core up`.
    fn start(program: &Program, limits: Limits, held_first: bool, patience: u64) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (line, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let env: Vec<CString> = std::env::vars_os()
            .filter_map(|(name, value)| {
                let mut pair = name.into_vec();
                pair.push(b'=');
                pair.extend(value.into_vec());
                CString::new(pair).ok()
            })
            .collect();
        // SAFETY: the keeper has one thread.
        match unsafe { sys::fork_into(None) }? {
            Forked::Parent(pid) => Ok(Self {
                pid,
                line,
                answering_since: None,
                unsent: VecDeque::new(),
                stopped_until: None,
                answer_by: None,
                patience,
                was_silent: false,
            }),
            Forked::Child { .. } => {
                let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
                if theirs.as_raw_fd() == SUPERVISOR_FD {
                    let _ = fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()));
                } else {
                    // SAFETY: this child does not use the keeper's descriptors any more.
                    unsafe { libc::dup2(theirs.as_raw_fd(), SUPERVISOR_FD) };
                }
                limits.restore();
                // The supervisor narrows them itself, and so knows what services get.
                inherited::restore();
                let _ = sys::close_on_exec_from(SUPERVISOR_FD + 1);
                program.execute(&env, held_first);
                sys::exit_now(127)
            }
        }
    }

    pub(super) fn line(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }

    pub(super) fn interest(&self) -> PollFlags {
        if self.unsent.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<u64> {
        [self.stopped_until, self.answer_by].into_iter().flatten().min()
    }

    /// Sends a report; one that cannot be sent now is kept for later.
    pub(super) fn tell(&mut self, report: &KeeperReport) {
        self.unsent.push_back(report.encode());
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while let Some(packet) = self.unsent.front() {
            match send(self.line.as_fd(), packet, &[]) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => return,
                // Sent, or nothing is left to receive it.
                Ok(_) | Err(_) => drop(self.unsent.pop_front()),
            }
        }
    }

    pub(super) fn signal(&self, signal: i32) {
        // SAFETY: a plain system call; the process is a child that was not reaped, so the PID is its own.
        unsafe { libc::kill(i32::try_from(self.pid).unwrap_or(0), signal) };
    }

    /// A client reports that the supervisor does not answer. Whether that is true is checked by asking it.
    pub(super) fn look(&mut self) {
        if self.answer_by.is_none() {
            self.answer_by = Some(sys::monotonic_ns() + self.patience);
            self.tell(&KeeperReport::Look);
        }
    }

    /// It sent something, so it is alive.
    pub(super) fn was_heard(&mut self) {
        self.answer_by = None;
    }

    pub(super) fn was_stopped(&mut self) {
        self.stopped_until.get_or_insert(sys::monotonic_ns() + STOPPED_NS);
    }

    pub(super) fn goes_on(&mut self) {
        self.stopped_until = None;
    }

    /// Kills a supervisor whose time is over: starting another one costs nothing.
    pub(super) fn insist(&mut self) {
        let now = sys::monotonic_ns();
        let why = if self.stopped_until.is_some_and(|at| at <= now) {
            "stands still"
        } else if self.answer_by.is_some_and(|at| at <= now) {
            self.was_silent = true;
            "does not answer"
        } else {
            return;
        };
        (self.stopped_until, self.answer_by) = (None, None);
        eprint_line(&format!("supervisor {} {why}; another one takes its place", self.pid));
        self.signal(libc::SIGKILL);
    }
}

impl Keeper {
    pub(super) fn supervisor_died(&mut self) {
        // Its last messages may still be unread.
        self.read_supervisor();
        let Some(supervisor) = self.supervisor.take() else { return };
        self.patience = if supervisor.was_silent {
            supervisor.patience.saturating_mul(2).min(LONGEST_ANSWER_NS)
        } else {
            ANSWER_NS
        };
        if self.farewell.is_some() {
            return;
        }
        let now = sys::monotonic_ns();
        let proven = supervisor.answering_since.is_some_and(|since| now.saturating_sub(since) >= PROVEN_NS);
        self.failures = if proven { 0 } else { self.failures + 1 };
        let longest = match supervisor.answering_since {
            Some(_) => LONGEST_PAUSE_AFTER_AN_ANSWER_NS,
            None => LONGEST_PAUSE_NS,
        };
        let pause = match self.failures {
            0 | 1 => 0,
            several => FIRST_PAUSE_NS.saturating_mul(1 << (several - 2).min(10)).min(longest),
        };
        self.start_at = Some(now + pause);
    }

    pub(super) fn start_supervisor(&mut self) {
        if !self.program.is_there() && !std::mem::replace(&mut self.program.told, true) {
            let path = self.program.words.first().map(|path| CStr::to_string_lossy(path).into_owned());
            let path = path.unwrap_or_default();
            eprint_line(&format!("{path} is gone; the supervisor is started from the file that it was"));
        }
        let held_first = self.failures >= DOUBTFUL && self.failures % 2 == 1;
        match Supervisor::start(&self.program, self.limits, held_first, self.patience) {
            Ok(supervisor) => self.supervisor = Some(supervisor),
            Err(errno) => {
                eprint_line(&format!("the supervisor cannot be started: {errno}"));
                self.failures += 1;
                let pause = FIRST_PAUSE_NS.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE_NS);
                self.start_at = Some(sys::monotonic_ns() + pause);
            }
        }
    }
}
