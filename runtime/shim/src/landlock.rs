//! Landlock: a process and all that it starts may write to some places only (`landlock(7)`).

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

/// Asks `landlock_create_ruleset` for the version of its interface.
const VERSION: libc::c_uint = 1;
/// The type of a rule about what is below a path.
const PATH_BENEATH: libc::c_int = 1;

/// Rights to write, by their numbers in `linux/landlock.h`: to a file, and to what a folder holds.
const WRITE_FILE: u64 = 1 << 1;
const OF_FOLDERS: u64 = (1 << 4) // remove a folder
    | (1 << 5) // remove a file
    | (1 << 6) // make a character device, …
    | (1 << 7) // … a folder, …
    | (1 << 8) // … a file, …
    | (1 << 9) // … a socket, …
    | (1 << 10) // … a pipe, …
    | (1 << 11) // … a block device, …
    | (1 << 12); // … a link.
/// Move or link a file to another folder: since version 2.
const REFER: u64 = 1 << 13;
/// Cut a file: since version 3.
const TRUNCATE: u64 = 1 << 14;

/// `struct landlock_ruleset_attr`, as far as it is used; the kernel takes the rest for zero.
#[repr(C)]
struct Ruleset {
    handled_access_fs: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: RawFd,
}

/// The version of the kernel's interface; `None` if the kernel has none, or it is switched off.
pub fn version() -> Option<u32> {
    // SAFETY: a plain system call; the null pointer means that there are no attributes.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0_usize, 0_usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// From now on this process and its descendants may only write to these files, and to what is below these folders. May
/// be called after a fork. Does nothing on a kernel without Landlock. Paths that do not exist are passed over.
///
/// # Errors
/// The error of the kernel.
pub(crate) fn restrict(writable: &[Vec<u8>]) -> Result<(), Errno> {
    let Some(version) = version() else { return Ok(()) };
    let refer = if version >= 2 { REFER } else { 0 };
    let truncate = if version >= 3 { TRUNCATE } else { 0 };
    let of_files = WRITE_FILE | truncate;
    let all = of_files | OF_FOLDERS | refer;
    let attributes = Ruleset { handled_access_fs: all };
    // SAFETY: the pointer is to a live value of the size that is given.
    let ruleset = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size_of::<Ruleset>(), 0_usize)
    };
    let ruleset = Errno::result(ruleset).and_then(|fd| RawFd::try_from(fd).map_err(|_| Errno::EBADF))?;
    // SAFETY: the kernel has just returned this descriptor, and nothing else owns it.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset) };
    for path in writable {
        let Ok(path) = CString::new(path.as_slice()) else { continue };
        // SAFETY: the path is a string that ends with a NUL byte.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
        if fd < 0 {
            continue;
        }
        // SAFETY: as above.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let allowed_access = if is_folder(&fd) { all } else { of_files };
        let rule = PathBeneath { allowed_access, parent_fd: fd.as_raw_fd() };
        // SAFETY: the pointer is to a live value of the type that belongs to the number.
        let added = unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), PATH_BENEATH, &raw const rule, 0_usize)
        };
        Errno::result(added)?;
    }
    // Without this, a program with the rights of another user could be run under restrictions that it does not expect.
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: a plain system call on this process.
    let restricted = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_usize) };
    Errno::result(restricted).map(drop)
}

fn is_folder(fd: &OwnedFd) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    #[test]
    fn only_what_is_listed_can_be_written() {
        // A kernel without it restricts nothing, and says so.
        let has_landlock = version().is_some();
        let folder = tempfile::tempdir().unwrap();
        let (open, shut) = (folder.path().join("open"), folder.path().join("shut"));
        for path in [&open, &shut] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("file"), "before").unwrap();
        }
        let writable = vec![open.as_os_str().as_bytes().to_vec(), b"/no/such/path".to_vec()];
        // SAFETY: the child only makes system calls, and leaves without running anything of the parent.
        let child = match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                let is_shut = |path: &std::path::Path| {
                    fs::write(path, "x").is_err_and(|error| error.raw_os_error() == Some(libc::EACCES))
                };
                let good = restrict(&writable).is_ok()
                    && fs::write(open.join("new"), "x").is_ok()
                    && fs::rename(open.join("new"), open.join("other")).is_ok()
                    && (is_shut(&shut.join("file"))
                        && is_shut(&shut.join("new"))
                        && fs::remove_file(shut.join("file")).is_err()
                        && fs::read(shut.join("file")).is_ok_and(|text| text == b"before")
                        || !has_landlock);
                crate::sys::exit_now(i32::from(!good));
            }
        };
        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
    }
}
