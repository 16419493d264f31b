//! The folders of a stack.
//!
//! Sockets, pointers, pipes, locks and records live in `run/`, on a tmpfs: a new file costs two or three microseconds
//! there and fifty on a disk, a start makes about eight, and none of them means anything after a reboot. Socket paths
//! have 107 bytes, so `run/` is short however deep the stack lies: `.core-stack/run` points to it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use core_manifest::ServiceName;
use sha2::{Digest, Sha256};

/// What `statfs` calls a tmpfs.
const TMPFS: i64 = 0x0102_1994;

/// The folders of a stack, all absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The stack's root.
    pub root: PathBuf,
    /// Twelve hexadecimal digits that stand for the root.
    pub hash: String,
    /// The run folder itself, not the link to it.
    pub run: PathBuf,
}

impl Paths {
    /// The nearest folder upwards of `from` that holds `services/`.
    pub fn find_root(from: &Path) -> Option<PathBuf> {
        from.ancestors().find(|folder| folder.join("services").is_dir()).map(Path::to_owned)
    }

    /// The folders of the stack at `root`, made where they are missing.
    ///
    /// # Errors
    /// When a folder cannot be made, or the run folder is somebody else's.
    pub fn open(root: &Path) -> io::Result<Self> {
        let paths = Self::look(root)?;
        DirBuilder::new().recursive(true).mode(0o700).create(paths.state())?;
        make_private(&paths.run)?;
        let link = paths.state().join("run");
        if fs::read_link(&link).ok().as_deref() != Some(paths.run.as_path()) {
            let _ = fs::remove_file(&link);
            symlink(&paths.run, &link)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(paths.edge())?;
        Ok(paths)
    }

    /// The folders of the stack at `root`, without making any.
    ///
    /// # Errors
    /// When `root` is no folder.
    pub fn look(root: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let hash = crate::hex(&digest[..6]);
        // What a running stack was started with counts, whatever this shell's environment says.
        let linked = fs::read_link(root.join(".core-stack/run")).ok();
        let linked = linked.filter(|target| target.ends_with(&hash) && is_private(target).is_ok());
        let run = linked.unwrap_or_else(|| base().join(&hash));
        Ok(Self { root, hash, run })
    }

    /// Names of the folders in `services` that could be services, in order. Their manifests are not read.
    pub fn service_names(&self) -> Vec<String> {
        service_names(&self.root)
    }

    /// Whether there is a service of this name, or was one: its logs are there.
    pub fn knows_service(&self, name: &str) -> bool {
        self.root.join("services").join(name).is_dir() || self.logs().join(name).is_dir()
    }

    /// `.core-stack`.
    pub fn state(&self) -> PathBuf {
        self.root.join(".core-stack")
    }

    /// `.core-stack/logs`.
    pub fn logs(&self) -> PathBuf {
        self.root.join(".core-stack/logs")
    }

    /// What supervisor and keeper have to say.
    pub fn own_log(&self) -> PathBuf {
        self.root.join(".core-stack/core.log")
    }

    /// `.dep`.
    pub fn dep(&self) -> PathBuf {
        self.root.join(".dep")
    }

    /// `.data`.
    pub fn data(&self) -> PathBuf {
        self.root.join(".data")
    }

    /// `.secrets`.
    pub fn secrets(&self) -> PathBuf {
        self.root.join(".secrets")
    }

    /// The stack as process-compose reads it.
    pub fn topology_file(&self) -> PathBuf {
        self.root.join(".core-stack/process-compose.yaml")
    }

    /// What was done: generations, and acts of operators.
    pub fn history(&self) -> PathBuf {
        self.root.join(".core-stack/history.jsonl")
    }

    /// The lock file of binaries.
    pub fn dep_lock(&self) -> PathBuf {
        self.root.join("manifests/dep.lock.json")
    }

    /// The edge's pointers.
    pub fn edge(&self) -> PathBuf {
        self.run.join("edge")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("core.sock")
    }

    /// Name of the stack's cgroup.
    pub fn cgroup(&self) -> String {
        format!("core-{}", self.hash)
    }

    /// A path as people know it: relative to the root, where it is below it.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// Names of the folders below a root's `services` that could be services, in order. Their manifests are not read: a
/// fault in them must not hinder whoever only wants to know what there is.
pub fn service_names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("services")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| ServiceName::new(name).is_ok()).collect();
    names.sort();
    names
}

/// The folder in which run folders are made: on a tmpfs that is ours, where there is one.
fn base() -> PathBuf {
    let user = nix::unistd::geteuid();
    let mut candidates = Vec::new();
    if let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        candidates.push((PathBuf::from(folder), false));
    }
    if user.is_root() {
        candidates.push((PathBuf::from("/run"), false));
    }
    // Anybody may write there, so the folder in it must be ours.
    candidates.push((PathBuf::from("/dev/shm"), true));
    for (folder, shared) in candidates {
        let is_ours = shared || fs::metadata(&folder).is_ok_and(|meta| meta.uid() == user.as_raw());
        if is_ours && is_tmpfs(&folder) && nix::unistd::access(&folder, nix::unistd::AccessFlags::W_OK).is_ok() {
            return if shared { folder.join(format!("core-{user}")) } else { folder.join("core") };
        }
    }
    std::env::temp_dir().join(format!("core-{user}"))
}

pub(crate) fn is_tmpfs(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|stat| stat.f_type == TMPFS)
}

/// Makes a folder and those above it that are missing, each readable by us alone, and checks that it is.
fn make_private(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent()
        && !parent.exists()
    {
        match DirBuilder::new().mode(0o700).create(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => is_private(parent)?,
        }
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => is_private(folder),
    }
}

/// A folder of ours, no link, that nobody else may write to.
pub(crate) fn is_private(folder: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(folder)?;
    let user = nix::unistd::geteuid().as_raw();
    if meta.is_dir() && meta.uid() == user && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    let message = format!(
        "{} is not a folder of ours alone (owner {}, mode {:o})",
        folder.display(),
        meta.uid(),
        meta.mode() & 0o7777
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_folder_is_short_private_and_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(90)).join("y".repeat(90));
        fs::create_dir_all(deep.join("services")).unwrap();
        let paths = Paths::open(&deep).unwrap();
        assert!(paths.socket().as_os_str().len() < 80, "{}", paths.socket().display());
        assert_eq!(Paths::open(&deep).unwrap(), paths);
        assert_eq!(fs::read_link(deep.join(".core-stack/run")).unwrap(), paths.run);
        assert_eq!(fs::metadata(&paths.run).unwrap().mode() & 0o777, 0o700);
        assert_eq!(Paths::find_root(&deep.join("services")), Some(deep));
        fs::remove_dir_all(&paths.run).unwrap();
    }

    #[test]
    fn a_run_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        assert!(is_private(&open).is_err());
        symlink(folder.path(), folder.path().join("link")).unwrap();
        assert!(is_private(&folder.path().join("link")).is_err());
    }
}
