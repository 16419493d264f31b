//! A run folder that is taken away under those who live in it (a login that ends, a cleaner): noticed at once, and made
//! anew. What has its descriptors open goes on meanwhile. At the end of the stack it goes.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::Supervisor;
use crate::{descriptors, edge, run_folder, shims};

/// How long shims may take to say that they are there.
const PATIENCE: Duration = Duration::from_millis(1500);
/// When one looks again after it was made anew, or could not be: whoever takes it away may not be done yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Tells when something goes from a run folder. Nothing wakes up for it before.
pub(super) struct Lost {
    fd: AsyncFd<OwnedFd>,
    /// When one looks again, closely.
    again_at: Option<Instant>,
}

impl Lost {
    pub(super) fn of(run: &Path) -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&fd, run, WatchFlags::DELETE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF)?;
        // SAFETY: the descriptor is owned by what is registered, and closed only with it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Self { fd, again_at: None })
    }

    /// Waits until something has gone, or until it is time to look again.
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

/// Waits until something goes from the run folder, where one can know.
pub(super) async fn next(lost: Option<&Lost>) {
    match lost {
        Some(lost) => lost.next().await,
        None => std::future::pending().await,
    }
}

impl Supervisor {
    /// Something went from the run folder: most often an instance, and at times the folder itself.
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
        // Another folder is watched from now on.
        if let Some(anew) = restored.ok().and_then(|()| Lost::of(&self.paths.run).ok()) {
            *lost = Some(anew);
        }
        if let Some(lost) = lost {
            lost.again_at = Some(Instant::now() + LOOK_AGAIN);
        }
    }

    /// Whether what leads to us is there; looked at closely, to every shim, too.
    fn has_run_folder(&self, is_close: bool) -> bool {
        let run = &self.paths.run;
        // An older keeper does not know how to be found again.
        let has_keeper = run.join("keeper").exists() || !self.keeper.answers();
        let is_there = self.paths.socket().exists() && self.paths.edge().is_dir() && has_keeper;
        is_there && (!is_close || self.shims.are_found())
    }

    fn make_run_folder(&self) -> io::Result<()> {
        run_folder::restore(&self.paths.run)?;
        run_folder::make_passable(&self.paths.edge())?;
        self.paths.write_down()?;
        // The edge first: it reads them at every request.
        self.engine.route_tables().iter().try_for_each(|table| edge::write(&self.paths.edge(), table))?;
        if !self.paths.socket().exists() {
            let listener = self.server.open()?;
            tokio::task::spawn_local(self.server.clone().serve(listener));
        }
        self.keeper.be_found();
        self.shims.ask_all(PATIENCE);
        Ok(())
    }

    /// Nothing is left: what was ours goes too. Where something has to stay, whoever looks next must find it.
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
            // The keeper's own lock goes with the keeper.
            if entry.file_name() == "keeper" {
                continue;
            }
            let path = entry.path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
        let _ = std::fs::remove_file(self.paths.state().join("run"));
    }
}
