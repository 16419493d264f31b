//! Data is never in a release: what a manifest names in `config.persist` is a link to `.data/<service>`, filled the first
//! time from what ships with the app.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use core_stack::Building;

use crate::paths::Paths;
use crate::users;

/// What a database writes beside its file.
const BESIDE_A_DATABASE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What persists of an app, and where.
pub(super) struct Persist<'a> {
    /// The paths, relative to the folder of the app; one that ends in `/` is a folder.
    pub(super) paths: &'a [String],
    /// `.data/<service>`.
    pub(super) data: PathBuf,
    /// The user that the service runs as, if the manifest names one.
    pub(super) user: Option<&'a str>,
}

impl<'a> Persist<'a> {
    /// What persists of a service.
    pub(super) fn of(paths: &Paths, service: &str, building: &'a Building) -> Self {
        Self { paths: &building.persist, data: paths.data().join(service), user: building.user.as_deref() }
    }

    /// Puts links into the folder `home` of a release that has not landed; `shipped` is the folder of the app in the copy
    /// that was built, and `landed` where `home` will be. Returns what was copied, a line each.
    ///
    /// # Errors
    /// A path that is not one below the app, or what the file system says.
    pub(super) fn link(&self, shipped: &Path, home: &Path, landed: &Path) -> Result<Vec<String>, String> {
        let mut said = Vec::new();
        for written in self.paths {
            let path = below(written)?;
            let failed = |error: io::Error| format!("config.persist: {written}: {error}");
            let kept = self.data.join(&path);
            self.make(kept.parent().unwrap_or(&self.data)).map_err(failed)?;
            if fs::symlink_metadata(&kept).is_err() {
                if shipped.join(&path).exists() {
                    self.fill(&shipped.join(&path), &kept).map_err(failed)?;
                    said.push(format!("{written}: copied from the app's folder, to begin with"));
                } else if written.ends_with('/') {
                    self.make(&kept).map_err(failed)?;
                }
            }
            let link = home.join(&path);
            if let Some(parent) = link.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            if fs::symlink_metadata(&link).is_ok_and(|meta| meta.is_dir()) {
                fs::remove_dir_all(&link).map_err(failed)?;
            } else if fs::symlink_metadata(&link).is_ok() {
                fs::remove_file(&link).map_err(failed)?;
            }
            symlink(way(landed.join(&path).parent().unwrap_or(landed), &kept), &link).map_err(failed)?;
        }
        Ok(said)
    }

    /// Copies what ships with the app; of a database, also what it wrote beside its file.
    fn fill(&self, from: &Path, to: &Path) -> io::Result<()> {
        if from.is_dir() {
            self.make(to)?;
            for entry in fs::read_dir(from)?.flatten() {
                self.fill(&entry.path(), &to.join(entry.file_name()))?;
            }
            return Ok(());
        }
        let with = |path: &Path, ending: &str| {
            let mut all = path.as_os_str().to_owned();
            all.push(ending);
            PathBuf::from(all)
        };
        for ending in BESIDE_A_DATABASE.into_iter().chain([""]) {
            let (from, to) = (with(from, ending), with(to, ending));
            if from.is_file() {
                fs::copy(&from, &to)?;
                self.give(&to)?;
            }
        }
        Ok(())
    }

    /// Makes a folder of the service, private to it.
    fn make(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent().filter(|parent| parent.starts_with(&self.data)) {
            self.make(parent)?;
        } else if let Some(parent) = folder.parent() {
            DirBuilder::new().recursive(true).mode(0o711).create(parent)?;
        }
        DirBuilder::new().mode(0o700).create(folder)?;
        self.give(folder)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        match self.user.map(users::user) {
            Some(Ok(user)) => lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
            _ => Ok(()),
        }
    }
}

/// A path of `config.persist`, which has to stay below the folder of the app.
fn below(written: &str) -> Result<PathBuf, String> {
    let path: PathBuf = Path::new(written).components().filter(|part| *part != Component::CurDir).collect();
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
    if path.as_os_str().is_empty() || !is_below {
        return Err(format!("config.persist: {written} is not a path below the app's folder"));
    }
    Ok(path)
}

/// The way from a folder to a path, so that a stack may be moved.
fn way(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_persists_is_one_place_for_all_releases() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (shipped, data) = (root.join("work"), root.join(".data/web"));
        fs::create_dir_all(shipped.join("uploads/a")).unwrap();
        for (name, text) in [("db.sqlite", "one"), ("db.sqlite-wal", "wal"), ("uploads/a/b", "b")] {
            fs::write(shipped.join(name), text).unwrap();
        }
        let paths = ["./db.sqlite".to_owned(), "uploads/".into(), "cache/new/".into(), "later.db".into()];
        let persist = Persist { paths: &paths, data: data.clone(), user: None };
        let release = |name: &str| {
            let (home, landed) = (root.join(".part"), root.join(".releases/web").join(name).join("server"));
            fs::create_dir_all(home.join("uploads")).unwrap();
            fs::write(home.join("db.sqlite"), "traced").unwrap();
            let said = persist.link(&shipped, &home, &landed).unwrap();
            fs::create_dir_all(landed.parent().unwrap()).unwrap();
            fs::rename(&home, &landed).unwrap();
            (landed, said)
        };
        let (first, said) = release("1");
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(fs::read_to_string(data.join("db.sqlite-wal")).unwrap(), "wal");
        for (name, text) in [("db.sqlite", "two"), ("uploads/c", "c"), ("cache/new/d", "d"), ("later.db", "new")] {
            fs::write(first.join(name), text).unwrap();
        }
        let (second, said) = release("2");
        assert_eq!(said, [""; 0], "filled once");
        for (name, text) in [("db.sqlite", "two"), ("uploads/a/b", "b"), ("uploads/c", "c"), ("cache/new/d", "d")] {
            assert_eq!(fs::read_to_string(second.join(name)).unwrap(), text, "{name}");
        }
        assert_eq!(fs::read_to_string(data.join("later.db")).unwrap(), "new");
        for bad in ["/etc", "../x", "a/../../x", ".", ""] {
            assert!(below(bad).is_err(), "{bad}");
        }
    }
}
