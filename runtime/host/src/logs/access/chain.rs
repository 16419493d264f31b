//! The files of an instance of an edge: those that it has rolled, and the one that it writes.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use core_engine::ids::InstanceId;
use nix::libc;

use super::access::{ENDING, FOLDER};
use crate::paths::Paths;

/// The files of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    folder: PathBuf,
    instance: String,
}

/// A file that was opened, and what tells it from others that have had its name.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) inode: u64,
}

impl Opened {
    /// Opens a log. What is no file of its own there is another user's, and not followed.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { file, inode: meta.ino() })
    }

    pub(super) fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }
}

impl Chain {
    /// The file that is written now.
    pub(super) fn newest(&self) -> PathBuf {
        self.folder.join(format!("{}{ENDING}", self.instance))
    }

    /// All of its files, the oldest first.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut rolled: Vec<String> =
            names(&self.folder).filter(|name| instance_of(name) == Some((self.instance.as_str(), false))).collect();
        // Their names have the time at which they were rolled.
        rolled.sort();
        rolled.iter().map(|name| self.folder.join(name)).chain([self.newest()]).collect()
    }
}

/// The chains of all edges.
pub(super) fn all(paths: &Paths) -> Vec<Chain> {
    let data = paths.data();
    let services = names(&data).map(|service| (data.join(&service).join(FOLDER), service));
    let chains = services.flat_map(|(folder, service)| {
        let instances: BTreeSet<String> = of(&folder, &service).into_iter().map(|(_, instance)| instance).collect();
        instances.into_iter().map(move |instance| Chain { folder: folder.clone(), instance })
    });
    chains.collect()
}

/// The files in a folder of access logs of a service, each with its instance.
pub(super) fn of(folder: &Path, service: &str) -> Vec<(PathBuf, String)> {
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir());
    let names = is_folder.then(|| names(folder)).into_iter().flatten();
    let of_service =
        |instance: &str| instance.parse::<InstanceId>().is_ok_and(|instance| instance.service().as_str() == service);
    let one = |name: String| {
        let (instance, _) = instance_of(&name).filter(|(instance, _)| of_service(instance))?;
        Some((folder.join(&name), instance.to_owned()))
    };
    names.filter_map(one).collect()
}

/// The instance that a file is of, by its name, and whether it is the one that is written.
fn instance_of(name: &str) -> Option<(&str, bool)> {
    let stem = name.strip_suffix(ENDING)?;
    let after = stem.find('@')? + 1;
    let digits = stem[after..].bytes().take_while(u8::is_ascii_digit).count();
    let (instance, rest) = stem.split_at(after + digits);
    (rest.is_empty() || rest.starts_with('-')).then_some((instance, rest.is_empty()))
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_one_instance() {
        assert_eq!(instance_of("caddy-0@1.log"), Some(("caddy-0@1", true)));
        assert_eq!(instance_of("caddy-0@12-2026-11-28T03-56-45.000-size.log"), Some(("caddy-0@12", false)));
        assert_eq!(instance_of("caddy-0@1x.log"), None);
        assert_eq!(instance_of("caddy-0@1.log.gz"), None);
    }
}
