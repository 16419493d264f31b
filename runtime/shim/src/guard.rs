//! Guards against a second copy. Before a start, all of them must confirm that no process of the last invocation is
//! alive; in case of doubt, nothing is touched, and that is reported.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use crate::cgroup;
use crate::place::Place;
use crate::record::{Ended, Invocation};
use crate::sys;

/// Whether the first process of a record is still the same process.
pub fn is_alive(record: &Invocation) -> bool {
    if record.pid == 0 || record.boot != sys::boot_id() {
        return false;
    }
    let has_ended = sys::Stat::of(record.pid).is_none_or(|stat| stat.has_ended(record.pid));
    !has_ended
        && sys::identity(record.pid).is_some_and(|(ticks, inode)| {
            ticks == record.start_ticks && (inode == record.pidfd_inode || inode == 0 || record.pidfd_inode == 0)
        })
}

/// The processes with a mark in their environment. Reads as much of `/proc` as this process may read.
pub fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("CORE_INSTANCE={mark}");
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let carries = |pid: &u32| {
        let env = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        env.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes())
    };
    pids.filter(carries).collect()
}

/// Opens the file whose lock shows that a process of the invocation is alive.
///
/// # Errors
/// The error of the file system.
pub fn open_lock(place: &Place) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(place.lock())
}

/// Takes the lock, for the open file and all processes that inherit it. Returns false if another process has it.
///
/// # Errors
/// The error of the kernel.
pub fn try_lock(file: &File) -> io::Result<bool> {
    let lock = whole_file();
    // SAFETY: the pointer is to a live value of the type that this command reads.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    match Errno::result(result) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether another process has the lock. Does not take it.
///
/// # Errors
/// The error of the kernel.
pub fn is_locked(file: &File) -> io::Result<bool> {
    let mut lock = whole_file();
    // SAFETY: the pointer is to a live, writable value of the type that this command reads and writes.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    Errno::result(result)?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap_or(1),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or(0),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Locks a file by its path, and creates it if it is missing. `None` if another process has the lock. A process that
/// exits removes its lock file, so a lock only counts if the file is still at its path.
///
/// # Errors
/// The error of the kernel.
pub fn lock_at(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if !try_lock(&file)? {
            return Ok(None);
        }
        if stands_at(&file, path) {
            return Ok(Some(file));
        }
    }
}

/// Whether the file at a path is this file.
pub fn stands_at(file: &File, path: &Path) -> bool {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    file.metadata().is_ok_and(|mine| fs::metadata(path).is_ok_and(|there| identity(there) == identity(mine)))
}

/// Whether a process has the lock that shows that an invocation is alive. In case of doubt it counts as held, except
/// when the file does not exist.
pub fn is_held(place: &Place) -> bool {
    is_held_at(&place.lock())
}

/// The same for any lock file.
pub fn is_held_at(path: &Path) -> bool {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => is_locked(&file).unwrap_or(true),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// The processes that have the lock of an invocation: they inherited it, whatever they did to their environment. Looks
/// through the descriptors of all processes, as far as this process may.
pub fn holders(place: &Place) -> Vec<u32> {
    let Ok(lock) = fs::metadata(place.lock()) else { return Vec::new() };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_it = |pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.map(|entry| entry.path()).any(|path| {
            fs::read_link(&path).is_ok_and(|target| target.as_os_str().as_encoded_bytes().ends_with(b"/lock"))
                && fs::metadata(&path).is_ok_and(|meta| (meta.dev(), meta.ino()) == (lock.dev(), lock.ino()))
        })
    };
    pids.filter(|pid| *pid != own && has_it(pid)).collect()
}

/// All processes of an invocation that can be found without its shim: those with its mark, those with its lock, and
/// those in its cgroup.
pub fn survivors(place: &Place, cgroup: Option<&Path>) -> BTreeSet<u32> {
    let record = Invocation::read(&place.invocation()).ok();
    let mut all: BTreeSet<u32> = BTreeSet::new();
    if let Some(record) = record.filter(|record| record.boot == sys::boot_id()) {
        all.extend(marked(&record.mark));
        all.extend(Some(record.pid).filter(|_| is_alive(&record)));
    }
    if is_held(place) {
        all.extend(holders(place));
    }
    all.extend(cgroup.map(cgroup::members_of).unwrap_or_default());
    all.retain(|pid| sys::Stat::of(*pid).is_some_and(|stat| !stat.has_ended(*pid)));
    all
}

/// Checks that a start is safe: no process that the records and the lock of `place` describe may be alive.
///
/// # Errors
/// What may still be alive.
pub fn check(place: &Place) -> Result<(), String> {
    let Ok(record) = Invocation::read(&place.invocation()) else {
        return if place.invocation().exists() { Err("its record cannot be read".into()) } else { Ok(()) };
    };
    if record.boot != sys::boot_id() {
        return Ok(());
    }
    if is_alive(&record) {
        return Err(format!("process {} of invocation {} lives", record.pid, record.number));
    }
    // The shim saw the whole tree end.
    if Ended::read(&place.exit()).is_ok_and(|ended| ended.number == record.number && !ended.leftovers) {
        return Ok(());
    }
    let lives = marked(&record.mark);
    if lives.is_empty() {
        Ok(())
    } else {
        Err(format!("processes {lives:?} carry the mark of invocation {}", record.number))
    }
}

/// Whether a path exists and is a named pipe.
pub fn is_fifo(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_fifo())
}
