//! Where the releases of a service land: one at a time, across all processes of the machine.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use core_engine::folder::release_of;
use core_stack::{Building, Wanted};
use nix::fcntl::Flock;
use nix::unistd::syncfs;

use super::choose::{PENDING, UNPREPARED};
use super::prune::LOCK;
use super::{Deployer, Finish, compress, dates, pool, public};
use crate::binaries::modes::is_open_but;
use crate::binaries::{Progress, Scratch, lock_file};
use crate::paths::Paths;
use crate::trust::Trust;

/// The folder of the releases of a service, locked.
pub(super) struct Home {
    pub(super) path: PathBuf,
    trust: Trust,
    /// Nobody else has it, until this is dropped.
    _turn: Flock<File>,
}

impl Home {
    /// Makes the folder, and waits until nobody else makes a release in it.
    pub(super) async fn open(paths: &Paths, service: &str) -> Result<Self, String> {
        let path = paths.releases().join(service);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(&path).map_err(failed)?;
        let trust = Trust::of(&paths.root);
        for above in [&paths.releases(), &path] {
            let checked = fs::metadata(above).map_err(failed)?;
            if let Err(open) = trust.check(&checked) {
                let shown = paths.shown(above);
                return Err(format!("{shown} {}: {} {shown}, and delete what is in it", open.what, open.remedy));
            }
        }
        let turn = lock_file(&path.join(LOCK)).await?;
        // What is left was killed: nobody else makes one now.
        sweep(&path);
        Ok(Self { path, trust, _turn: turn })
    }

    pub(super) fn has_landed(&self, paths: &Paths, id: &str) -> bool {
        let target = self.path.join(id);
        target.is_dir() && !target.join(PENDING).exists() && !is_open_but(&target, &paths.data(), &self.trust)
    }

    /// Makes a release, unless it has landed.
    pub(super) async fn make(
        &self,
        paths: &Paths,
        folder: &str,
        wanted: &Wanted,
        deployer: &Deployer,
        progress: &Progress,
    ) -> Result<(), String> {
        let (_, id) = release_of(folder).unwrap_or_default();
        if self.has_landed(paths, id) {
            return Ok(());
        }
        let part = self.part(id)?;
        let landing = part.path().join("landing");
        super::build(paths, folder, wanted, (part.path(), &landing), deployer, progress).await?;
        self.land(&landing, id, &wanted.building)?;
        self.compress().await;
        Ok(())
    }

    /// Makes the compressed copies of what the edge serves.
    pub(super) async fn compress(&self) {
        for folder in [pool::POOL, public::PUBLIC] {
            compress::compress(&self.path.join(folder)).await;
        }
    }

    /// Does what is left to do with a release that has landed. One that may not serve then is deleted, if it is new.
    pub(super) async fn finish(&self, service: &str, id: &str, finish: Option<&impl Finish>) -> Result<(), String> {
        let release = self.path.join(id);
        let pending = release.join(PENDING);
        let unprepared = release.join(UNPREPARED);
        let failed = |error: io::Error| format!("{}: {error}", release.display());
        let Some(finish) = finish else {
            // Nobody switches to it now.
            if pending.exists() {
                fs::rename(pending, unprepared).map_err(failed)?;
                pool::sync(&self.path, None);
            }
            return sync(&release).map_err(failed);
        };
        let done = finish.finish(service, id).await;
        if done.is_ok() {
            let was_left_out = unprepared.exists();
            for mark in [pending, unprepared].iter().filter(|mark| mark.exists()) {
                fs::remove_file(mark).map_err(failed)?;
            }
            if was_left_out {
                pool::sync(&self.path, None);
            }
            return sync(&release).map_err(failed);
        }
        if pending.exists() {
            let _ = fs::remove_dir_all(release);
            pool::sync(&self.path, None);
            public::clear(&self.path);
        }
        done
    }

    /// A folder in which a release is made, which is deleted in the end.
    pub(super) fn part(&self, id: &str) -> Result<Scratch, String> {
        Scratch::new(self.path.join(format!(".part-{id}")))
    }

    /// Puts a release in its place.
    pub(super) fn land(&self, landing: &Path, id: &str, building: &Building) -> Result<(), String> {
        let target = self.path.join(id);
        if building.prepares_switch() {
            fs::write(landing.join(PENDING), "").map_err(|error| format!("{}: {error}", target.display()))?;
        }
        let _ = fs::remove_dir_all(&target);
        dates::keep(&self.path, landing);
        public::make(&self.path, landing, id);
        // What is named as the wanted one must be whole after a power cut.
        let landed = File::open(landing)
            .and_then(|folder| syncfs(folder).map_err(io::Error::from))
            .and_then(|()| fs::rename(landing, &target))
            .and_then(|()| sync(&self.path));
        landed.map_err(|error| format!("{} cannot land: {error}", target.display()))?;
        pool::sync(&self.path, Some(id));
        Ok(())
    }
}

/// Writes down which names a folder has.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Deletes what builds left that were killed. The lock of the service is held.
fn sweep(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let is_part = entry.file_name().to_string_lossy().starts_with(".part-");
        if is_part || entry.path().join(PENDING).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
