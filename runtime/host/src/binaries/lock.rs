//! `manifests/dep.lock.json`: what was downloaded, so that the next machine gets the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::choose::platform;
use crate::files;

/// The contents of the lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    /// Version of the format.
    pub version: u32,
    /// The entries, by binary, then by platform (`linux-x86_64`).
    pub binaries: BTreeMap<String, BTreeMap<String, Entry>>,
}

/// What was downloaded for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Kind of the source: `url`, `pypi`, …
    pub source: String,
    /// Version of the binary.
    pub version: String,
    /// Name of the downloaded file.
    pub file: String,
    /// SHA-256 of that file, in hexadecimal digits.
    pub sha256: String,
}

impl LockFile {
    /// Reads the file; if it does not exist, the result is empty.
    ///
    /// # Errors
    /// The file cannot be read or is invalid.
    pub fn read(path: &Path) -> Result<Self, String> {
        match files::read_text(path) {
            Ok(text) => {
                let lock: Self = serde_json::from_str(&text)
                    .map_err(|error| format!("manifests/dep.lock.json is broken: {error}; restore it, or delete it"))?;
                if lock.version == 1 {
                    Ok(lock)
                } else {
                    Err(format!("manifests/dep.lock.json has version {}, this core knows 1", lock.version))
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { version: 1, binaries: BTreeMap::new() }),
            Err(error) => Err(format!("manifests/dep.lock.json cannot be read: {error}")),
        }
    }

    /// The entry of a binary on this platform.
    pub fn entry(&self, binary: &str) -> Option<&Entry> {
        self.binaries.get(binary)?.get(&platform())
    }

    /// Checks a download against its entry; adds an entry if this platform has none.
    ///
    /// # Errors
    /// The download differs from its entry, or the file cannot be read or written.
    pub fn verify_or_add(path: &Path, binary: &str, entry: &Entry) -> Result<(), String> {
        let _turn = take_turn(path).map_err(|error| format!("manifests/dep.lock.json cannot be locked: {error}"))?;
        let mut lock = Self::read(path)?;
        let platforms = lock.binaries.entry(binary.to_owned()).or_default();
        match platforms.get(&platform()) {
            // Another version is a new choice of the manifest, which the operator has to lock.
            Some(locked) if locked.version == entry.version && locked.source == entry.source => {
                if locked.sha256 == entry.sha256 {
                    return Ok(());
                }
                return Err(format!(
                    "{} has SHA-256 {}, the lock file says {}; if the new one is right: core lock --update {binary}",
                    entry.file, entry.sha256, locked.sha256
                ));
            }
            Some(locked) if locked.source == entry.source => {
                return Err(format!(
                    "the manifest asks for version {} of {binary}, the lock file holds {}: core lock --update {binary}",
                    entry.version, locked.version
                ));
            }
            // Another source: not the file that is locked, but not a contradiction either.
            Some(_) => return Ok(()),
            None => {}
        }
        platforms.insert(platform(), entry.clone());
        lock.write(path)
    }

    /// Removes the entry of a binary on this platform, and returns it.
    ///
    /// # Errors
    /// The file is invalid, or cannot be written.
    pub fn forget(path: &Path, binary: &str) -> Result<Option<Entry>, String> {
        let _turn = take_turn(path).map_err(|error| format!("manifests/dep.lock.json cannot be locked: {error}"))?;
        let mut lock = Self::read(path)?;
        let entry = lock.binaries.get_mut(binary).and_then(|platforms| platforms.remove(&platform()));
        if entry.is_some() {
            lock.binaries.retain(|_, platforms| !platforms.is_empty());
            lock.write(path)?;
        }
        Ok(entry)
    }

    /// Writes a second file and renames it, so that no reader sees half a file.
    fn write(&self, path: &Path) -> Result<(), String> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        text.push('\n');
        let beside = path.with_extension("json.new");
        let write = || fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
        write().map_err(|error| format!("manifests/dep.lock.json cannot be written: {error}"))
    }
}

/// Downloads may end at the same time, also those of `core SERVICE run`; they add their entries one after the other.
/// The lock is on the folder, because each write replaces the file.
fn take_turn(path: &Path) -> io::Result<Flock<File>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    Flock::lock(File::open(folder)?, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: &str, sha256: &str) -> Entry {
        Entry { source: "pypi".into(), version: version.into(), file: "x.whl".into(), sha256: sha256.into() }
    }

    #[test]
    fn the_first_fetch_is_locked_and_another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifests/dep.lock.json");
        assert_eq!(LockFile::verify_or_add(&path, "x", &entry("1", "aa")), Ok(()));
        assert_eq!(LockFile::verify_or_add(&path, "x", &entry("1", "aa")), Ok(()));
        assert!(LockFile::verify_or_add(&path, "x", &entry("1", "bb")).unwrap_err().contains("core lock --update x"));
        assert!(LockFile::verify_or_add(&path, "x", &entry("2", "aa")).unwrap_err().contains("the lock file holds 1"));
        fs::write(&path, "{").unwrap();
        assert!(LockFile::verify_or_add(&path, "x", &entry("1", "aa")).unwrap_err().contains("is broken"));
    }
}
