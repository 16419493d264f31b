//! The start of an invocation in the shim.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, send, shutdown, socketpair};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::Shim;
use super::callers::Listener;
use super::notify::with_address;
use crate::cgroup::Cgroup;
use crate::exec::{Child, Stage, become_service};
use crate::guard;
use crate::place::{OWN, Stream};
use crate::pump::{Pump, Target};
use crate::record::Invocation;
use crate::sys::{self, Forked};
use crate::wire::{Life, Report, Start};

/// Why a start failed: the stage, the error number, and what it concerned.
pub(super) struct Failed {
    pub(super) stage: &'static str,
    pub(super) errno: i32,
    pub(super) detail: String,
}

/// Flags for opening a folder that must not be a link.
const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW);
/// How long an earlier shim may take to release its lock, in nanoseconds: it was told to exit, or has died.
const LEAVING_NS: u64 = 1_000_000_000;
/// The byte that a child waits for before it becomes the service.
const GO: u8 = 1;
/// How often sending it is tried.
const TRIES: usize = 3;
/// Pause before the lock is tried again, in milliseconds.
const LOOK_AGAIN_MS: u16 = 2;

impl Failed {
    /// The error number; 0 if there is none.
    pub(super) fn errno(&self) -> i32 {
        self.errno
    }

    /// The stage, and what it concerned.
    pub(super) fn words(&self) -> String {
        let Self { stage, detail, .. } = self;
        if detail.is_empty() { (*stage).to_owned() } else { format!("{stage}: {detail}") }
    }

    pub(super) fn io(stage: &'static str, detail: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let detail = detail.into();
        move |error| {
            let errno = error.raw_os_error().unwrap_or(0);
            let detail = if errno == 0 { format!("{detail}: {error}") } else { detail };
            Self { stage, errno, detail }
        }
    }
}

impl Shim {
    pub(super) fn start(&mut self, order: &Start, fds: Vec<OwnedFd>) {
        let busy = !self.is_idle();
        let result = if busy {
            Err(Failed { stage: "guard", errno: 0, detail: format!("invocation {} lives", self.number) })
        } else {
            self.try_start(order, fds)
        };
        match result {
            Ok(pid) => self.tell(&Report::Started { number: order.number, pid }),
            Err(Failed { stage, errno, detail }) => {
                if !busy {
                    self.number = order.number;
                    self.life = Life::Idle;
                }
                self.tell(&Report::StartFailed { number: order.number, stage: stage.to_owned(), errno, detail });
            }
        }
    }

    fn try_start(&mut self, order: &Start, fds: Vec<OwnedFd>) -> Result<u32, Failed> {
        if fds.len() != order.sockets.len() {
            let detail = format!("{} sockets were named, {} came", order.sockets.len(), fds.len());
            return Err(Failed { stage: "sockets", errno: 0, detail });
        }
        let owner = order.identity.user.as_ref().map(|(user, group, _)| (*user, *group));
        self.prepare_place(owner)?;
        let lock =
            guard::open_lock(&self.place).map_err(Failed::io("lock", self.place.lock().display().to_string()))?;
        let alone = guard::try_lock(&lock).map_err(Failed::io("lock", self.place.lock().display().to_string()))?;
        if !alone {
            let detail = "something that inherited the lock of an earlier invocation lives".to_owned();
            return Err(Failed { stage: "guard", errno: 0, detail });
        }
        if !self.is_clean {
            guard::check(&self.place).map_err(|detail| Failed { stage: "guard", errno: 0, detail })?;
        }
        self.fill_folder(order).map_err(Failed::io("run folder", self.run_folder().display().to_string()))?;
        self.make_cgroup();
        self.cgroup = self.cgroup.take().and_then(|cgroup| cgroup.anew().ok());
        self.number = order.number;
        self.note.clone_from(&order.note);
        self.sockets = order.sockets.iter().cloned().zip(fds).collect();
        let folder = PathBuf::from(std::ffi::OsStr::from_bytes(&order.log.folder));
        for pump in &mut self.pumps {
            pump.aim(Target {
                folder: folder.clone(),
                prefix: order.log.prefix.clone(),
                segment_bytes: order.log.segment_bytes,
            });
        }
        let mut record = Invocation {
            number: order.number,
            mark: order.mark.clone(),
            note: order.note.clone(),
            boot: sys::boot_id().to_owned(),
            pid: 0,
            start_ticks: 0,
            pidfd_inode: 0,
            wall_ns: sys::wall_ns(),
            log_folder: folder.display().to_string(),
            log_prefix: order.log.prefix.clone(),
            segment_bytes: order.log.segment_bytes,
            notify: String::new(),
        };
        let record_path = self.place.invocation();
        self.notifier = None;
        let mut env = None;
        if order.notifies {
            record.notify = self.listen_to(owner).map_err(Failed::io("notify socket", ""))?;
            env = Some(with_address(&order.env, &record.notify));
        }
        // The intent is recorded first: a process with this mark can then always be assigned to its invocation.
        record.write(&record_path).map_err(Failed::io("record", record_path.display().to_string()))?;
        self.is_clean = false;
        self.is_daemon = order.is_daemon;
        let pid = self.fork(order, env.as_ref().unwrap_or(&order.env), lock.as_raw_fd(), |pid| {
            record.pid = pid;
            (record.start_ticks, record.pidfd_inode) = sys::identity(pid).unwrap_or_default();
            let _ = record.write(&record_path);
        })?;
        // The shim's copy of the lock is closed; the service keeps its own.
        drop(lock);
        self.begun = Some(record);
        self.life = Life::Running { pid };
        self.leader = pid;
        self.ended = None;
        Ok(pid)
    }

    /// If the place was removed while the service runs, creates the socket and the record again. Not the pipes: a pipe
    /// without a name keeps working between the two that have it open, but not for a shim that takes over.
    pub(super) fn be_found(&mut self) {
        let socket = self.place.socket();
        if self.is_idle() || self.listener.as_ref().is_none_or(|listener| listener.is_found_at(&socket)) {
            return;
        }
        let own = self.place.own().to_owned();
        let made = own.parent().map_or(Ok(()), make_folder).and_then(|()| make_folder(&own));
        if made.is_err() {
            return;
        }
        if let Ok(lock) = self.lock_place() {
            self.lock = Some(lock);
            self.listener = Listener::open(&socket).ok();
            if let Some(record) = &self.begun {
                let _ = record.write(&self.place.invocation());
            }
        }
    }

    /// Creates the folders, the lock, the socket and the pipes, unless they exist.
    pub(super) fn prepare_place(&mut self, owner: Option<(u32, u32)>) -> Result<(), Failed> {
        if self.lock.is_some() && self.place.shim_lock().exists() {
            let has_pipes = Stream::BOTH.into_iter().all(|stream| guard::is_fifo(&self.place.fifo(stream)));
            if !self.pumps.is_empty() && has_pipes {
                return Ok(());
            }
        } else {
            // It is new, or was removed: then the old socket cannot be found any more.
            (self.listener, self.lock) = (None, None);
        }
        let (folder, own) = (self.run_folder().to_owned(), self.place.own().to_owned());
        own.parent()
            .map_or(Ok(()), make_folder)
            .and_then(|()| make_folder(&folder))
            .and_then(|()| make_folder(&own))
            .map_err(Failed::io("run folder", own.display().to_string()))?;
        if self.lock.is_none() {
            self.lock = Some(self.lock_place()?);
        }
        if self.listener.is_none() {
            let path = self.place.socket();
            let listener = Listener::open(&path).map_err(Failed::io("socket", path.display().to_string()))?;
            self.listener = Some(listener);
        }
        self.pumps.clear();
        for stream in Stream::BOTH {
            let path = self.place.fifo(stream);
            let failed = || Failed::io("output", path.display().to_string());
            if !guard::is_fifo(&path) {
                mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|errno| failed()(errno.into()))?;
            }
            // Open for writing too, so that it never reports end of file, even when a service closes its output.
            let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
            let fifo = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path).map_err(failed())?;
            if let Some((user, group)) = owner {
                // Programs that reopen /dev/stdout need the permission.
                let _ = fchown(&fifo, Some(user), Some(group));
            }
            self.pumps.push(Pump::new(fifo.into(), stream));
        }
        Ok(())
    }

    /// Makes this shim the one that looks after the instance. The lock file tells its PID, in case it must be killed.
    fn lock_place(&self) -> Result<fs::File, Failed> {
        let path = self.place.shim_lock();
        let failed = || Failed::io("shim", path.display().to_string());
        let until = sys::monotonic_ns() + LEAVING_NS;
        loop {
            if let Some(mut lock) = guard::lock_at(&path).map_err(failed())? {
                let (ticks, _) = sys::identity(self.pid).unwrap_or_default();
                lock.set_len(0).map_err(failed())?;
                write!(lock, "pid {}\nstart_ticks {ticks}\n", self.pid).map_err(failed())?;
                return Ok(lock);
            }
            if sys::monotonic_ns() > until {
                let who = fs::read_to_string(&path).unwrap_or_default();
                let who = who.lines().next().unwrap_or_default().to_owned();
                let detail = format!("another shim ({who}) stands over it");
                return Err(Failed { stage: "shim", errno: 0, detail });
            }
            let _ = nix::poll::poll(&mut [], LOOK_AGAIN_MS);
        }
    }

    /// The run folder belongs to the service, and starts with only the files that its driver generates. It belongs to
    /// core until all of them are written, so that processes of the service's user cannot interfere.
    fn fill_folder(&self, order: &Start) -> io::Result<()> {
        let folder = self.run_folder();
        let opened = OpenOptions::new().read(true).custom_flags(FOLDER.bits()).open(folder)?;
        let mine = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let owner = order.identity.user.as_ref().map(|(user, group, _)| (*user, *group));
        if opened.metadata()?.uid() != mine.0 {
            fchown(&opened, Some(mine.0), Some(mine.1))?;
        }
        self.empty_folder()?;
        let mut folders = vec![opened];
        for file in &order.files {
            let path = folder.join(std::ffi::OsStr::from_bytes(&file.path));
            let below = path.parent().and_then(|parent| parent.strip_prefix(folder).ok()).unwrap_or(Path::new(""));
            let mut at = folder.to_owned();
            for part in below {
                at.push(part);
                make_folder(&at)?;
                folders.push(OpenOptions::new().read(true).custom_flags(FOLDER.bits()).open(&at)?);
            }
            let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            open.write_all(&file.contents)?;
            if let Some((user, group)) = owner {
                fchown(&open, Some(user), Some(group))?;
            }
        }
        // Innermost first: the owner of a folder may change everything below it.
        for opened in folders.iter().rev() {
            if let Some((user, group)) = owner {
                fchown(opened, Some(user), Some(group))?;
            }
        }
        Ok(())
    }

    fn empty_folder(&self) -> io::Result<()> {
        let folder = self.run_folder();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name() == OWN {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub(super) fn make_cgroup(&mut self) {
        if self.cgroup.is_none()
            && let Some(base) = &self.cgroups
        {
            self.cgroup = Cgroup::make(base, &self.instance).ok();
        }
    }

    /// Forks the service and waits until it was executed, or reports why not. It is executed once `write_down` has
    /// recorded its PID, and not at all if this shim dies before: a shim that takes over could not tell how it exited.
    fn fork(
        &mut self,
        order: &Start,
        env: &[Vec<u8>],
        lock: RawFd,
        write_down: impl FnOnce(u32),
    ) -> Result<u32, Failed> {
        let fork_failed = |errno: Errno| Failed { stage: "fork", errno: errno as i32, detail: String::new() };
        let (report, report_end) =
            socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).map_err(fork_failed)?;
        // The service's ends are also open for reading, so that its output stays usable when a shim dies.
        let mut output = Vec::new();
        for stream in Stream::BOTH {
            let path = self.place.fifo(stream);
            let end = OpenOptions::new().read(true).write(true).open(&path);
            output.push(end.map_err(Failed::io("output", path.display().to_string()))?);
        }
        let mut child = Child {
            order,
            env,
            output: [output[0].as_raw_fd(), output[1].as_raw_fd()],
            sockets: self.sockets.iter().map(|(_, fd)| fd.as_raw_fd()).collect(),
            lock,
            cgroup: None,
        };
        let into = self.cgroup.as_ref().map(Cgroup::fd);
        // SAFETY: a shim has one thread.
        let pid = match unsafe { sys::fork_into(into) }.map_err(fork_failed)? {
            Forked::Parent(pid) => pid,
            Forked::Child { entered } => {
                // If the kernel could not put the child into the cgroup, it enters by itself.
                child.cgroup = self.cgroup.as_ref().filter(|_| !entered).map(Cgroup::procs);
                drop(report);
                become_service(&child, &report_end);
            }
        };
        drop(report_end);
        write_down(pid);
        let go = || send(report.as_raw_fd(), &[GO], MsgFlags::MSG_NOSIGNAL).is_ok();
        if !(0..TRIES).any(|_| go()) {
            // Neither of the two may wait for the other, so the child is made to exit.
            let _ = shutdown(report.as_raw_fd(), Shutdown::Write);
        }
        let mut answer = Vec::new();
        let _ = fs::File::from(report).take(5).read_to_end(&mut answer);
        let [stage, errno @ ..] = answer.as_slice() else { return Ok(pid) };
        let errno = <[u8; 4]>::try_from(errno).map_or(0, i32::from_le_bytes);
        let stage = Stage::of_byte(*stage);
        // The child exits by itself; it is reaped here, so that it is not taken for the service.
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap_or(0)), None);
        let about = match stage {
            Stage::Exec => String::from_utf8_lossy(&order.program).into_owned(),
            Stage::Cwd => String::from_utf8_lossy(&order.cwd).into_owned(),
            _ => String::new(),
        };
        self.is_clean = true;
        Err(Failed { stage: stage.word(), errno, detail: about })
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
