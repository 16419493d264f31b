//! The keeper: the parent of shims and supervisor. It forks shims when it is asked, starts the supervisor again when
//! that dies, and says which of its children have died. It has one thread, reads no file of a user, and knows nothing
//! of services; it may be process 1.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::shim::{self, Birth};
use crate::sys::{self, Forked, Wait};
use crate::wire::{KeeperReport, KeeperRequest, receive, send};
use crate::{cgroup, guard};

/// The descriptor on which a supervisor finds its keeper.
pub const SUPERVISOR_FD: i32 = 3;
/// A supervisor that has answered for this long was no failed start.
const PROVEN_NS: u64 = 1_000_000_000;
/// The pause after the first failed start of the supervisor, and the longest.
const FIRST_PAUSE_NS: u64 = 100_000_000;
const LONGEST_PAUSE_NS: u64 = 30_000_000_000;
/// The longest pause after a supervisor that had answered, however briefly: one that can serve is back within a second.
const LONGEST_PAUSE_AFTER_AN_ANSWER_NS: u64 = 500_000_000;
/// The longest message of a supervisor, in bytes.
const LONGEST_MESSAGE: usize = 128 << 10;
/// Signals that mean: end the stack.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// What the keeper is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The stack's run folder.
    pub run: PathBuf,
    /// Name of the stack's cgroup.
    pub cgroup: String,
    /// The supervisor's command line; the first word is an absolute path.
    pub supervisor: Vec<OsString>,
}

struct Keeper {
    settings: Settings,
    cgroups: Option<PathBuf>,
    shims: BTreeMap<u32, String>,
    supervisor: Option<Supervisor>,
    /// Starts of the supervisor that failed, in a row.
    failures: u32,
    /// When the supervisor is started again.
    start_at: Option<u64>,
    farewell: Option<i32>,
    /// A signal that ends the stack and came while no supervisor ran.
    untold: Option<i32>,
    /// What the supervisor says, one message at a time. Made once: whatever the keeper writes to between two forks is
    /// copied for each shim.
    message: Vec<u8>,
}

struct Supervisor {
    pid: u32,
    line: OwnedFd,
    answering_since: Option<u64>,
}

/// Runs the keeper. Returns the exit code of the stack.
///
/// # Errors
/// When another keeper has this stack, or the supervisor could not be started even once.
pub fn run(settings: Settings) -> Result<i32, String> {
    let lock_path = settings.run.join("keeper");
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(|error| format!("{}: {error}", lock_path.display()))?;
    match guard::try_lock(&lock) {
        Ok(true) => {}
        Ok(false) => return Err("another keeper has this stack".into()),
        Err(error) => return Err(format!("{}: {error}", lock_path.display())),
    }
    write_identity(&mut lock).map_err(|error| format!("{}: {error}", lock_path.display()))?;
    let _ = nix::unistd::setsid();
    let _ = rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1));
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    for signal in ENDING {
        mask.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None).map_err(|errno| format!("signal mask: {errno}"))?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|errno| format!("signalfd: {errno}"))?;
    // A host where cgroups are there and should be left alone; and the tests, which look at both ways.
    let wants_cgroups = std::env::var_os("CORE_NO_CGROUP").is_none();
    let cgroups = cgroup::base().filter(|_| wants_cgroups).map(|base| base.join(&settings.cgroup));
    let mut keeper = Keeper {
        settings,
        cgroups,
        shims: BTreeMap::new(),
        supervisor: None,
        failures: 0,
        start_at: Some(0),
        farewell: None,
        untold: None,
        message: vec![0; LONGEST_MESSAGE],
    };
    let code = keeper.keep(&signals);
    if let Some(cgroups) = &keeper.cgroups {
        cgroup::remove_tree(cgroups);
    }
    let _ = fs::remove_file(&lock_path);
    // Where the supervisor has left nothing in it, the folder goes too.
    let _ = fs::remove_dir(&keeper.settings.run);
    Ok(code)
}

/// Who holds the lock, for those who find the keeper without its supervisor.
fn write_identity(lock: &mut File) -> std::io::Result<()> {
    use std::io::Write as _;
    let pid = std::process::id();
    let (ticks, inode) = sys::identity(pid).unwrap_or_default();
    lock.set_len(0)?;
    write!(lock, "pid {pid}\nstart_ticks {ticks}\npidfd_inode {inode}\nboot {}\n", sys::boot_id())
}

impl Keeper {
    fn keep(&mut self, signals: &SignalFd) -> i32 {
        loop {
            if let (None, Some(code)) = (&self.supervisor, self.farewell) {
                return code;
            }
            let now = sys::monotonic_ns();
            if self.start_at.is_some_and(|at| at <= now) {
                self.start_at = None;
                self.start_supervisor();
            }
            self.wait(signals);
        }
    }

    fn wait(&mut self, signals: &SignalFd) {
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(supervisor) = &self.supervisor {
            fds.push(PollFd::new(supervisor.line.as_fd(), PollFlags::POLLIN));
        }
        let timeout = self.start_at.map_or(PollTimeout::NONE, |at| {
            let millis = at.saturating_sub(sys::monotonic_ns()).div_ceil(1_000_000);
            PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::NONE)
        });
        let _ = poll(&mut fds, timeout);
        let spoken = fds.get(1).is_some_and(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        if spoken {
            self.read_supervisor();
        }
        while let Ok(Some(info)) = signals.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            if ENDING.iter().any(|signal| *signal as i32 == number) {
                self.pass_on(number);
            }
        }
        self.reap();
    }

    /// A signal that ends the stack is the supervisor's to carry out.
    fn pass_on(&mut self, signal: i32) {
        match &self.supervisor {
            Some(supervisor) => {
                // SAFETY: a plain system call; the process is our child and not reaped, so the number is its own.
                unsafe { libc::kill(i32::try_from(supervisor.pid).unwrap_or(0), signal) };
            }
            // None runs and none will before the pause is over: it is started at once, and told when it answers.
            None => {
                self.untold = Some(signal);
                self.start_at = Some(0);
            }
        }
    }

    fn read_supervisor(&mut self) {
        let Some(supervisor) = &mut self.supervisor else { return };
        let buffer = &mut self.message;
        loop {
            let mut fds = VecDeque::new();
            match receive(supervisor.line.as_fd(), buffer, &mut fds) {
                // Its end is told by its death, not by its line.
                Ok(0) | Err(_) => return,
                Ok(count) => match KeeperRequest::decode(&buffer[..count]) {
                    Ok(Some(KeeperRequest::Fork { instances })) => {
                        for (instance, line) in instances.into_iter().zip(fds) {
                            if let Err((instance, errno)) =
                                fork_shim(&self.settings.run, self.cgroups.as_deref(), &mut self.shims, instance, &line)
                            {
                                let report = KeeperReport::ForkFailed { instance, errno: errno as i32 };
                                let _ = send(supervisor.line.as_fd(), &report.encode(), &[]);
                            }
                        }
                    }
                    Ok(Some(KeeperRequest::Answering)) => {
                        supervisor.answering_since = Some(sys::monotonic_ns());
                        if let Some(signal) = self.untold.take() {
                            // SAFETY: as in `pass_on`.
                            unsafe { libc::kill(i32::try_from(supervisor.pid).unwrap_or(0), signal) };
                        }
                    }
                    Ok(Some(KeeperRequest::Farewell { code })) => self.farewell = Some(code),
                    Ok(None) | Err(_) => {}
                },
            }
        }
    }

    fn reap(&mut self) {
        while let Wait::Reaped(reaped) = sys::reap() {
            if self.supervisor.as_ref().is_some_and(|supervisor| supervisor.pid == reaped.pid) {
                self.supervisor_died();
                continue;
            }
            let report = match self.shims.remove(&reaped.pid) {
                Some(instance) => KeeperReport::ShimDied { instance, pid: reaped.pid, status: reaped.status },
                None => KeeperReport::OrphanDied { pid: reaped.pid, status: reaped.status },
            };
            if let Some(supervisor) = &self.supervisor {
                let _ = send(supervisor.line.as_fd(), &report.encode(), &[]);
            }
        }
    }

    fn supervisor_died(&mut self) {
        // What it said last may still be on the line.
        self.read_supervisor();
        let Some(supervisor) = self.supervisor.take() else { return };
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

    fn start_supervisor(&mut self) {
        match spawn_supervisor(&self.settings.supervisor) {
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

fn fork_shim(
    run: &Path,
    cgroups: Option<&Path>,
    shims: &mut BTreeMap<u32, String>,
    instance: String,
    line: &OwnedFd,
) -> Result<(), (String, Errno)> {
    // SAFETY: the keeper has one thread.
    match unsafe { sys::fork_into(None) } {
        Ok(Forked::Parent(pid)) => {
            shims.insert(pid, instance);
            Ok(())
        }
        Ok(Forked::Child { .. }) => {
            let birth = Birth { instance, run: run.to_owned(), cgroups: cgroups.map(Path::to_owned) };
            // SAFETY: we were just forked and use nothing of the keeper any more.
            unsafe { shim::run(birth, line.as_raw_fd()) }
        }
        Err(errno) => Err((instance, errno)),
    }
}

/// Starts the supervisor with its line on descriptor 3. It inherits our environment, that of `core up`.
fn spawn_supervisor(command: &[OsString]) -> Result<Supervisor, Errno> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    let words: Vec<CString> = command.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let env: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let mut pair = name.into_vec();
            pair.push(b'=');
            pair.extend(value.into_vec());
            CString::new(pair).ok()
        })
        .collect();
    let program = words.first().ok_or(Errno::EINVAL)?;
    // SAFETY: the keeper has one thread.
    match unsafe { sys::fork_into(None) }? {
        Forked::Parent(pid) => Ok(Supervisor { pid, line: ours, answering_since: None }),
        Forked::Child { .. } => {
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
            if theirs.as_raw_fd() == SUPERVISOR_FD {
                let _ = fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()));
            } else {
                // SAFETY: this child uses nothing of the keeper's descriptors any more.
                unsafe { libc::dup2(theirs.as_raw_fd(), SUPERVISOR_FD) };
            }
            let _ = sys::close_on_exec_from(SUPERVISOR_FD + 1);
            let _ = nix::unistd::execve(program, &words, &env);
            sys::exit_now(127)
        }
    }
}

fn eprint_line(text: &str) {
    let _ = nix::unistd::write(std::io::stderr(), format!("core-shim keeper: {text}\n").as_bytes());
}

/// Opens the file that takes what keeper and supervisor have to say, as standard output and error.
///
/// # Errors
/// What the file system says.
pub fn redirect(log: &Path) -> std::io::Result<()> {
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    let flags = OFlag::O_APPEND.bits();
    let file = {
        use std::os::unix::fs::OpenOptionsExt;
        OpenOptions::new().write(true).create(true).custom_flags(flags).mode(0o600).open(log)?
    };
    for (fd, target) in [(null.as_raw_fd(), 0), (file.as_raw_fd(), 1), (file.as_raw_fd(), 2)] {
        // SAFETY: 0 to 2 stay open for as long as this process lives; what they lead to is ours to choose.
        Errno::result(unsafe { libc::dup2(fd, target) })?;
    }
    Ok(())
}
