//! Keeps the logs of an edge within its limits. An edge rolls its own; those of instances that are gone are left to core.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use core_manifest::spec::LogLimits;

use super::access::FOLDER;
use super::chain;
use crate::paths::Paths;

/// The most files, however small: each swap leaves one.
const MOST: usize = 100;
/// How long files are kept by an edge that has no limit of its own.
const DAYS: u32 = 90;

/// Deletes the oldest logs of a service that is an edge, beyond these limits; never the newest one.
pub(crate) fn sweep(paths: &Paths, service: &str, limits: &LogLimits) {
    let mut files: Vec<_> = chain::of(&paths.data().join(service).join(FOLDER), service)
        .into_iter()
        .filter_map(|(path, _)| fs::symlink_metadata(&path).ok().map(|meta| (meta, path)))
        .filter_map(|(meta, path)| Some((meta.modified().ok()?, meta.size(), path)))
        .collect();
    files.sort();
    let most = match limits.keep_segments {
        0 => u64::MAX,
        keep => u64::from(keep) * limits.segment_bytes,
    };
    let days = if limits.keep_days > 0 { limits.keep_days } else { DAYS };
    let longest = Duration::from_secs(86_400 * u64::from(days));
    let mut kept = 0;
    for (number, (changed, size, path)) in files.iter().rev().enumerate() {
        kept += size;
        let is_old = SystemTime::now().duration_since(*changed).is_ok_and(|age| age > longest);
        if number > 0 && (kept > most || number >= MOST || is_old) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_oldest_go_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::look(root.path()).unwrap();
        let folder = paths.data().join("edge/access");
        fs::create_dir_all(&folder).unwrap();
        let put = |name: &str, age: u64| {
            let path = folder.join(name);
            fs::write(&path, "x".repeat(400)).unwrap();
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        };
        let names = ["edge-0@1.log", "edge-0@2-2026-01-01T00-00-00.000-size.log", "edge-0@2.log", "edge-0@3.log"];
        for (name, age) in names.into_iter().zip([40, 30, 20, 10]) {
            put(name, age);
        }
        put("mine.log", 100);
        put("other-0@1.log", 100);
        let is_there = |name: &&str| Path::new(&folder).join(name).exists();
        let limits = LogLimits { segment_bytes: 500, keep_segments: 2, keep_days: 0 };
        sweep(&paths, "edge", &limits);
        assert_eq!(names.iter().filter(|name| is_there(name)).collect::<Vec<_>>(), [&names[2], &names[3]]);
        assert!(is_there(&"mine.log") && is_there(&"other-0@1.log"));
        sweep(&paths, "edge", &LogLimits { segment_bytes: 1, keep_segments: 1, keep_days: 0 });
        assert!(!is_there(&names[2]) && is_there(&names[3]), "the newest stays");
    }
}
