//! The pool: the content-hashed files of all releases that are kept, each once, as the edge serves them. A page that was
//! opened before a deploy finds its scripts there. Compressed copies lie beside the files.
//!
//! ```text
//! .releases/<service>/pool/<path of the request>      a copy of the file in a release
//! .releases/<service>/pool/<path of the request>.br   and .gz, .zst
//! .releases/<service>/pool-old/…                      what the edge serves only where the app has nothing
//! ```
//!
//! Files are copies: a service may write into its release.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use core_next::payload::Payload;
use nix::libc;

use super::choose::{self, APP, UNPREPARED};
use super::compress::COPIES;
use super::record;
use crate::files::is_same;

/// The folder of a service's pool, among its releases.
pub(super) const POOL: &str = "pool";
/// The folder of files that rules of an app touch: those of older releases, which the app does not have.
const OLD: &str = "pool-old";

/// Brings the pool of a service in line with the releases that are kept. `news` is one that is landing, and that nothing
/// has marked as landed yet. Nobody else makes a release of the service meanwhile.
pub(super) fn sync(home: &Path, news: Option<&str>) {
    let wanted = Wanted::of(home, news);
    for (folder, files) in [(POOL, &wanted.free), (OLD, &wanted.touched)] {
        let pool = home.join(folder);
        if let Err(error) = clear(&pool, Path::new(""), files) {
            tracing::warn!("{}: {error}", pool.display());
        }
        for (path, file) in files {
            let target = pool.join(path);
            if is_same(file, &target) {
                continue;
            }
            for copy in COPIES {
                let _ = fs::remove_file(format!("{}.{copy}", target.display()));
            }
            if let Err(error) = copy(file, &target) {
                // The app itself answers for what is not there.
                tracing::warn!("{} is not served by the edge: {error}", target.display());
            }
        }
    }
}

/// A copy with the same date, which is there as a whole or not at all.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let beside = PathBuf::from(format!("{}.part", to.display()));
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    // A service that puts a link in the place of its file would publish what that leads to.
    let mut from = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(from)?;
    let mut made = File::create(&beside)?;
    io::copy(&mut from, &mut made)?;
    made.set_modified(from.metadata()?.modified()?)?;
    fs::rename(beside, to)
}

/// The files that belong in the pool, by the path of their requests.
#[derive(Default)]
struct Wanted {
    /// Those that no rule of any release touches.
    free: BTreeMap<PathBuf, PathBuf>,
    /// Those that headers, redirects or rewrites touch: the app answers for its own.
    touched: BTreeMap<PathBuf, PathBuf>,
}

impl Wanted {
    fn of(home: &Path, news: Option<&str>) -> Self {
        // The oldest first: what is in several releases keeps its dates.
        let ids: BTreeSet<String> = choose::landed_in(home).into_iter().chain(news.map(str::to_owned)).collect();
        let (mut all, mut not) = (Self::default(), BTreeSet::new());
        for id in &ids {
            let release = home.join(id);
            // What was only made is nobody's yet.
            if release.join(UNPREPARED).exists() {
                continue;
            }
            let payload = record::payload(&release);
            // Of one that nothing is known of, the rules may be any.
            let is_guarded = payload.as_ref().is_none_or(|payload| payload.edge.guarded);
            let payload = payload.unwrap_or_default();
            let Some(place) = place(&payload.config.base_path) else { continue };
            let place = place.join("_next/static");
            let is_touched = is_guarded || !payload.edge.rules_on_built.is_empty();
            for (below, file) in files(&release, &payload) {
                let path = place.join(below);
                let kind = if is_touched { &mut all.touched } else { &mut all.free };
                if is_guarded || !kind.get(&path).is_none_or(|other| is_same(other, &file)) {
                    // A name that is of two contents is not that of its contents.
                    not.insert(path);
                } else {
                    kind.entry(path).or_insert(file);
                }
            }
        }
        // A rule of one release holds for the same name in another.
        all.free.retain(|path, _| !not.contains(path) && !all.touched.contains_key(path));
        all.touched.retain(|path, _| !not.contains(path));
        all
    }
}

/// Where requests ask for an app, below the root; `None` if that is not a plain path.
pub(super) fn place(base_path: &str) -> Option<PathBuf> {
    let base = Path::new(base_path.trim_start_matches('/'));
    let is_plain = base.components().all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| base.to_owned())
}

/// The files of a release with a hash in their names.
fn files(release: &Path, payload: &Payload) -> BTreeMap<PathBuf, PathBuf> {
    let app = fs::canonicalize(release.join(APP)).unwrap_or_default();
    // A static export has the files where requests ask for them.
    let mut folders = [".next/static", "_next/static"].map(|folder| app.join(folder)).into_iter();
    let mut files = BTreeMap::new();
    let apart = (!payload.edge.own_folder).then_some(payload.framework.build_id.as_str());
    if let Some(folder) = folders.find(|folder| folder.is_dir()) {
        list(&folder, Path::new(""), apart, &mut files);
    }
    files
}

/// The files below a folder, without one folder. No link is followed.
pub(super) fn list(folder: &Path, below: &Path, apart: Option<&str>, files: &mut BTreeMap<PathBuf, PathBuf>) {
    for entry in fs::read_dir(folder.join(below)).into_iter().flatten().flatten() {
        let path = below.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && apart.is_none_or(|apart| path != Path::new(apart)) => {
                list(folder, &path, apart, files);
            }
            Ok(kind) if kind.is_file() => {
                files.insert(path, entry.path());
            }
            _ => {}
        }
    }
}

/// Deletes what does not belong in the pool, with its compressed copies and folders that are empty then.
fn clear(pool: &Path, below: &Path, wanted: &BTreeMap<PathBuf, PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(pool.join(below)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries.flatten() {
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            clear(pool, &path, wanted)?;
            let _ = fs::remove_dir(entry.path());
        } else if !wanted.contains_key(&path) && !original(&path).is_some_and(|path| wanted.contains_key(&path)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The file that this is a compressed copy of.
fn original(path: &Path) -> Option<PathBuf> {
    COPIES.contains(&path.extension()?.to_str()?).then(|| path.with_extension(""))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use core_next::payload::{Config, Edge, Framework};

    use super::super::compress::precompress;
    use super::*;

    /// A release with these files, whose folder that is called after the build is `own`.
    fn release(home: &Path, id: &str, files: &[(&str, &str)], rules: &[&str], guarded: bool) {
        let app = home.join(id).join("server");
        for (path, text) in files {
            let path = app.join(".next/static").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink("server", home.join(id).join(APP)).unwrap();
        let payload = Payload {
            framework: Framework { build_id: "fixed".into(), ..Framework::default() },
            config: Config { base_path: "/shop".into(), ..Config::default() },
            edge: Edge { rules_on_built: rules.iter().map(ToString::to_string).collect(), guarded, ..Edge::default() },
            ..Payload::default()
        };
        fs::write(home.join(id).join(record::PAYLOAD), serde_json::to_vec(&payload).unwrap()).unwrap();
    }

    fn names(home: &Path) -> Vec<String> {
        names_in(home, POOL)
    }

    fn names_in(home: &Path, folder: &str) -> Vec<String> {
        let mut files = BTreeMap::new();
        list(&home.join(folder), Path::new(""), None, &mut files);
        files.into_keys().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_pool_has_the_files_of_all_releases_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let both = ("chunks/both-1.js", "both");
        release(
            home,
            "1",
            &[both, ("chunks/a.js", "a"), ("fixed/_buildManifest.js", "1"), ("same.js", "x")],
            &[],
            false,
        );
        sync(home, None);
        let pool = home.join("pool/shop/_next/static");
        let date = |folder: &Path| fs::metadata(folder.join("chunks/both-1.js")).unwrap().modified().unwrap();
        let before = date(&pool);
        assert_eq!(before, date(&home.join("1/server/.next/static")));
        release(
            home,
            "2",
            &[both, ("chunks/b.js", "b"), ("fixed/_buildManifest.js", "2"), ("same.js", "y")],
            &[],
            false,
        );
        sync(home, Some("2"));
        let shop = |names: &[&str]| names.iter().map(|name| format!("shop/_next/static/{name}")).collect::<Vec<_>>();
        assert_eq!(names(home), shop(&["chunks/a.js", "chunks/b.js", "chunks/both-1.js"]), "no name with two contents");
        assert_eq!(date(&pool), before, "with its old dates");
        fs::remove_dir_all(home.join("1")).unwrap();
        sync(home, None);
        assert_eq!(names(home), shop(&["chunks/b.js", "chunks/both-1.js", "same.js"]));
    }

    #[test]
    fn what_rules_touch_is_the_apps() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        release(home, "1", &[("free.js", "f"), ("both.js", "b")], &[], false);
        release(home, "2", &[("headers.js", "h"), ("both.js", "b")], &["/(.*)"], false);
        release(home, "3", &[("login.js", "l"), ("free.js", "f")], &["the proxy"], true);
        sync(home, None);
        assert_eq!(names(home), [""; 0]);
        let old = ["both.js", "headers.js"].map(|name| format!("shop/_next/static/{name}"));
        assert_eq!(names_in(home, OLD), old, "what the proxy guards is nowhere");
        // Nothing is known of one without a payload, and its place is that without a base path.
        fs::remove_file(home.join("3").join(record::PAYLOAD)).unwrap();
        fs::remove_dir_all(home.join("2")).unwrap();
        sync(home, None);
        assert_eq!(names(home).len(), 2);
        assert_eq!(place("/../../x"), None);
    }

    #[test]
    fn a_file_that_was_written_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        release(home, "1", &[("a.js", "good")], &[], false);
        sync(home, None);
        let file = home.join("pool/shop/_next/static/a.js");
        fs::write(home.join("1/server/.next/static/a.js"), "evil").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "good", "the service has no hand in it");
        fs::write(home.join("pool/shop/_next/static/a.js.br"), "old").unwrap();
        fs::write(home.join("1/server/.next/static/a.js"), "new!").unwrap();
        sync(home, None);
        assert_eq!(fs::read_to_string(&file).unwrap(), "new!");
        assert!(!home.join("pool/shop/_next/static/a.js.br").exists());
    }

    #[test]
    fn copies_are_compressed_and_go_with_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let text = "let text = 'so long that it is worth it';\n".repeat(100);
        release(home, "1", &[("a.js", &text), ("b.png", &text), ("c.js", "short")], &[], false);
        sync(home, None);
        precompress(&home.join(POOL)).unwrap();
        let all = ["a.js", "a.js.br", "a.js.gz", "a.js.zst", "b.png", "c.js"];
        assert_eq!(names(home), all.map(|name| format!("shop/_next/static/{name}")));
        let copy = |ending: &str| fs::read(home.join("pool/shop/_next/static").join(format!("a.js.{ending}"))).unwrap();
        assert_eq!(zstd::decode_all(&copy("zst")[..]).unwrap(), text.as_bytes());
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&copy("gz")[..]).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, text);
        let mut plain = Vec::new();
        ::brotli::BrotliDecompress(&mut &copy("br")[..], &mut plain).unwrap();
        assert_eq!(plain, text.as_bytes());
        sync(home, None);
        assert_eq!(names(home).len(), all.len(), "they stay");
        fs::remove_dir_all(home.join("1")).unwrap();
        sync(home, None);
        assert_eq!(names(home), [""; 0]);
    }
}
