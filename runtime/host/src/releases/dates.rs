//! Dates of files that browsers fetch: a file that is the same as in the release before keeps its date, so that browsers
//! need not fetch it again. The app makes etags of dates and sizes.

use std::fs::{self, File};
use std::path::Path;

use super::choose::{APP, CURRENT, landed_in};
use crate::files::is_same;

/// The folders whose files are fetched, below that of the app.
const FETCHED: [&str; 2] = ["public", ".next/static"];

/// Gives files of a release that has not landed yet the dates that they had in the live one, or in the newest.
pub(super) fn keep(home: &Path, landing: &Path) {
    let live = home.join(CURRENT);
    let newest = || landed_in(home).pop().map(|id| home.join(id));
    let Some(before) = Some(live).filter(|live| live.exists()).or_else(newest) else { return };
    for folder in FETCHED {
        let below = Path::new(APP).join(folder);
        keep_below(&before.join(&below), &landing.join(&below));
    }
}

fn keep_below(before: &Path, now: &Path) {
    for entry in fs::read_dir(now).into_iter().flatten().flatten() {
        let (path, other) = (entry.path(), before.join(entry.file_name()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && other.is_dir() => keep_below(&other, &path),
            // Without it, a file is only fetched once more.
            Ok(kind) if kind.is_file() => drop(take_date(&other, &path)),
            _ => {}
        }
    }
}

fn take_date(before: &Path, now: &Path) -> Option<()> {
    let dated = fs::symlink_metadata(before).ok().filter(|meta| meta.is_file() && is_same(before, now))?;
    File::options().write(true).open(now).ok()?.set_modified(dated.modified().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn what_did_not_change_keeps_its_date() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (id, changed) in [("2026-a", "one"), (".part", "two")] {
            fs::create_dir_all(home.join(id).join("server/public/below")).unwrap();
            symlink("server", home.join(id).join(APP)).unwrap();
            fs::write(home.join(id).join("server/public/below/same.txt"), "same").unwrap();
            fs::write(home.join(id).join("server/public/changed.txt"), changed).unwrap();
        }
        let open = |path: &str| File::options().write(true).open(home.join(path)).unwrap();
        for path in ["below/same.txt", "changed.txt"] {
            open(&format!("2026-a/server/public/{path}")).set_modified(old).unwrap();
        }
        keep(home, &home.join(".part"));
        let date = |path: &str| fs::metadata(home.join(".part/server/public").join(path)).unwrap().modified().unwrap();
        assert_eq!(date("below/same.txt"), old);
        assert_ne!(date("changed.txt"), old);
    }
}
