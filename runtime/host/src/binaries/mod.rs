//! Binaries: a source is chosen, then the binary is downloaded or built, verified, and renamed into `.dep/` ("landed"),
//! so that each folder there is either complete or absent.

pub(crate) mod archive;
mod cargo_build;
mod choose;
pub(crate) mod fence;
mod go_build;
pub(crate) mod inputs;
mod lock;
pub(crate) mod log;
pub(crate) mod modes;
mod names;
mod npm;
pub(crate) mod owner;
mod parts;
mod program;
mod progress;
mod pypi;
pub(crate) mod run;
mod url;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use core_engine::event::Unavailable;
use core_manifest::manifest::Source;
use core_stack::Wanted;
use nix::fcntl::{Flock, FlockArg};

use crate::paths::Paths;
use crate::trust::Trust;
pub(crate) use choose::Release;
pub use choose::{Locator, platform};
pub(crate) use inputs::NEVER_INPUTS;
pub use lock::{Entry, LockFile};
use modes::Origin;
pub(crate) use modes::is_open;
pub use npm::npm_cli;
use owner::Owner;
pub(crate) use program::{Asking, ask, find_in_working_dirs, first_version};
pub use progress::{Job, Progress};

/// The file in each landed folder of a downloaded binary that holds its entry in the lock file.
const RECEIPT: &str = ".core.json";

/// A download, unpacked into a folder that has not landed yet.
struct Fetched {
    /// Name of the downloaded file.
    file: String,
    /// Its SHA-256, in hexadecimal digits.
    sha256: String,
}

/// A folder of `.dep/` that is being made.
struct Landing<'a> {
    paths: &'a Paths,
    /// The folder's name.
    folder: &'a str,
    /// What it holds, and how to make it.
    wanted: &'a Wanted,
    /// Where it is made. Folders beside it are deleted with it, whether it lands or not.
    scratch: &'a Path,
    /// The user who builds.
    owner: Owner,
    progress: &'a Progress,
}

impl Landing<'_> {
    /// Reports what is being done.
    fn say(&self, what: &str) {
        self.progress.say(self.folder, what);
    }

    /// A new folder beside it, for downloads that do not land.
    fn downloads(&self) -> Result<PathBuf, String> {
        self.beside("download")
    }

    /// A folder beside it, for temporary files that killed programs leave behind.
    fn temporary(&self) -> Result<PathBuf, String> {
        let folder = self.beside("tmp")?;
        self.owner.take(&folder).map(|()| folder)
    }

    fn beside(&self, ending: &str) -> Result<PathBuf, String> {
        let folder = self.scratch.with_extension(ending);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder)
    }
}

/// The folders of `.dep/` that exist and that only trusted users could change. Each is examined once: `sound` holds
/// those that passed.
pub fn present(paths: &Paths, sound: &mut BTreeSet<String>) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(paths.dep()) else { return BTreeSet::new() };
    let trust = Trust::of(&paths.root);
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let there: BTreeSet<String> = names.filter(|name| !name.starts_with('.')).collect();
    sound.retain(|name| there.contains(name));
    for name in there {
        if !sound.contains(&name) && !is_open(&paths.dep().join(&name), &trust) {
            sound.insert(name);
        }
    }
    sound.clone()
}

/// Makes sure that `folder` exists. Works on a folder once at a time, across all processes of the machine.
///
/// # Errors
/// Why it is not available, as text for people.
pub async fn prepare(paths: &Paths, folder: &str, wanted: &Wanted, progress: &Progress) -> Result<(), Unavailable> {
    let dep = paths.dep();
    fs::create_dir_all(&dep).map_err(|error| format!("{}: {error}", dep.display()))?;
    let trust = Trust::of(&paths.root);
    let checked = fs::metadata(&dep).map_err(|error| format!("{}: {error}", dep.display()))?;
    if let Err(open) = trust.check(&checked) {
        return Err(format!(".dep {}: {} .dep, and delete what is in it", open.what, open.remedy).into());
    }
    let _guard = turn(paths, folder).await?;
    let target = paths.dep().join(folder);
    // A folder that others can write to may hold anything by now, so it is made again.
    if target.is_dir() && !is_open(&target, &trust) {
        check_landed(paths, &target, wanted)?;
        return Ok(link(paths, folder, wanted)?);
    }
    land(paths, folder, wanted, progress).await
}

/// Waits until no other process makes this folder.
async fn turn(paths: &Paths, folder: &str) -> Result<impl Sized, String> {
    lock_file(&paths.dep().join(format!(".{folder}.lock"))).await
}

/// Waits until no other process has locked this file.
///
/// # Errors
/// Why it cannot be locked, as text for people.
pub(crate) async fn lock_file(path: &Path) -> Result<Flock<File>, String> {
    let path = path.to_owned();
    let guard = tokio::task::spawn_blocking(move || lock_folder(&path)).await.map_err(|error| error.to_string())?;
    guard.map_err(|error| format!("its lock cannot be taken: {error}"))
}

/// Makes a new folder beside the target and swaps them. The old one stays usable until then, and where the kernel can
/// exchange two names it is never missing.
async fn land(paths: &Paths, folder: &str, wanted: &Wanted, progress: &Progress) -> Result<(), Unavailable> {
    let target = paths.dep().join(folder);
    let scratch = Scratch::new(paths.dep().join(format!(".new-{folder}")))?;
    let made = scratch.0.join("landing");
    let owner = Owner::of(&paths.root)?;
    make(&Landing { paths, folder, wanted, scratch: &made, owner, progress }).await?;
    let origin = if wanted.source.is_built() { Origin::Built } else { Origin::Fetched };
    modes::settle(&made, origin).map_err(|error| format!("{}: {error}", made.display()))?;
    put_in_place(&made, &target).map_err(|error| format!("{} cannot land: {error}", target.display()))?;
    Ok(link(paths, folder, wanted)?)
}

/// Swaps a new folder with the old one, which is then deleted with the scratch folder.
fn put_in_place(made: &Path, target: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    if !target.exists() {
        return fs::rename(made, target);
    }
    match renameat_with(CWD, made, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // A file system without exchange: the path is missing for a moment between two renames.
        Err(_) => fs::rename(target, made.with_extension("before")).and_then(|()| fs::rename(made, target)),
    }
}

/// Makes sure that the tool that `wanted` is made with exists: a folder of `all`.
///
/// # Errors
/// Why it is not available.
pub async fn prepare_tool(
    paths: &Paths,
    all: &BTreeMap<String, Wanted>,
    wanted: &Wanted,
    progress: &Progress,
) -> Result<(), Unavailable> {
    let folder = wanted.tool.as_ref().and_then(|(_, folder)| folder.as_ref());
    match folder.and_then(|folder| all.get_key_value(folder)) {
        Some((folder, tool)) => {
            let landed = prepare(paths, folder, tool, progress).await;
            landed.map_err(|error| Unavailable { why: format!("{folder}: {}", error.why), ..error })
        }
        None => Ok(()),
    }
}

/// Downloads a binary again and locks the result, whatever was locked before. If it is not available, nothing changes.
/// Returns the new entry; `None` for a source that is not locked.
///
/// # Errors
/// Why it is not available, as text for people.
pub async fn relock(
    paths: &Paths,
    folder: &str,
    wanted: &Wanted,
    progress: &Progress,
) -> Result<Option<Entry>, String> {
    let lock = paths.dep_lock();
    let _guard = turn(paths, folder).await?;
    let before = LockFile::forget(&lock, &wanted.binary)?;
    if let Err(error) = land(paths, folder, wanted, progress).await {
        if let Some(before) = before {
            LockFile::verify_or_add(&lock, &wanted.binary, &before)?;
        }
        return Err(error.why);
    }
    Ok(LockFile::read(&lock)?.entry(&wanted.binary).cloned())
}

/// A folder for work in progress. It is deleted when dropped, also if the work is cancelled.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder, and deletes what a killed supervisor left in it.
    ///
    /// # Errors
    /// The error of the file system, as text.
    pub(crate) fn new(path: PathBuf) -> Result<Self, String> {
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn make(landing: &Landing<'_>) -> Result<(), Unavailable> {
    let Landing { paths, wanted, scratch, .. } = landing;
    fs::create_dir(scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    let fetched = match &wanted.source {
        Source::Path { .. } => return Ok(()),
        Source::NextBuild { .. } | Source::NextDev { .. } => {
            return Err("an app is made by other means".to_owned().into());
        }
        Source::CargoBuild { .. } => return Ok(cargo_build::build(landing).await?),
        Source::GoBuild { path: Some(path), .. } => return Ok(go_build::build(landing, path).await?),
        Source::GoBuild { .. } => go_build::fetch(landing).await?,
        Source::Url { url, sha256, .. } => url::fetch(landing, url, sha256).await?,
        Source::Pypi { package, version, file } => pypi::fetch(landing, package, version, file.as_deref()).await?,
        Source::Npm { package, version, file } => npm::fetch(landing, package, version, file.as_deref()).await?,
    };
    if let Some(program) = &wanted.program {
        make_executable(scratch, program)
            .map_err(|error| format!("{} holds no program `{program}`: {error}", fetched.file))?;
    }
    let entry = Entry {
        source: wanted.source.word().to_owned(),
        version: wanted.version.clone(),
        file: fetched.file,
        sha256: fetched.sha256,
    };
    // Only the file that was locked first is trusted, whichever machine locked it; not another file of the same name.
    verify(paths, wanted, &entry)?;
    let text = serde_json::to_string(&entry).map_err(|error| error.to_string())?;
    let receipt = scratch.join(RECEIPT);
    // An archive may contain one, and it may be a link to a file elsewhere.
    let _ = fs::remove_file(&receipt);
    Ok(fs::write(receipt, text).map_err(|error| error.to_string())?)
}

/// A download that differs from the lock file is not replaced by another source: a person has to look at it.
fn verify(paths: &Paths, wanted: &Wanted, entry: &Entry) -> Result<(), Unavailable> {
    let verified = LockFile::verify_or_add(&paths.dep_lock(), &wanted.binary, entry);
    verified.map_err(|why| Unavailable { why, is_final: true })
}

/// A folder that landed before must match the lock file.
fn check_landed(paths: &Paths, target: &Path, wanted: &Wanted) -> Result<(), Unavailable> {
    if wanted.source.is_built() {
        return Ok(());
    }
    let text = fs::read_to_string(target.join(RECEIPT))
        .map_err(|_| format!("{} has no receipt; delete the folder to fetch it again", paths.shown(target)))?;
    let entry: Entry = serde_json::from_str(&text)
        .map_err(|_| format!("the receipt of {} is broken; delete the folder", paths.shown(target)))?;
    verify(paths, wanted, &entry)
}

/// Points the link `.dep/<name>` to the chosen folder, for people.
fn link(paths: &Paths, folder: &str, wanted: &Wanted) -> Result<(), String> {
    let link = paths.dep().join(&wanted.binary);
    if fs::read_link(&link).ok().as_deref() == Some(Path::new(folder)) {
        return Ok(());
    }
    let beside = paths.dep().join(format!(".link-{}", wanted.binary));
    let _ = fs::remove_file(&beside);
    symlink(folder, &beside)
        .and_then(|()| fs::rename(&beside, &link))
        .map_err(|error| format!("{} cannot be linked: {error}", link.display()))
}

/// Makes a downloaded program executable; a link that leads outside the download is refused.
fn make_executable(scratch: &Path, program: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let path = fs::canonicalize(scratch.join(program))?;
    if !path.starts_with(fs::canonicalize(scratch)?) {
        return Err(io::Error::other("it leads outside"));
    }
    let meta = fs::metadata(&path)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut permissions = meta.permissions();
    permissions.set_mode(permissions.mode() | 0o111);
    fs::set_permissions(path, permissions)
}

fn lock_folder(path: &PathBuf) -> io::Result<Flock<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}
