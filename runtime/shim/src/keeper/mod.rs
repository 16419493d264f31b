//! The keeper: the parent of shims and supervisor. It forks shims on request, starts the supervisor again when it dies,
//! and reports which of its children have died. It has one thread, reads no file of a user, and knows nothing about
//! services. It may be process 1.

mod children;
mod supervisor;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::limits::Limits;
use crate::shim::Orphan;
use crate::sys;
use crate::wire::{KeeperReport, KeeperRequest, receive};
use crate::{cgroup, guard};
use supervisor::{Program, Supervisor};

/// The descriptor on which a supervisor finds its keeper.
pub const SUPERVISOR_FD: i32 = 3;
/// The longest message of a supervisor, in bytes.
const LONGEST_MESSAGE: usize = 128 << 10;
/// How long an earlier keeper may take to be gone.
const LEAVING_NS: u64 = 1_000_000_000;
/// Signals that stop the stack.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
/// The signal that asks to check a supervisor that does not answer. The lock file states that it is supported.
pub const LOOK: Signal = Signal::SIGUSR1;

/// The arguments of the keeper.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The run folder of the stack.
    pub run: PathBuf,
    /// Name of the stack's cgroup.
    pub cgroup: String,
    /// The command line of the supervisor; the first word is an absolute path.
    pub supervisor: Vec<OsString>,
}

struct Keeper {
    settings: Settings,
    /// The file by which this keeper is found, locked.
    lock: File,
    cgroups: Option<PathBuf>,
    shims: BTreeMap<u32, String>,
    /// Processes reaped in the place of shims that had died; the newest last.
    orphans: VecDeque<Orphan>,
    /// Until when orphans that have exited stay zombies.
    zombies_until: Option<u64>,
    /// The limits that the keeper started with.
    limits: Limits,
    program: Program,
    supervisor: Option<Supervisor>,
    /// How long the next supervisor may take to answer, in nanoseconds.
    patience: u64,
    /// Consecutive failed starts of the supervisor.
    failures: u32,
    /// When the supervisor is started again.
    start_at: Option<u64>,
    farewell: Option<i32>,
    /// A signal to stop the stack that came while no supervisor was running.
    untold: Option<i32>,
    /// Buffer for messages of the supervisor, one at a time. Allocated once: every page that the keeper writes to
    /// between two forks is copied for each shim.
    message: Vec<u8>,
}

/// Runs the keeper until the stack has stopped. Returns the exit code of the stack.
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
    // A keeper that has died may take a moment to be gone.
    let until = sys::monotonic_ns() + LEAVING_NS;
    loop {
        match guard::try_lock(&lock) {
            Ok(true) => break,
            Ok(false) if sys::monotonic_ns() < until => drop(poll(&mut [], 5_u8)),
            Ok(false) => return Err("another keeper has this stack".into()),
            Err(error) => return Err(format!("{}: {error}", lock_path.display())),
        }
    }
    let _ = nix::unistd::setsid();
    let _ = rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1));
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    for signal in ENDING.into_iter().chain([LOOK]) {
        mask.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None).map_err(|errno| format!("signal mask: {errno}"))?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|errno| format!("signalfd: {errno}"))?;
    // For hosts where cgroups exist but should not be used, and for the tests, which cover both cases.
    let wants_cgroups = std::env::var_os("CORE_NO_CGROUP").is_none();
    let cgroups = cgroup::base().filter(|_| wants_cgroups).map(|base| base.join(&settings.cgroup));
    // Written only now, so that a request to check the supervisor does not come before it can be handled.
    write_identity(&mut lock, cgroups.as_deref()).map_err(|error| format!("{}: {error}", lock_path.display()))?;
    let mut keeper = Keeper {
        zombies_until: None,
        limits: Limits::now(),
        program: Program::open(&settings.supervisor),
        lock,
        settings,
        cgroups,
        shims: BTreeMap::new(),
        orphans: VecDeque::new(),
        supervisor: None,
        patience: supervisor::ANSWER_NS,
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
    // If the supervisor has left nothing in the folder, it is removed too.
    let _ = fs::remove_dir(&keeper.settings.run);
    Ok(code)
}

/// Writes the identity of the lock's holder, for processes that find the keeper without a supervisor: what the keeper
/// supports, and where the stack's cgroups are.
fn write_identity(lock: &mut File, cgroups: Option<&Path>) -> std::io::Result<()> {
    use std::fmt::Write as _;
    use std::io::Write as _;
    let pid = std::process::id();
    let (ticks, inode) = sys::identity(pid).unwrap_or_default();
    let mut text = format!("pid {pid}\nstart_ticks {ticks}\npidfd_inode {inode}\nboot {}\nlooks yes\n", sys::boot_id());
    if let Some(cgroups) = cgroups {
        let _ = writeln!(text, "cgroup {}", cgroups.display());
    }
    lock.set_len(0)?;
    lock.write_all(text.as_bytes())
}

impl Keeper {
    fn keep(&mut self, signals: &SignalFd) -> i32 {
        loop {
            if let (None, Some(code)) = (&self.supervisor, self.farewell) {
                self.end_strays();
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
        let mut deadline = [self.start_at, self.zombies_until].into_iter().flatten().min();
        if let Some(supervisor) = &self.supervisor {
            fds.push(PollFd::new(supervisor.line(), supervisor.interest()));
            deadline = [deadline, supervisor.deadline()].into_iter().flatten().min();
        }
        let timeout = deadline.map_or(PollTimeout::NONE, |at| {
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
            } else if number == LOOK as i32
                && let Some(supervisor) = &mut self.supervisor
            {
                supervisor.look();
            }
        }
        self.reap();
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.insist();
        }
    }

    /// A signal to stop the stack is handled by the supervisor.
    fn pass_on(&mut self, signal: i32) {
        match &self.supervisor {
            Some(supervisor) => supervisor.signal(signal),
            // None is running. It is started at once instead of after the pause, and gets the signal when it answers.
            None => {
                self.untold = Some(signal);
                self.start_at = Some(0);
            }
        }
    }

    fn read_supervisor(&mut self) {
        let mut buffer = std::mem::take(&mut self.message);
        while let Some(supervisor) = &mut self.supervisor {
            supervisor.flush();
            let mut fds = VecDeque::new();
            // Its end is detected by its death, not by its connection.
            let Ok(count @ 1..) = receive(supervisor.line(), &mut buffer, &mut fds) else { break };
            supervisor.was_heard();
            match KeeperRequest::decode(&buffer[..count]) {
                Ok(Some(KeeperRequest::Fork { instances })) => self.fork(instances, fds),
                Ok(Some(KeeperRequest::Answering)) => {
                    supervisor.answering_since = Some(sys::monotonic_ns());
                    if let Some(signal) = self.untold.take() {
                        supervisor.signal(signal);
                    }
                }
                Ok(Some(KeeperRequest::Farewell { code })) => self.farewell = Some(code),
                Ok(Some(KeeperRequest::BeFound)) => self.be_found(),
                Ok(Some(KeeperRequest::Here) | None) | Err(_) => {}
            }
        }
        self.message = buffer;
    }

    fn fork(&mut self, instances: Vec<String>, lines: VecDeque<OwnedFd>) {
        // A forked shim has to know how the processes exited that it may be about to take over.
        self.reap();
        let mut shims = Vec::new();
        for (instance, line) in instances.into_iter().zip(lines) {
            match self.fork_shim(&instance, &line) {
                Ok(pid) => {
                    self.shims.insert(pid, instance.clone());
                    shims.push((instance, pid));
                }
                Err(errno) => self.tell(&KeeperReport::ForkFailed { instance, errno: errno as i32 }),
            }
        }
        if !shims.is_empty() {
            self.tell(&KeeperReport::Forked { shims });
        }
    }

    /// If the file by which this keeper is found was removed, creates another one in its place.
    fn be_found(&mut self) {
        let path = self.settings.run.join("keeper");
        if guard::stands_at(&self.lock, &path) {
            return;
        }
        let written = guard::lock_at(&path).and_then(|lock| {
            let write = |mut lock: File| write_identity(&mut lock, self.cgroups.as_deref()).map(|()| lock);
            lock.map(write).transpose()
        });
        match written {
            Ok(Some(file)) => self.lock = file,
            Ok(None) => eprint_line("another keeper has this stack's new run folder"),
            Err(error) => eprint_line(&format!("{}: {error}", path.display())),
        }
    }

    fn tell(&mut self, report: &KeeperReport) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.tell(report);
        }
    }
}

fn eprint_line(text: &str) {
    let _ = nix::unistd::write(std::io::stderr(), format!("core-shim keeper: {text}\n").as_bytes());
}

/// Opens the log of keeper and supervisor as standard output and error.
///
/// # Errors
/// The error of the file system.
pub fn redirect(log: &Path) -> std::io::Result<()> {
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    let flags = OFlag::O_APPEND.bits();
    let file = {
        use std::os::unix::fs::OpenOptionsExt;
        OpenOptions::new().write(true).create(true).custom_flags(flags).mode(0o600).open(log)?
    };
    for (fd, target) in [(null.as_raw_fd(), 0), (file.as_raw_fd(), 1), (file.as_raw_fd(), 2)] {
        // SAFETY: 0 to 2 stay open for as long as this process lives, and it may redirect them.
        Errno::result(unsafe { libc::dup2(fd, target) })?;
    }
    Ok(())
}
