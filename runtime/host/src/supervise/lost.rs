//! A run folder that is taken away under those who live in it (a login that ends, a cleaner): noticed at once, and made
//! anew. What has its descriptors open goes on meanwhile.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Supervisor;
use crate::{descriptors, edge, run_folder};

/// How long shims may take to say that they are there.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often one tries again where it cannot be made.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Tells when something goes from a run folder. Nothing wakes up for it before.
pub(super) struct Lost {
    fd: AsyncFd<OwnedFd>,
    /// The folder is gone, and could not be made anew.
    is_pending: bool,
}

impl Lost {
    pub(super) fn of(run: &Path) -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&fd, run, WatchFlags::DELETE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF)?;
        // SAFETY: the descriptor is owned by what is registered, and closed only with it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Self { fd, is_pending: false })
    }

    /// Waits until something has gone, or until it is time to try again.
    async fn next(&self) {
        if self.is_pending {
            tokio::time::sleep(TRY_AGAIN).await;
            return;
        }
        let Ok(mut ready) = self.fd.readable().await else { return std::future::pending().await };
        let mut buffer = [0_u8; 4096];
        while ready.try_io(|fd| rustix::io::read(fd.get_ref(), &mut buffer).map_err(io::Error::from)).is_ok() {}
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
        let (socket, pointers) = (self.paths.socket(), self.paths.edge());
        if socket.exists() && pointers.is_dir() {
            return;
        }
        let restored = descriptors::with_reserve(|| self.make_run_folder());
        match &restored {
            Ok(()) => crate::say("the run folder was taken away; it is made anew"),
            Err(error) => crate::say(&format!("the run folder was taken away, and cannot be made anew: {error}")),
        }
        match (restored.and_then(|()| Lost::of(&self.paths.run)), lost) {
            (Ok(anew), lost) => *lost = Some(anew),
            (Err(_), Some(lost)) => lost.is_pending = true,
            (Err(_), None) => {}
        }
    }

    fn make_run_folder(&self) -> io::Result<()> {
        run_folder::restore(&self.paths.run)?;
        run_folder::make_passable(&self.paths.edge())?;
        self.paths.write_down()?;
        // The edge first: it reads them at every request.
        self.tables.values().try_for_each(|table| edge::write(&self.paths.edge(), table))?;
        let listener = self.server.open()?;
        tokio::task::spawn_local(self.server.clone().serve(listener));
        self.keeper.be_found();
        self.shims.ask_all(PATIENCE);
        Ok(())
    }
}
