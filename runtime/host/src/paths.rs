//! The folders of a stack.
//!
//! Sockets, pointers, pipes, locks and records are in `run/`, on a tmpfs: a new file takes two or three microseconds
//! there and fifty on a disk, a start makes about eight, and none of them is needed after a reboot. A socket path has
//! at most 107 bytes, so the path of `run/` is short however deep the stack is: `.core-stack/run` links to it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use core_manifest::ServiceName;
use core_shim::folder;
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use crate::{keeper, run_folder, users};

/// The file in a run folder that names its stack.
const ROOT: &str = "root";
/// A path that never exists: the run folder of a stack that cannot have one.
const NOWHERE: &str = "no-run-folder";

/// The folders of a stack, all absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The root of the stack.
    pub root: PathBuf,
    /// Twelve hexadecimal digits: a hash of the root's path.
    pub hash: String,
    /// The run folder itself, not the link to it.
    pub run: PathBuf,
    /// The root when the stack was started, if its folder was moved since.
    pub moved_from: Option<PathBuf>,
    /// Whether a search of all processes found a keeper of the stack; `None` if there was no search.
    pub(crate) searched: Option<bool>,
}

/// The contents of the file in a run folder: the root that it was made for.
struct Note {
    path: PathBuf,
    /// Device and inode of the root, which do not change when it is moved.
    identity: (u64, u64),
}

impl Paths {
    /// The nearest folder at or above `from` that contains `services/`.
    pub fn find_root(from: &Path) -> Option<PathBuf> {
        from.ancestors().find(|folder| folder.join("services").is_dir()).map(Path::to_owned)
    }

    /// The folders of the stack at `root`; missing ones are made.
    ///
    /// # Errors
    /// A folder cannot be made, or another user could change it.
    pub fn open(root: &Path) -> io::Result<Self> {
        Self::look(root)?.opened()
    }

    /// Makes the folders that are missing.
    ///
    /// # Errors
    /// A folder cannot be made, or another user could change it.
    pub fn opened(self) -> io::Result<Self> {
        let mut paths = self;
        let state = paths.state();
        folder::make(&state, 0o700)?;
        let owners = owners(&paths.root);
        if !owners.iter().any(|owner| run_folder::is_of_alone(&state, *owner)) {
            run_folder::check(&state)?;
        }
        paths.open_run()?;
        if !keeper::lives(&paths.run) {
            // The stack does not run, so it is not bound to its former place.
            paths.moved_from = None;
        }
        run_folder::make_passable(&paths.edge())?;
        paths.write_down()?;
        paths.searched = None;
        Ok(paths)
    }

    /// Opens the run folder that was found, or makes a new one.
    fn open_run(&mut self) -> io::Result<()> {
        let found = &self.run;
        let is_ours = run_folder::is_of_alone(found, geteuid().as_raw());
        if found.is_dir() && !is_ours && !self.is_dead() {
            let owner = fs::metadata(found).map_or(0, |meta| meta.uid());
            let who = users::name(owner).unwrap_or_else(|| owner.to_string());
            let message = format!("it runs as {who}, in {}: be that user, or `core down` first", found.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let is_found = || self.searched.unwrap_or_else(|| keeper::find(&self.root, &[geteuid().as_raw()]).is_some());
        if found.is_dir() && is_ours || is_found() {
            // It may have been removed while the stack runs.
            return run_folder::restore(found);
        }
        self.run = run_folder::make(&self.hash)?;
        Ok(())
    }

    /// Whether no process of the stack lives that the run folder belongs to.
    fn is_dead(&self) -> bool {
        let instances = run_folder::instances(&self.run);
        let holds = |name: String| core_shim::guard::is_held(&core_shim::place::Place::new(&self.run, &name));
        !keeper::lives(&self.run) && !instances.iter().any(|instance| holds(instance.to_string()))
    }

    /// Writes the link from the stack to its run folder, and the note that leads back.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn write_down(&self) -> io::Result<()> {
        folder::make(&self.state(), 0o700)?;
        let link = self.state().join("run");
        if fs::read_link(&link).ok().as_deref() != Some(self.run.as_path()) {
            let _ = fs::remove_file(&link);
            symlink(&self.run, &link)?;
        }
        let note = self.run.join(ROOT);
        let text = Note::of(&self.root)?.text();
        if self.moved_from.is_none() && fs::read(&note).ok().as_deref() != Some(text.as_bytes()) {
            fs::write(&note, text)?;
        }
        Ok(())
    }

    /// The folders of the stack at `root`; none is made. The run folder of a running stack is found wherever it is.
    ///
    /// # Errors
    /// `root` is not a folder.
    pub fn look(root: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let hash = core_stack::hex(&digest[..6]);
        let owners = owners(&root);
        // The run folder that the stack was started with counts, not the environment of this shell.
        let linked = fs::read_link(root.join(".core-stack/run")).ok();
        let linked = linked.filter(|run| owners.iter().any(|owner| run_folder::check_of(run, *owner).is_ok()));
        let known = linked.and_then(|run| match whose(&run, &root, &hash) {
            Whose::Ours => Some((None, run)),
            Whose::MovedFrom(path) => Some((Some(path), run)),
            Whose::Another => None,
        });
        let mut searched = None;
        let (moved_from, run) = known.unwrap_or_else(|| {
            let found = keeper::find(&root, &owners);
            searched = Some(found.is_some());
            let run = found.or_else(|| run_folder::look(&hash));
            (None, run.unwrap_or_else(|| root.join(".core-stack").join(NOWHERE)))
        });
        Ok(Self { root, hash, run, moved_from, searched })
    }

    /// Names of the folders in `services` that may be services, in order. Their manifests are not read.
    pub fn service_names(&self) -> Vec<String> {
        service_names(&self.root)
    }

    /// Whether the service exists, or existed and has logs.
    pub fn knows_service(&self, name: &str) -> bool {
        self.root.join("services").join(name).is_dir() || self.logs().join(name).is_dir()
    }

    /// `.core-stack`.
    pub fn state(&self) -> PathBuf {
        self.root.join(folder::STATE)
    }

    /// `.core-stack/logs`.
    pub fn logs(&self) -> PathBuf {
        self.root.join(".core-stack/logs")
    }

    /// `.core-stack/core.log`: the log of supervisor and keeper.
    pub fn own_log(&self) -> PathBuf {
        self.root.join(".core-stack/core.log")
    }

    /// `.dep`.
    pub fn dep(&self) -> PathBuf {
        self.root.join(".dep")
    }

    /// `.releases`.
    pub fn releases(&self) -> PathBuf {
        self.root.join(".releases")
    }

    /// `.data`.
    pub fn data(&self) -> PathBuf {
        self.root.join(".data")
    }

    /// `.secrets`.
    pub fn secrets(&self) -> PathBuf {
        self.root.join(".secrets")
    }

    /// The export for process-compose.
    pub fn topology_file(&self) -> PathBuf {
        self.root.join(".core-stack/process-compose.yaml")
    }

    /// The history of generations and commands.
    pub fn history(&self) -> PathBuf {
        self.root.join(".core-stack/history.jsonl")
    }

    /// How services answered in the last day.
    pub fn uptime(&self) -> PathBuf {
        self.root.join(".core-stack/uptime.jsonl")
    }

    /// The lock file of binaries: `manifests/dep.lock.json`.
    pub fn dep_lock(&self) -> PathBuf {
        self.root.join("manifests/dep.lock.json")
    }

    /// The folder of the edge's pointers, in the run folder.
    pub fn edge(&self) -> PathBuf {
        self.run.join("edge")
    }

    /// The control socket, in the run folder.
    pub fn socket(&self) -> PathBuf {
        self.run.join("core.sock")
    }

    /// Name of the stack's cgroup.
    pub fn cgroup(&self) -> String {
        format!("core-{}", self.hash)
    }

    /// A path as shown to people: relative to the root if it is below it.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// Names of the folders in a root's `services` that may be services, in order. Their manifests are not read: an error
/// in one must not matter to a caller that only needs the names.
pub fn service_names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("services")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| ServiceName::new(name).is_ok()).collect();
    names.sort();
    names
}

impl Note {
    fn of(root: &Path) -> io::Result<Self> {
        let meta = fs::metadata(root)?;
        Ok(Self { path: root.to_owned(), identity: (meta.dev(), meta.ino()) })
    }

    fn read(run: &Path) -> Option<Self> {
        let text = fs::read_to_string(run.join(ROOT)).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let identity = (field("device")?.parse().ok()?, field("inode")?.parse().ok()?);
        Some(Self { path: field("path")?.into(), identity })
    }

    fn text(&self) -> String {
        let Self { path, identity: (device, inode) } = self;
        format!("device {device}\ninode {inode}\npath {}\n", path.display())
    }
}

/// The stack that a run folder belongs to.
enum Whose {
    /// The stack in question.
    Ours,
    /// The stack in question, which was started when its folder was at this path.
    MovedFrom(PathBuf),
    /// Another stack: a copy of a stack contains the same link.
    Another,
}

fn whose(run: &Path, root: &Path, hash: &str) -> Whose {
    match Note::read(run) {
        // The first releases wrote no note.
        None if run.ends_with(hash) => Whose::Ours,
        None => Whose::Another,
        Some(note) if note.path == root => Whose::Ours,
        Some(note) => {
            let is_moved = Note::of(root).is_ok_and(|own| own.identity == note.identity) || !note.path.exists();
            if is_moved { Whose::MovedFrom(note.path) } else { Whose::Another }
        }
    }
}

/// The UIDs that a stack may run as: ours, and for root also the owners of its folders.
fn owners(root: &Path) -> Vec<u32> {
    let mut owners = vec![geteuid().as_raw()];
    if geteuid().is_root() {
        let of = |path: &Path| fs::symlink_metadata(path).ok().map(|meta| meta.uid());
        owners.extend([of(&root.join(".core-stack")), of(root)].into_iter().flatten());
    }
    owners
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
        assert_eq!(fs::metadata(&paths.run).unwrap().mode() & 0o777, 0o711);
        assert_eq!(Paths::find_root(&deep.join("services")), Some(deep));
        fs::remove_dir_all(&paths.run).unwrap();
    }

    #[test]
    fn a_stack_that_was_moved_is_found_and_a_copy_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let (first, moved) = (folder.path().join("first"), folder.path().join("moved"));
        fs::create_dir_all(first.join("services")).unwrap();
        let paths = Paths::open(&first).unwrap();
        let copy = folder.path().join("copy");
        fs::create_dir_all(copy.join(".core-stack")).unwrap();
        symlink(&paths.run, copy.join(".core-stack/run")).unwrap();
        assert_ne!(Paths::look(&copy).unwrap().run, paths.run);
        fs::rename(&first, &moved).unwrap();
        let found = Paths::look(&moved).unwrap();
        assert_eq!((&found.run, found.moved_from.as_ref()), (&paths.run, Some(&paths.root)));
        fs::remove_dir_all(&paths.run).unwrap();
    }
}
