//! A cgroup for each instance, if cgroup v2 is available and writable: a tree can then be killed at once, and all of it
//! is known. Without one, the tree consists of the descendants of the shim.

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
    /// Whether it was killed as a whole, or may have been because an earlier shim created it.
    is_spent: Cell<bool>,
}

/// The cgroup v2 folder in which this process may create cgroups, if there is one.
pub fn base() -> Option<PathBuf> {
    base_of("self")
}

/// The same for another process; `process` is its PID.
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
    // Without the right to write here, no cgroup can be created here.
    let may_write = nix::unistd::access(&folder, nix::unistd::AccessFlags::W_OK).is_ok();
    (may_write && folder.join("cgroup.kill").exists() | folder.join("cgroup.procs").exists()).then_some(folder)
}

impl Cgroup {
    /// Creates the cgroup `name` in `base`.
    ///
    /// # Errors
    /// The error of the file system.
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

    /// The cgroup for the next invocation: the same one, or a new one in its place if it was killed as a whole, because
    /// Linux 6.18 then also kills every process that starts in it later. It must be empty.
    ///
    /// # Errors
    /// The error of the file system; a cgroup that is not empty cannot be created again.
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

    /// The descriptor for forking into it.
    pub fn fd(&self) -> RawFd {
        self.folder.as_raw_fd()
    }

    /// The file through which a process enters it.
    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// The processes in it and below it.
    pub fn members(&self) -> Vec<u32> {
        members_of(&self.path)
    }

    /// Kills everything in it, even while it forks (Linux 5.14 and later). Returns whether that worked.
    pub fn kill(&self) -> bool {
        self.is_spent.set(true);
        fs::write(self.path.join("cgroup.kill"), "1").is_ok()
    }

    /// Removes it; it must be empty.
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

/// Removes a cgroup and those below it, as far as they are empty.
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
