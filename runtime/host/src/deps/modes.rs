//! Modes of what lands: nobody but its owner may change it, whatever an archive, a build or the umask says of others.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Of folders, and of files that may be executed.
const EXECUTABLE: u32 = 0o755;
/// Of other files.
const PLAIN: u32 = 0o644;
/// All bits of a mode.
const ALL: u32 = 0o7777;
/// Bits of those who may execute.
const MAY_EXECUTE: u32 = 0o111;
/// Bits of others who may write.
const OTHERS_MAY_WRITE: u32 = 0o022;

/// What is in a folder that lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Published: anybody may read it.
    Fetched,
    /// Made of the stack's own sources: who may read those decides who may read it.
    Built,
}

/// Gives a folder and all below it such modes. Links are left alone, and not followed.
///
/// # Errors
/// What the file system says.
pub(super) fn settle(path: &Path, origin: Origin) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Ok(());
    }
    let widest = if meta.is_dir() || meta.mode() & MAY_EXECUTE != 0 { EXECUTABLE } else { PLAIN };
    let mode = match origin {
        Origin::Fetched => widest,
        Origin::Built => meta.mode() & widest,
    };
    if meta.mode() & ALL != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            settle(&entry?.path(), origin)?;
        }
    }
    Ok(())
}

/// Whether others may change the folder of a binary, or the program in it: what such a folder holds may be anybody's.
pub(crate) fn is_open(folder: &Path, program: Option<&str>) -> bool {
    let is_open = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.mode() & OTHERS_MAY_WRITE != 0);
    // A program may be a link to where the package keeps it.
    let program = program.and_then(|program| fs::canonicalize(folder.join(program)).ok());
    let root = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let program = program.filter(|program| program.starts_with(&root));
    let on_the_way = program.iter().flat_map(|program| program.ancestors().take_while(|path| path.starts_with(&root)));
    is_open(&root) || on_the_way.into_iter().any(is_open)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nobody_else_may_change_what_landed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("landed");
        fs::create_dir_all(root.join("a/b")).unwrap();
        let outside = folder.path().join("outside");
        for (name, mode) in [("a/b/program", 0o777), ("a/data", 0o666), ("a/odd", 0o4711), ("secret", 0o600)] {
            fs::write(root.join(name), "x").unwrap();
            fs::set_permissions(root.join(name), Permissions::from_mode(mode)).unwrap();
        }
        fs::write(&outside, "x").unwrap();
        fs::set_permissions(&outside, Permissions::from_mode(0o666)).unwrap();
        symlink(&outside, root.join("link")).unwrap();
        symlink("a/b/program", root.join("program")).unwrap();
        assert!(is_open(&root, Some("program")), "by way of its link");
        fs::set_permissions(root.join("a/b/program"), Permissions::from_mode(0o755)).unwrap();
        assert!(!is_open(&root, Some("program")));
        fs::set_permissions(root.join("a/b"), Permissions::from_mode(0o777)).unwrap();
        assert!(is_open(&root, Some("program")), "by its folder");
        assert!(!is_open(&root, None), "no program is run from it");
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & ALL;
        let modes = || ["a", "a/b", "a/b/program", "a/data", "a/odd", "secret"].map(|name| mode(&root.join(name)));
        settle(&root, Origin::Built).unwrap();
        assert_eq!(modes(), [0o755, 0o755, 0o755, 0o644, 0o711, 0o600]);
        settle(&root, Origin::Fetched).unwrap();
        assert_eq!(modes(), [0o755, 0o755, 0o755, 0o644, 0o755, 0o644]);
        assert_eq!(mode(&outside), 0o666, "what a link leads to is not ours");
    }
}
