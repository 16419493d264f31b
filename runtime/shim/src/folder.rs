//! Folders of a stack's state, which are made again if they are removed while the stack runs.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// The folder of a stack's state, below its root.
pub const STATE: &str = ".core-stack";

/// Makes a folder of a stack's state, and those above it up to `.core-stack`, if they are missing. Never the stack's root:
/// one that was moved or removed while the stack runs does not appear again where it was.
///
/// # Errors
/// The error of the file system; `NotFound` if the root is gone.
pub fn make(folder: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.ends_with(STATE) => {
            make(folder.parent().ok_or(error)?, mode)?;
            make(folder, mode)
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_root_is_made_again() {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("stack");
        let logs = root.join(STATE).join("logs/web");
        assert_eq!(make(&logs, 0o700).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!root.exists());
        std::fs::create_dir(&root).unwrap();
        make(&logs, 0o700).unwrap();
        make(&logs, 0o700).unwrap();
        assert!(logs.is_dir());
    }
}
