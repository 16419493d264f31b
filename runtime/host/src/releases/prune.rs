//! Deletes releases that nobody will go back to, and what in `.dep/` no manifest names any more.
//!
//! A release is deleted only as it landed: one with files that were not in it then may hold data, and stays.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};

use super::CACHE;
use super::choose::{CURRENT, PENDING, UNPREPARED, landed};
use super::{pool, public};
use crate::paths::Paths;

/// The list of the files of a release, as it landed.
const FILES: &str = "files";
/// Locked while a release is made.
pub(super) const LOCK: &str = ".lock";
/// The mark of a release that a person wants to keep.
pub(super) const PINNED: &str = "pinned";
/// The mark of a release that has served; its time is when it last took over.
pub(super) const SERVED: &str = "served";
/// How many releases are kept beside the live one and the one before it, if the manifest does not say.
pub(super) const KEEP: usize = 5;
/// How many releases are kept that never served.
const KEEP_UNSERVED: usize = 2;
/// How long something in `.dep/` stays that no manifest names.
const UNNAMED: Duration = Duration::from_secs(14 * 24 * 3600);

/// What is not deleted, whatever its age.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needed {
    /// Releases of the service that run or are wanted.
    pub(crate) releases: BTreeSet<String>,
    /// Folders of `.dep/` that run or are named by a manifest.
    pub(crate) dep: BTreeSet<String>,
    /// How many releases are kept, if the manifest says.
    pub(crate) keep: Option<usize>,
}

/// Writes the list of its files into the folder of a release.
///
/// # Errors
/// The error of the file system.
pub(super) fn list(release: &Path) -> io::Result<()> {
    let mut lines = Vec::new();
    collect(release, Path::new(""), &mut lines)?;
    lines.sort();
    fs::write(release.join(FILES), lines.join("\n") + "\n")
}

/// Notes that a release has taken over, and points the link `current` to it, for people. A build of an earlier version of
/// core is no release, and gets neither.
///
/// # Errors
/// The error of the file system.
pub(crate) fn mark_live(paths: &Paths, service: &str, id: &str) -> io::Result<()> {
    let home = paths.releases().join(service);
    if !home.join(id).is_dir() {
        return Ok(());
    }
    let beside = home.join(format!(".{CURRENT}"));
    let _ = fs::remove_file(&beside);
    symlink(id, &beside)?;
    fs::rename(&beside, home.join(CURRENT))?;
    fs::write(home.join(id).join(SERVED), "")
}

/// A file that was written into a release since it landed, if there is one.
pub(super) fn written(release: &Path) -> Option<PathBuf> {
    let before = fs::read_to_string(release.join(FILES)).ok()?;
    let before: BTreeSet<&str> = before.lines().collect();
    let mut now = Vec::new();
    collect(release, Path::new(""), &mut now).ok()?;
    let is_news = |line: &String| {
        let path = line.split('\t').next().unwrap_or_default();
        ![FILES, SERVED, PINNED, PENDING, UNPREPARED].contains(&path) && !before.contains(line.as_str())
    };
    let news = now.into_iter().find(is_news)?;
    Some(PathBuf::from(news.split('\t').next().unwrap_or_default()))
}

/// Each file with its size; links with where they lead.
fn collect(root: &Path, below: &Path, lines: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))?.flatten() {
        let (kind, path) = (entry.file_type()?, below.join(entry.file_name()));
        if kind.is_dir() && entry.file_name() != CACHE {
            collect(root, &path, lines)?;
        } else if kind.is_symlink() {
            lines.push(format!("{}\t{}", path.display(), fs::read_link(entry.path())?.display()));
        } else if kind.is_file() {
            lines.push(format!("{}\t{}", path.display(), entry.metadata()?.len()));
        }
    }
    Ok(())
}

/// The lock of the releases of a service, if nobody makes one now: what is being prepared to serve is not deleted.
pub(super) fn turn(paths: &Paths, service: &str) -> Option<Flock<File>> {
    let file = File::options().write(true).create(true).truncate(false).open(paths.releases().join(service).join(LOCK));
    Flock::lock(file.ok()?, FlockArg::LockExclusiveNonblock).ok()
}

/// Deletes what is old and not needed; what comes next does it while a release is being made. Returns what to tell people,
/// a line each.
pub(crate) fn prune(paths: &Paths, service: &str, needed: &Needed) -> Vec<String> {
    let Some(_turn) = turn(paths, service) else { return Vec::new() };
    let home = paths.releases().join(service);
    let time = |id: &String| fs::metadata(home.join(id).join(SERVED)).and_then(|meta| meta.modified()).ok();
    let (mut served, mut unserved): (Vec<String>, Vec<String>) =
        landed(paths, service).into_iter().partition(|id| time(id).is_some());
    served.sort_by_key(|id| std::cmp::Reverse(time(id)));
    unserved.reverse();
    // The live one and the one before it are kept in any case.
    let old = served.into_iter().skip(2 + needed.keep.unwrap_or(KEEP));
    let old: Vec<String> = old.chain(unserved.into_iter().skip(KEEP_UNSERVED)).collect();
    let mut said = Vec::new();
    for id in old.into_iter().filter(|id| !needed.releases.contains(id)) {
        if home.join(&id).join(PINNED).exists() {
            continue;
        }
        let release = home.join(&id);
        if let Some(path) = written(&release) {
            said.push(format!("release {id} is kept: {} was written into it and may be data", path.display()));
            continue;
        }
        let bytes = size(&release);
        if fs::remove_dir_all(&release).is_ok() {
            said.push(format!("release {id} was deleted: {} MiB are free again", bytes >> 20));
        }
    }
    pool::sync(&home, None);
    public::clear(&home);
    said.extend(prune_dep(paths, needed));
    said
}

/// Deletes folders of `.dep/` that no manifest has named for a while. Builds of apps from before there were releases may
/// hold data, and stay.
fn prune_dep(paths: &Paths, needed: &Needed) -> Vec<String> {
    let entries = fs::read_dir(paths.dep()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_old = |name: &String| {
        let meta = fs::symlink_metadata(paths.dep().join(name));
        let time = meta.ok().filter(fs::Metadata::is_dir).and_then(|meta| {
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(meta.ctime()).ok()?))
        });
        time.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > UNNAMED)
    };
    let is_named = |name: &String| needed.dep.contains(name) || name.starts_with(['.']) || name.starts_with("app-");
    let old = names.filter(|name| !is_named(name)).filter(is_old);
    let delete = |name: String| {
        let bytes = size(&paths.dep().join(&name));
        let gone = fs::remove_dir_all(paths.dep().join(&name)).is_ok();
        gone.then(|| format!(".dep/{name}, which no manifest names, was deleted: {} MiB are free again", bytes >> 20))
    };
    old.collect::<Vec<_>>().into_iter().filter_map(delete).collect()
}

/// The size of all files in a folder, in bytes.
pub(super) fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) if meta.is_file() => meta.len(),
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let paths = Paths { run: root.join("run"), root, hash: String::new(), moved_from: None, searched: None };
        (folder, paths)
    }

    fn release(paths: &Paths, id: &str, served: Option<u64>) {
        let folder = paths.releases().join("web").join(id);
        fs::create_dir_all(folder.join("server/.next/cache")).unwrap();
        fs::write(folder.join("server/server.js"), "x").unwrap();
        list(&folder).unwrap();
        if let Some(age) = served {
            mark_live(paths, "web", id).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            fs::File::options().write(true).open(folder.join(SERVED)).unwrap().set_modified(time).unwrap();
        }
    }

    #[test]
    fn only_old_releases_go_and_never_one_with_data() {
        let (_folder, paths) = scene();
        // By when they served, not by when they were made.
        for (id, age) in [("2020-a", 1), ("2021-b", 6), ("2022-c", 5), ("2023-d", 4), ("2024-e", 3), ("2025-f", 2)] {
            release(&paths, id, Some(age));
        }
        for id in ["2026-g", "2026-h", "2026-i", "2026-j"] {
            release(&paths, id, None);
        }
        let server = |id: &str| paths.releases().join("web").join(id).join("server");
        fs::write(server("2023-d").join(".next/cache/page.html"), "the framework's own").unwrap();
        fs::write(server("2022-c").join("db.sqlite"), "data").unwrap();
        let needed = Needed { keep: Some(1), releases: ["2026-g".to_owned()].into(), ..Needed::default() };
        let said = prune(&paths, "web", &needed);
        let kept = ["2020-a", "2022-c", "2024-e", "2025-f", "2026-g", "2026-i", "2026-j"];
        assert_eq!(landed(&paths, "web"), kept, "{said:?}");
        assert!(said.iter().any(|line| line.contains("2022-c is kept: server/db.sqlite was written")), "{said:?}");
        assert_eq!(written(&paths.releases().join("web/2020-a")), None);
    }

    #[test]
    fn what_no_manifest_names_stays_a_while() {
        let (_folder, paths) = scene();
        fs::create_dir_all(paths.dep().join("caddy-1")).unwrap();
        assert_eq!(prune_dep(&paths, &Needed::default()), [""; 0]);
        assert!(paths.dep().join("caddy-1").is_dir());
    }
}
