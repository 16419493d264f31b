//! A cgroup of its own for each instance, where cgroup v2 is there and may be written: so that a tree is killed at
//! once, and is known whole. Without one, the tree is what descends from the shim.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

/// The cgroup of an instance.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    folder: File,
    /// It was killed whole, or may have been: somebody before us has made it.
    is_spent: Cell<bool>,
}

/// The folder of cgroup v2 in which this process may make cgroups, if there is one.
pub fn base() -> Option<PathBuf> {
    base_of("self")
}

/// The same of another process, by its number.
pub fn base_of(process: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (_, path, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path))
    })?;
    let own = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = mount.join(own);
    // Whoever may not write here may not make cgroups here.
    let may_write = nix::unistd::access(&folder, nix::unistd::AccessFlags::W_OK).is_ok();
    (may_write && folder.join("cgroup.kill").exists() | folder.join("cgroup.procs").exists()).then_some(folder)
}

impl Cgroup {
    /// Makes the cgroup `name` in `base`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make(base: &Path, name: &str) -> io::Result<Self> {
        let path = base.join(name);
        let mut was_there = false;
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(base)?;
                fs::create_dir(&path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => was_there = true,
            other => other?,
        }
        Ok(Self { folder: File::open(&path)?, path, is_spent: Cell::new(was_there) })
    }

    /// The same one for the next invocation, or another in its place: where one was killed whole, Linux 6.18 kills
    /// whatever is begun in it from then on, too. Nothing may be in it.
    ///
    /// # Errors
    /// What the file system says; one that something is left in cannot be made anew.
    pub fn anew(self) -> io::Result<Self> {
        if !self.is_spent.get() {
            return Ok(self);
        }
        for below in sub_folders(&self.path) {
            remove_tree(&below);
        }
        fs::remove_dir(&self.path)?;
        fs::create_dir(&self.path)?;
        Ok(Self { folder: File::open(&self.path)?, path: self.path, is_spent: Cell::new(false) })
    }

    /// For a fork into it.
    pub fn fd(&self) -> RawFd {
        self.folder.as_raw_fd()
    }

    /// The file by which a process enters it.
    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// The processes in it and below it.
    pub fn members(&self) -> Vec<u32> {
        members_of(&self.path)
    }

    /// Kills everything in it, whatever is being forked meanwhile (Linux 5.14 and later).
    pub fn kill(&self) -> bool {
        self.is_spent.set(true);
        fs::write(self.path.join("cgroup.kill"), "1").is_ok()
    }

    /// Takes it away; it must be empty.
    pub fn remove(&self) {
        remove_tree(&self.path);
    }
}

/// The processes in a cgroup and below it.
pub fn members_of(folder: &Path) -> Vec<u32> {
    let mut all = Vec::new();
    collect(folder, &mut all);
    all
}

fn collect(folder: &Path, all: &mut Vec<u32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    all.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    for below in sub_folders(folder) {
        collect(&below, all);
    }
}

/// Takes away a cgroup and those below it, as far as they are empty.
pub fn remove_tree(folder: &Path) {
    for below in sub_folders(folder) {
        remove_tree(&below);
    }
    let _ = fs::remove_dir(folder);
}

fn sub_folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}
