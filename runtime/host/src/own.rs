//! The program that runs.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The path of the running program. After an upgrade, the kernel says that ours was deleted; then it is the new file's.
///
/// # Errors
/// The kernel does not report it.
pub(crate) fn own_program() -> io::Result<PathBuf> {
    std::env::current_exe().map(|program| in_place_of(&program))
}

/// The file that is in the place of a program now.
pub(crate) fn in_place_of(program: &Path) -> PathBuf {
    let name = program.as_os_str().as_bytes();
    name.strip_suffix(b" (deleted)").map_or(program, |name| Path::new(OsStr::from_bytes(name))).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_is_started_from_its_place() {
        assert_eq!(in_place_of(Path::new("/usr/lib/core/core (deleted)")), Path::new("/usr/lib/core/core"));
        assert_eq!(in_place_of(Path::new("/usr/lib/core/core")), Path::new("/usr/lib/core/core"));
    }
}
