//! Notices at once if the run folder is removed while the stack runs (by a logout, by a cleaner), and creates it again.
//! Processes with open descriptors keep working meanwhile. At the end of the stack, the folder is removed.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::Supervisor;
use crate::{descriptors, roles, run_folder, shims};

/// How long shims may take to answer that they are alive.
const PATIENCE: Duration = Duration::from_millis(1500);
/// When to look again after creating it, or failing to: the removal may still be in progress.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Reports removals from a run folder. It causes no wakeups otherwise.
pub(super) struct Lost {
    fd: AsyncFd<OwnedFd>,
    /// When to check again, in detail.
    again_at: Option<Instant>,
}

impl Lost {
    pub(super) fn of(run: &Path) -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&fd, run, WatchFlags::DELETE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF)?;
        // SAFETY: the registered value owns the descriptor, and closes it only when dropped.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Self { fd, again_at: None })
    }

    /// Waits until something was removed, or until it is time to check again.
    async fn next(&self) {
        let gone = async {
            let Ok(mut ready) = self.fd.readable().await else { return std::future::pending().await };
            let mut buffer = [0_u8; 4096];
            while ready.try_io(|fd| rustix::io::read(fd.get_ref(), &mut buffer).map_err(io::Error::from)).is_ok() {}
        };
        match self.again_at {
            Some(at) => {
                let _ = tokio::time::timeout_at(at, gone).await;
            }
            None => gone.await,
        }
    }
}

/// Waits until something is removed from the run folder; forever if that cannot be watched.
pub(super) async fn next(lost: Option<&Lost>) {
    match lost {
        Some(lost) => lost.next().await,
        None => std::future::pending().await,
    }
}

impl Supervisor {
    /// Handles a removal from the run folder: usually an instance's folder, sometimes the run folder itself.
    pub(super) fn look_for_run_folder(&mut self, lost: &mut Option<Lost>) {
        let is_close = lost.as_ref().and_then(|lost| lost.again_at).is_some_and(|at| at <= Instant::now());
        if self.has_run_folder(is_close) {
            if let Some(lost) = lost.as_mut().filter(|_| is_close) {
                lost.again_at = None;
            }
            return;
        }
        let restored = descriptors::with_reserve(|| self.make_run_folder());
        match &restored {
            Ok(()) => tracing::warn!("the run folder was removed; it is created again"),
            Err(error) => tracing::error!("the run folder was removed, and cannot be created again: {error}"),
        }
        // The new folder is watched from now on.
        if let Some(anew) = restored.ok().and_then(|()| Lost::of(&self.paths.run).ok()) {
            *lost = Some(anew);
        }
        if let Some(lost) = lost {
            lost.again_at = Some(Instant::now() + LOOK_AGAIN);
        }
    }

    /// Whether the paths by which clients find us exist; in a detailed check, also the sockets of all shims.
    fn has_run_folder(&self, is_close: bool) -> bool {
        let run = &self.paths.run;
        // A keeper of the first releases cannot create its file again.
        let has_keeper = run.join("keeper").exists() || !self.keeper.answers();
        let is_there = self.paths.socket().exists() && self.paths.edge().is_dir() && has_keeper;
        is_there && (!is_close || self.shims.are_found())
    }

    fn make_run_folder(&self) -> io::Result<()> {
        run_folder::restore(&self.paths.run)?;
        run_folder::make_passable(&self.paths.edge())?;
        self.paths.write_down()?;
        // The edge first: it reads the pointers at every request.
        self.engine.route_tables().iter().try_for_each(|table| self.write_pointers(table))?;
        self.hang_up_bell();
        self.admit_people();
        self.engine.roles().try_for_each(|(instance, role)| roles::write(&self.paths.run, instance, role))?;
        if !self.paths.socket().exists() {
            let listener = self.server.open()?;
            tokio::task::spawn_local(self.server.clone().serve(listener));
        }
        self.keeper.be_found();
        self.shims.ask_all(PATIENCE);
        Ok(())
    }

    /// Removes the run folder's contents at the end of the stack. If something must stay, it must also be found again.
    pub(super) fn leave(&self) {
        let run = &self.paths.run;
        let mut is_empty = true;
        for instance in crate::run_folder::instances(run) {
            is_empty &= shims::stray::take_away(&run.join(instance.to_string()));
        }
        if !is_empty {
            return;
        }
        for entry in std::fs::read_dir(run).into_iter().flatten().flatten() {
            // The keeper's lock file is removed by the keeper.
            if entry.file_name() == "keeper" {
                continue;
            }
            let path = entry.path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
        let _ = std::fs::remove_file(self.paths.state().join("run"));
    }
}
