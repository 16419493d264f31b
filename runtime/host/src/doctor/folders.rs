//! The folders of a stack: their file systems and free space.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use core_shim::pump;
use nix::unistd::{AccessFlags, access};
use rustix::pipe::SpliceFlags;

use super::Finding;
use crate::paths::Paths;
use crate::run_folder::{check, is_tmpfs};
use crate::writable;

/// With less free space, logs and downloads may fail. In bytes.
const LITTLE: u64 = 1 << 30;
/// With less free space, even the state may not be saved. In bytes.
const NOTHING: u64 = 16 << 20;

/// Whether releases can be kept from being written to by their services.
pub(super) fn releases(paths: &Paths) -> Finding {
    let name = "releases";
    match writable::can_be_refused(paths) {
        Ok(()) => Finding::ok(name, "a service cannot write to its release (Landlock)"),
        Err(why) => Finding::weaker(
            name,
            why,
            "what a service writes into its release is not refused, and gone with the next one",
        ),
    }
}

/// Whether the run folder is on a tmpfs and belongs to the user.
pub(super) fn run(paths: &Paths) -> Finding {
    let name = "run-folder";
    let shown = paths.run.display().to_string();
    let there = nearest(&paths.run);
    let problem = if paths.run.exists() {
        check(&paths.run).err().map(|error| error.to_string())
    } else {
        access(&there, AccessFlags::W_OK).err().map(|error| format!("{shown} cannot be made: {}", error.desc()))
    };
    if let Some(problem) = problem {
        return Finding::missing(name, problem, "sockets, pipes and records have no place").required();
    }
    if is_tmpfs(&there) {
        return Finding::ok(name, format!("{shown}, a tmpfs")).required();
    }
    let without = "starts wait for a disk, and the kernel has more to write";
    Finding::weaker(name, format!("{shown}, no tmpfs of ours was found"), without).required()
}

/// Whether output can be moved from a pipe to a log without copying.
pub(super) fn splice(paths: &Paths) -> Finding {
    let name = "splice";
    let folder = nearest(&paths.logs());
    let without = "output is copied: a kill of a shim in the middle loses up to 64 KiB";
    match try_splice(&folder) {
        Ok(()) => Finding::ok(name, format!("output goes from pipe to log as one move in {}", folder.display())),
        Err(error) if error.raw_os_error().is_some_and(pump::must_copy) => {
            Finding::weaker(name, format!("{}: {error}", folder.display()), without)
        }
        Err(error) => Finding::missing(name, format!("{}: {error}", folder.display()), "output may be dropped"),
    }
}

fn try_splice(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".core-doctor-{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    // The name is not needed, and this way the file is always cleaned up.
    fs::remove_file(&path)?;
    let (read, write) = io::pipe()?;
    (&write).write_all(b"core")?;
    let mut at = 0;
    let moved =
        rustix::pipe::splice(read.as_fd(), None, &file, Some(&mut at), 4, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?;
    if moved == 4 { Ok(()) } else { Err(io::Error::other("a part was moved only")) }
}

/// Free space on the disk of a folder, and whether the folder is writable.
pub(super) fn space(name: &str, folder: &Path, paths: &Paths) -> Finding {
    let (shown, there) = (paths.shown(folder), nearest(folder));
    if let Err(error) = access(&there, AccessFlags::W_OK) {
        let found = format!("{shown} cannot be written: {}", error.desc());
        return Finding::missing(name, found, "nothing of the stack can be kept").required();
    }
    let free = match rustix::fs::statvfs(&there) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => return Finding::weaker(name, format!("{shown}: {error}"), "its room is not known").required(),
    };
    let room = if free < LITTLE { format!("{} MiB", free >> 20) } else { format!("{} GiB", free >> 30) };
    let found = format!("{shown}: {room} are free");
    match free {
        0..NOTHING => Finding::missing(name, found, "the state cannot be written, and output is dropped"),
        NOTHING..LITTLE => Finding::weaker(
            name,
            found,
            "output that cannot be written waits 2 s in its pipe and is dropped then; downloads and builds fail",
        ),
        _ => Finding::ok(name, found),
    }
    .required()
}

/// The folder, or the nearest existing one above it.
fn nearest(folder: &Path) -> PathBuf {
    folder.ancestors().find(|one| one.is_dir()).unwrap_or(Path::new("/")).to_owned()
}
