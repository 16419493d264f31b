//! From a forked child to the service: a sequence of stages, each of which can fail and report that.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chdir, execve, setgroups, setresgid, setresuid, setsid};

use crate::inherited;
use crate::landlock;
use crate::sys;
use crate::wire::Start;

/// The first descriptor of a held socket.
const FIRST_SOCKET: RawFd = 3;
/// The highest signal number of the kernel, and the size of its signal set.
const LAST_SIGNAL: i32 = 64;
const SIGNAL_SET_BYTES: usize = 8;

/// What a child needs to become the service.
pub(crate) struct Child<'a> {
    pub(crate) order: &'a Start,
    /// Its environment, `NAME=value` each.
    pub(crate) env: &'a [Vec<u8>],
    /// The ends of the pipes for its output.
    pub(crate) output: [RawFd; 2],
    /// Held sockets, in order.
    pub(crate) sockets: Vec<RawFd>,
    /// The lock that shows that a process of it is alive.
    pub(crate) lock: RawFd,
    /// The cgroup file through which it enters its cgroup, if the fork could not put it there.
    pub(crate) cgroup: Option<std::path::PathBuf>,
}

impl Child<'_> {
    /// A descriptor number above all that the service will see.
    fn above(&self) -> RawFd {
        FIRST_SOCKET + RawFd::try_from(self.sockets.len()).unwrap_or(0) + 8
    }
}

/// The stage at which a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Session,
    Signals,
    Files,
    Cwd,
    Umask,
    Limits,
    Priority,
    Oom,
    User,
    Exec,
    Confinement,
}

impl Stage {
    const ALL: [Self; 11] = [
        Self::Session,
        Self::Signals,
        Self::Files,
        Self::Cwd,
        Self::Umask,
        Self::Limits,
        Self::Priority,
        Self::Oom,
        Self::User,
        Self::Exec,
        Self::Confinement,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Signals => "signals",
            Self::Files => "descriptors",
            Self::Cwd => "working directory",
            Self::Umask => "umask",
            Self::Limits => "limits",
            Self::Priority => "priority",
            Self::Oom => "oom score",
            Self::User => "user",
            Self::Exec => "exec",
            Self::Confinement => "confinement",
        }
    }

    /// The stage for the byte that a child wrote.
    pub(crate) fn of_byte(byte: u8) -> Self {
        Self::ALL.get(byte as usize).copied().unwrap_or(Self::Exec)
    }

    fn byte(self) -> u8 {
        u8::try_from(Self::ALL.iter().position(|one| *one == self).unwrap_or(0)).unwrap_or(0)
    }
}

/// Becomes the service. If that fails, the stage and the error number are written to `report`, and the process exits.
pub(crate) fn become_service(child: &Child<'_>, report: &OwnedFd) -> ! {
    // Above every number that the service's own descriptors will use.
    let report = match sys::move_up(report.as_raw_fd(), child.above()) {
        Ok(report) => report,
        Err(errno) => fail(report, Stage::Files, errno),
    };
    match stages(child, &report) {
        Ok(never) => match never {},
        Err((stage, errno)) => fail(&report, stage, errno),
    }
}

fn fail(report: &OwnedFd, stage: Stage, errno: Errno) -> ! {
    let mut bytes = vec![stage.byte()];
    bytes.extend_from_slice(&(errno as i32).to_le_bytes());
    let _ = nix::unistd::write(report, &bytes);
    sys::exit_now(126)
}

enum Never {}

fn stages(child: &Child<'_>, report: &OwnedFd) -> Result<Never, (Stage, Errno)> {
    let order = child.order;
    let at = |stage: Stage| move |errno: Errno| (stage, errno);
    setsid().map_err(at(Stage::Session))?;
    signals().map_err(at(Stage::Signals))?;
    if let Some(procs) = &child.cgroup {
        // If it cannot enter, its processes are found by descent and by their mark, as on hosts without cgroups.
        let _ = fs::write(procs, "0");
    }
    descriptors(child).map_err(at(Stage::Files))?;
    chdir(Path::new(std::ffi::OsStr::from_bytes(&order.cwd))).map_err(at(Stage::Cwd))?;
    inherited::restore();
    if let Some(mask) = order.identity.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    for (resource, limit) in &order.identity.limits {
        set_limit(*resource, *limit).map_err(at(Stage::Limits))?;
    }
    if let Some(nice) = order.identity.nice {
        // SAFETY: a plain system call on this process.
        let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
        Errno::result(result).map_err(at(Stage::Priority))?;
    }
    if let Some(adjust) = order.identity.oom_score_adj {
        fs::write("/proc/self/oom_score_adj", adjust.to_string()).map_err(|error| (Stage::Oom, errno_of(&error)))?;
    }
    if let Some((user, group, groups)) = &order.identity.user {
        let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        become_user(Uid::from_raw(*user), Gid::from_raw(*group), &groups).map_err(at(Stage::User))?;
    }
    // If the parent died before it recorded this process, no service is started.
    if !matches!(nix::unistd::read(report, &mut [0]), Ok(1)) {
        sys::exit_now(126);
    }
    if !order.writable.is_empty() {
        landlock::restrict(&order.writable).map_err(at(Stage::Confinement))?;
    }
    exec(order, child.env, child.sockets.len()).map_err(at(Stage::Exec))
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Resets all signals to the state after a login: none blocked, none ignored, including SIGPIPE.
///
/// This calls the kernel directly, because the C library reserves two signals for itself (32 and 33), and a `core`
/// that was itself started by the library's `posix_spawn` may have inherited them ignored.
fn signals() -> Result<(), Errno> {
    /// The kernel's `struct sigaction`, all zero: the default action. No Linux has a larger one.
    const DEFAULT: [u64; 4] = [0; 4];
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the default action runs no code of this program, and the kernel only reads the structure. KILL and
        // STOP are refused, as they should be.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), std::ptr::null::<u64>(), SIGNAL_SET_BYTES);
        };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// The service gets descriptors 0 to 2, its sockets from 3 on, its lock after them, and nothing else.
fn descriptors(child: &Child<'_>) -> Result<(), Errno> {
    let count = RawFd::try_from(child.sockets.len()).unwrap_or(0);
    let above = child.above();
    let null = {
        // Closed here: its number may be that of a target.
        let opened = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDONLY, Mode::empty())?;
        sys::move_up(opened.as_raw_fd(), above)?
    };
    let moved: Vec<OwnedFd> = [null.as_raw_fd(), child.output[0], child.output[1]]
        .into_iter()
        .chain(child.sockets.iter().copied())
        .chain([child.lock])
        .map(|fd| sys::move_up(fd, above))
        .collect::<Result<_, _>>()?;
    for (target, fd) in (0..).zip(&moved) {
        // SAFETY: this child does not need the targets any more; nothing in it uses them as a Rust value again.
        Errno::result(unsafe { libc::dup2(fd.as_raw_fd(), target) })?;
    }
    sys::close_on_exec_from(FIRST_SOCKET + count + 1)
}

/// Becomes a user permanently. May be called after a fork: it only makes system calls.
///
/// # Errors
/// The error of the kernel.
pub fn become_user(user: Uid, group: Gid, groups: &[Gid]) -> Result<(), Errno> {
    setgroups(groups)?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)
}

/// Sets a soft and hard resource limit. May be called after a fork, as above.
///
/// # Errors
/// The error of the kernel.
pub fn set_limit(resource: u32, limit: u64) -> Result<(), Errno> {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the pointer is to a live value.
    Errno::result(unsafe { libc::setrlimit(resource, &raw const limit) }).map(drop)
}

fn exec(order: &Start, env: &[Vec<u8>], sockets: usize) -> Result<Never, Errno> {
    let c_string = |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno::EINVAL);
    let args: Vec<CString> = order.args.iter().map(|arg| c_string(arg)).collect::<Result<_, _>>()?;
    let path = env.iter().find_map(|one| one.strip_prefix(b"PATH=")).unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    let mut env: Vec<CString> = env.iter().map(|one| c_string(one)).collect::<Result<_, _>>()?;
    if sockets > 0 {
        // The variables that sd_listen_fds(3) reads; the PID is only known here.
        env.push(c_string(format!("LISTEN_PID={}", std::process::id()).as_bytes())?);
        env.push(c_string(format!("LISTEN_FDS={sockets}").as_bytes())?);
        env.push(c_string(format!("LISTEN_FDNAMES={}", order.sockets.join(":")).as_bytes())?);
    }
    if order.program.contains(&b'/') {
        return execve(&c_string(&order.program)?, &args, &env).map(|never| match never {});
    }
    // A name is looked up in the PATH of the service like in a shell: a file that may not be executed is remembered,
    // and the search continues.
    let mut answer = Errno::ENOENT;
    for folder in path.split(|byte| *byte == b':') {
        let folder: &[u8] = if folder.is_empty() { b"." } else { folder };
        let candidate = c_string(&[folder, b"/", &order.program].concat())?;
        match execve(&candidate, &args, &env) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(Errno::EACCES) => answer = Errno::EACCES,
            Err(other) => return Err(other),
            Ok(never) => match never {},
        }
    }
    Err(answer)
}
