//! The pool: the content-hashed files of all releases that are kept, each once, as the edge serves them. A page that was
//! opened before a deploy finds its scripts there. Compressed copies lie beside the files.
//!
//! ```text
//! .releases/<service>/pool/<path of the request>      a link to the same file in a release
//! .releases/<service>/pool/<path of the request>.br   and .gz, .zst
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use core_next::payload::Payload;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::process::Command;

use super::choose;
use super::choose::{APP, CURRENT};
use super::record::PAYLOAD;
use crate::binaries::fence;
use crate::own::own_program;

/// The folder of a service's pool, among its releases.
pub(super) const POOL: &str = "pool";
/// The compressed copies of a file, by the ending of their names.
const COPIES: [&str; 3] = ["br", "gz", "zst"];
/// Kinds of files that get smaller.
const COMPRESSIBLE: [&str; 9] = ["js", "css", "json", "svg", "txt", "map", "html", "xml", "wasm"];
/// Smaller files are sent as they are, in bytes: a compressed one would hardly be smaller.
const LEAST: u64 = 512;
/// Above this, a file is not compressed as much as possible: that takes some 2 s for each MiB.
const LARGE: u64 = 1 << 20;

/// Brings the pool of a service in line with the releases that are kept. `news` is one that is landing, and that nothing
/// has marked as landed yet. Nobody else makes a release of the service meanwhile.
pub(super) fn sync(home: &Path, news: Option<&str>) {
    let pool = home.join(POOL);
    let wanted = wanted(home, news);
    if let Err(error) = clear(&pool, Path::new(""), &wanted) {
        tracing::warn!("{}: {error}", pool.display());
    }
    for (path, file) in &wanted {
        let target = pool.join(path);
        if target.exists() {
            continue;
        }
        let linked = fs::create_dir_all(target.parent().unwrap_or(&pool)).and_then(|()| link(file, &target));
        if let Err(error) = linked {
            // The app itself answers for what is not there.
            tracing::warn!("{} is not served by the edge: {error}", target.display());
        }
    }
}

/// A link, or a copy where the file system has none.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| {
        let beside = to.with_extension("part");
        fs::copy(from, &beside)?;
        fs::rename(beside, to)
    })
}

/// The files that belong in the pool, by the path of their requests.
fn wanted(home: &Path, news: Option<&str>) -> BTreeMap<PathBuf, PathBuf> {
    let live = fs::read_link(home.join(CURRENT)).ok().and_then(|id| id.into_os_string().into_string().ok());
    let ids = choose::landed_in(home).into_iter().chain(news.map(str::to_owned));
    // The oldest first: what is in several releases keeps its dates.
    let ids: BTreeSet<String> = ids.collect();
    let (mut all, mut not) = (BTreeMap::<PathBuf, PathBuf>::new(), BTreeSet::new());
    for id in &ids {
        let Some(payload) = read(&home.join(id)) else { continue };
        let mut files = BTreeMap::new();
        let app = fs::canonicalize(home.join(id).join(APP)).unwrap_or_default();
        // A static export has the files where requests ask for them.
        let mut folders = [".next/static", "_next/static"].map(|folder| app.join(folder)).into_iter();
        let Some(folder) = folders.find(|folder| folder.is_dir()) else { continue };
        let apart = (!payload.edge.own_folder).then_some(payload.framework.build_id.as_str());
        list(&folder, Path::new(""), apart, &mut files);
        let place = Path::new(payload.config.base_path.trim_start_matches('/')).join("_next/static");
        let is_touched = !payload.edge.rules_on_built.is_empty();
        let serves = Some(id) == live.as_ref() || Some(id.as_str()) == news;
        for (below, file) in files {
            let path = place.join(below);
            // Rules of the app have to see requests for its own files.
            if is_touched && serves {
                not.insert(path);
            } else if !all.get(&path).is_none_or(|other| is_same(other, &file)) {
                // A name that is of two contents is not that of its contents.
                not.insert(path);
            } else {
                all.entry(path).or_insert(file);
            }
        }
    }
    all.retain(|path, _| !not.contains(path));
    all
}

fn read(release: &Path) -> Option<Payload> {
    serde_json::from_slice(&fs::read(release.join(PAYLOAD)).ok()?).ok()
}

/// The files below a folder, without one folder.
fn list(folder: &Path, below: &Path, apart: Option<&str>, files: &mut BTreeMap<PathBuf, PathBuf>) {
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

/// Whether two files have the same contents.
fn is_same(one: &Path, other: &Path) -> bool {
    let size = |path: &Path| fs::metadata(path).map(|meta| meta.len()).ok();
    size(one) == size(other) && fs::read(one).ok() == fs::read(other).ok()
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

/// Makes the compressed copies that are missing, in a process of its own that gets what services leave. Without them the
/// edge compresses by itself.
pub(super) async fn compress(home: &Path) {
    let pool = home.join(POOL);
    if !pool.is_dir() {
        return;
    }
    let Ok(program) = own_program() else { return };
    let mut command = Command::new(program);
    command.arg("precompress").arg(&pool).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true);
    fence::step_back(&mut command);
    match command.status().await {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::warn!("{} has no compressed copies: {status}", pool.display()),
        Err(error) => tracing::warn!("{} has no compressed copies: {error}", pool.display()),
    }
}

/// Makes the compressed copies that are missing below a folder: what the process of its own does.
///
/// # Errors
/// The error of the file system.
pub fn precompress(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() {
            precompress(&path)?;
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_owned();
        if !kind.is_file() || !COMPRESSIBLE.contains(&ending.as_str()) || entry.metadata()?.len() < LEAST {
            continue;
        }
        let mut plain = Vec::new();
        File::open(&path)?.read_to_end(&mut plain)?;
        for copy in COPIES {
            let target = PathBuf::from(format!("{}.{copy}", path.display()));
            if target.exists() {
                continue;
            }
            let made = match copy {
                "br" => brotli(&plain)?,
                "zst" => zstd::encode_all(&plain[..], 19)?,
                _ => {
                    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                    encoder.write_all(&plain)?;
                    encoder.finish()?
                }
            };
            let beside = PathBuf::from(format!("{}.part", target.display()));
            fs::write(&beside, made)?;
            fs::rename(beside, target)?;
        }
    }
    Ok(())
}

fn brotli(plain: &[u8]) -> io::Result<Vec<u8>> {
    let quality = if plain.len() as u64 > LARGE { 9 } else { 11 };
    let params = ::brotli::enc::BrotliEncoderParams { quality, size_hint: plain.len(), ..Default::default() };
    let mut made = Vec::new();
    ::brotli::BrotliCompress(&mut &plain[..], &mut made, &params)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use core_next::payload::{Config, Edge, Framework};

    use super::*;

    /// A release with these files, whose folder that is called after the build is `own`.
    fn release(home: &Path, id: &str, files: &[(&str, &str)], rules: &[&str]) {
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
            edge: Edge { rules_on_built: rules.iter().map(ToString::to_string).collect(), ..Edge::default() },
            ..Payload::default()
        };
        fs::write(home.join(id).join(PAYLOAD), serde_json::to_vec(&payload).unwrap()).unwrap();
    }

    fn names(home: &Path) -> Vec<String> {
        let mut files = BTreeMap::new();
        list(&home.join(POOL), Path::new(""), None, &mut files);
        files.into_keys().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_pool_has_the_files_of_all_releases_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let both = ("chunks/both-1.js", "both");
        release(home, "1", &[both, ("chunks/a.js", "a"), ("fixed/_buildManifest.js", "1"), ("same.js", "x")], &[]);
        sync(home, None);
        let pool = home.join("pool/shop/_next/static");
        let inode = fs::metadata(pool.join("chunks/both-1.js")).unwrap().ino();
        release(home, "2", &[both, ("chunks/b.js", "b"), ("fixed/_buildManifest.js", "2"), ("same.js", "y")], &[]);
        sync(home, Some("2"));
        let shop = |names: &[&str]| names.iter().map(|name| format!("shop/_next/static/{name}")).collect::<Vec<_>>();
        assert_eq!(names(home), shop(&["chunks/a.js", "chunks/b.js", "chunks/both-1.js"]), "no name with two contents");
        assert_eq!(fs::metadata(pool.join("chunks/both-1.js")).unwrap().ino(), inode, "with its old dates");
        fs::remove_dir_all(home.join("1")).unwrap();
        sync(home, None);
        assert_eq!(names(home), shop(&["chunks/b.js", "chunks/both-1.js", "same.js"]));
    }

    #[test]
    fn an_app_with_rules_answers_for_its_own_files() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        release(home, "1", &[("old.js", "o"), ("both.js", "b")], &[]);
        release(home, "2", &[("new.js", "n"), ("both.js", "b")], &["/(.*)"]);
        symlink("2", home.join(CURRENT)).unwrap();
        sync(home, None);
        assert_eq!(names(home), ["shop/_next/static/old.js"]);
    }

    #[test]
    fn copies_are_compressed_and_go_with_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let text = "let text = 'so long that it is worth it';\n".repeat(100);
        release(home, "1", &[("a.js", &text), ("b.png", &text), ("c.js", "short")], &[]);
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
