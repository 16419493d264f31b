//! Files of `public/` that the edge serves: those that no rule of the app touches, and whose type it knows. Each release has
//! its own.
//!
//! ```text
//! .releases/<service>/public/<id>/<path of the request>       a copy of the file in the release
//! .releases/<service>/public/<id>/<path of the request>.etag  what Next.js calls it; with .br.etag and so on
//! .releases/<service>/public/<id>/<path of the request>.br    and .gz, .zst
//! ```
//!
//! They are made when the release lands, while nobody runs it: what a service writes into it later is no part of them. What
//! did not change since another release is a link to the file of that one, which is compressed already. Without them, the app
//! answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::choose::{APP, EXPORT, landed_in};
use super::compress::{COPIES, is_compressible};
use super::{pool, record};
use crate::files::is_same;

/// The folder of these files, among the releases of a service.
pub(super) const PUBLIC: &str = "public";
/// Dates up to this are none: a server of files does not say them.
const NEVER: Duration = Duration::from_secs(1);

/// Makes the files of a release that is about to land. Nobody else makes a release of the service meanwhile.
pub(super) fn make(home: &Path, landing: &Path, id: &str) {
    clear(home);
    let target = home.join(PUBLIC).join(id);
    let _ = fs::remove_dir_all(&target);
    let earlier: Vec<PathBuf> = landed_in(home).iter().rev().map(|id| home.join(PUBLIC).join(id)).collect();
    for (path, file) in files(landing) {
        if let Err(error) = put(&file, &target, &path, &earlier) {
            // Half of it must not be served.
            let _ = fs::remove_file(target.join(&path));
            tracing::warn!("{} is not served by the edge: {error}", target.join(path).display());
        }
    }
}

/// Deletes those of releases that are gone.
pub(super) fn clear(home: &Path) {
    let landed: BTreeSet<String> = landed_in(home).into_iter().collect();
    for entry in fs::read_dir(home.join(PUBLIC)).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(|id| landed.contains(id)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The files of a release that the edge serves, by the path of their requests. No link is among them, nor what is below one:
/// it leads out, or to what `config.persist` names, which changes.
fn files(landing: &Path) -> BTreeMap<PathBuf, PathBuf> {
    let mut found = BTreeMap::new();
    let payload = record::payload(landing).filter(|payload| payload.config.etags && !landing.join(EXPORT).exists());
    let Some(payload) = payload else { return found };
    let Some(place) = pool::place(&payload.config.base_path) else { return found };
    let Ok(folder) = fs::canonicalize(landing.join(APP)).map(|app| app.join("public")) else { return found };
    if fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir()) {
        pool::list(&folder, Path::new(""), None, &mut found);
    }
    let free: BTreeSet<&str> = payload.edge.public.iter().map(String::as_str).collect();
    let is_free = |path: &Path| path.to_str().is_some_and(|path| free.contains(&*format!("/{path}")));
    let has_type = |path: &Path| path.file_name().and_then(|name| name.to_str()).is_some_and(core_caddy::has_type);
    let all = found.into_iter().map(|(below, file)| (place.join(below), file));
    all.filter(|(path, _)| is_free(path) && has_type(path)).collect()
}

/// Puts a file of a release in its place, with its etag.
fn put(file: &Path, target: &Path, path: &Path, earlier: &[PathBuf]) -> io::Result<()> {
    let meta = fs::symlink_metadata(file)?;
    let Some(date) = date_of(meta.modified()?) else { return Ok(()) };
    let to = target.join(path);
    let before = earlier.iter().map(|folder| folder.join(path)).find(|other| {
        let dated = fs::metadata(other).and_then(|meta| meta.modified());
        dated.is_ok_and(|other| other == UNIX_EPOCH + date) && is_same(other, file)
    });
    if before.is_some_and(|before| link(&before, &to).is_ok()) {
        return Ok(());
    }
    // The etag first: without it, the edge would give the file another one.
    fs::create_dir_all(to.parent().unwrap_or(target))?;
    let etag = beside(&to, core_caddy::ETAG);
    fs::write(&etag, etag_of(meta.len(), date))?;
    for copy in COPIES.iter().filter(|_| is_compressible(path)) {
        let other = beside(&to, &format!(".{copy}{}", core_caddy::ETAG));
        let _ = fs::remove_file(&other);
        fs::hard_link(&etag, other)?;
    }
    pool::copy(file, &to)?;
    File::options().write(true).open(&to)?.set_modified(UNIX_EPOCH + date)
}

/// Links a file of an earlier release, with what lies beside it; all of it or nothing.
fn link(before: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    let copies = || COPIES.iter().map(|copy| format!(".{copy}"));
    let etags = std::iter::once(String::new()).chain(copies()).map(|copy| copy + core_caddy::ETAG);
    // The file itself comes last.
    for ending in etags.chain(copies()).chain([String::new()]) {
        let from = beside(before, &ending);
        if from.exists() {
            let _ = fs::remove_file(beside(to, &ending));
            fs::hard_link(from, beside(to, &ending))?;
        }
    }
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

/// The date of a file as Node.js has it: in milliseconds, rounded. A second has passed then that has nearly passed.
fn date_of(modified: SystemTime) -> Option<Duration> {
    let since = modified.duration_since(UNIX_EPOCH).ok().filter(|since| since.as_secs() > NEVER.as_secs())?;
    let rounded = since + Duration::from_micros(500);
    Some(Duration::new(rounded.as_secs(), rounded.subsec_millis() * 1_000_000))
}

/// What Next.js calls a file of this size and date.
fn etag_of(bytes: u64, date: Duration) -> String {
    format!("W/\"{bytes:x}-{:x}\"", date.as_millis())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use core_next::payload::{Config, Edge, Payload};

    use super::super::compress::precompress;
    use super::*;

    /// What a release lands as, with these files in `public/`, all of which no rule touches.
    fn landing(home: &Path, files: &[(&str, &str)], base: &str) -> PathBuf {
        let landing = home.join(".part-x/landing");
        let _ = fs::remove_dir_all(&landing);
        for (path, text) in files {
            let path = landing.join("server/public").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let date = UNIX_EPOCH + Duration::new(1_767_323_045, 999_678_900);
            File::options().write(true).open(path).unwrap().set_modified(date).unwrap();
        }
        symlink("server", landing.join(APP)).unwrap();
        let public = files.iter().map(|(path, _)| format!("{base}/{path}")).collect();
        say(
            &landing,
            Payload {
                config: Config { base_path: base.into(), etags: true, ..Config::default() },
                edge: Edge { public, ..Edge::default() },
                ..Payload::default()
            },
        );
        landing
    }

    fn say(landing: &Path, payload: Payload) {
        fs::write(landing.join(record::PAYLOAD), serde_json::to_vec(&payload).unwrap()).unwrap();
    }

    fn land(home: &Path, landing: &Path, id: &str) {
        make(home, landing, id);
        fs::rename(landing, home.join(id)).unwrap();
    }

    fn names(home: &Path, id: &str) -> Vec<String> {
        let mut files = BTreeMap::new();
        pool::list(&home.join(PUBLIC).join(id), Path::new(""), None, &mut files);
        files.into_keys().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_file_has_the_date_and_the_etag_that_the_app_gives_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        land(home, &landing(home, &[("a.js", "text"), ("b.png", "image")], "/shop"), "2026-a");
        let all = ["a.js", "a.js.br.etag", "a.js.etag", "a.js.gz.etag", "a.js.zst.etag", "b.png", "b.png.etag"];
        assert_eq!(names(home, "2026-a"), all.map(|name| format!("shop/{name}")));
        let file = home.join("public/2026-a/shop/a.js");
        // As `next start` 16.4.6 has it, of a file with the date above.
        assert_eq!(fs::read_to_string(beside(&file, ".br.etag")).unwrap(), "W/\"4-19b7ca99070\"");
        assert_eq!(fs::metadata(&file).unwrap().mtime(), 1_767_323_046);
        fs::write(home.join("2026-a/server/public/a.js"), "evil").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "text", "the service has no hand in it");
    }

    #[test]
    fn what_did_not_change_is_there_once_and_goes_with_its_releases() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let long = "text that is worth it\n".repeat(100);
        land(home, &landing(home, &[("same.js", &long), ("a.js", "one")], ""), "2026-a");
        precompress(&home.join(PUBLIC)).unwrap();
        land(home, &landing(home, &[("same.js", &long), ("a.js", "two")], ""), "2026-b");
        let inode = |path: &str| fs::metadata(home.join("public").join(path)).unwrap().ino();
        for name in ["same.js", "same.js.br", "same.js.etag"] {
            assert_eq!(inode(&format!("2026-a/{name}")), inode(&format!("2026-b/{name}")), "{name}");
        }
        assert_eq!(fs::read_to_string(home.join("public/2026-b/a.js")).unwrap(), "two");
        assert_eq!(fs::read_to_string(home.join("public/2026-a/a.js")).unwrap(), "one");
        fs::remove_dir_all(home.join("2026-a")).unwrap();
        clear(home);
        assert!(!home.join("public/2026-a").exists());
        assert_eq!(fs::read_to_string(home.join("public/2026-b/same.js")).unwrap(), long);
    }

    #[test]
    fn links_and_what_has_no_type_or_a_rule_are_the_apps() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let free =
            [("a.txt", "a"), ("a.txt.br", "not a copy"), ("a.etag", "mine"), ("up/x.png", "x"), ("no-type", "n")];
        let landing = landing(home, &free, "");
        let public = landing.join("server/public");
        fs::write(public.join("ruled.txt"), "the proxy decides").unwrap();
        fs::write(home.join("secret.txt"), "secret").unwrap();
        // As `config.persist` leaves them, or a service that gets at its release.
        fs::remove_dir_all(public.join("up")).unwrap();
        fs::create_dir_all(home.join(".data/up")).unwrap();
        fs::write(home.join(".data/up/x.png"), "changes").unwrap();
        symlink(home.join(".data/up"), public.join("up")).unwrap();
        fs::remove_file(public.join("a.txt")).unwrap();
        symlink(home.join("secret.txt"), public.join("a.txt")).unwrap();
        make(home, &landing, "2026-a");
        assert_eq!(names(home, "2026-a"), [""; 0]);
        fs::remove_file(public.join("a.txt")).unwrap();
        fs::write(public.join("a.txt"), "a").unwrap();
        make(home, &landing, "2026-a");
        assert_eq!(fs::read_to_string(home.join("public/2026-a/a.txt")).unwrap(), "a");
        assert!(!names(home, "2026-a").contains(&"a.txt.br".to_owned()));
        // An export has no server that would say what an etag is, and an app may want none.
        symlink("server", landing.join(EXPORT)).unwrap();
        make(home, &landing, "2026-a");
        assert_eq!(names(home, "2026-a"), [""; 0]);
        fs::remove_file(landing.join(EXPORT)).unwrap();
        let payload = record::payload(&landing).unwrap();
        say(&landing, Payload { config: Config { etags: false, ..payload.config.clone() }, ..payload });
        make(home, &landing, "2026-a");
        assert_eq!(names(home, "2026-a"), [""; 0]);
    }
}
