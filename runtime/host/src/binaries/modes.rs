//! Modes of landed folders: only the owner may change them, whatever an archive, a build or the umask says.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use crate::trust::Trust;

/// Mode of folders and executable files.
const EXECUTABLE: u32 = 0o755;
/// Mode of other files.
const PLAIN: u32 = 0o644;
/// All bits of a mode.
const ALL: u32 = 0o7777;
/// The executable bits.
const MAY_EXECUTE: u32 = 0o111;
/// Others may write, even with the sticky bit: no package has a folder like that.
const WORLD: u32 = 0o002;

/// Where the contents of a landed folder come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Published: every user may read it.
    Fetched,
    /// Built from the stack's own sources, so it keeps their read permissions.
    Built,
}

/// Sets the modes of a folder and everything in it. Links are neither changed nor followed.
///
/// # Errors
/// The error of the file system.
pub(crate) fn settle(path: &Path, origin: Origin) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Ok(());
    }
    // As root, some unpackers restore the owner recorded in the archive.
    let me = nix::unistd::geteuid();
    if me.is_root() && meta.uid() != me.as_raw() {
        lchown(path, Some(me.as_raw()), None)?;
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

/// Whether an untrusted user could change a folder or anything in it, so that its contents cannot be trusted. For a
/// link, its owner counts, and its target too if that is not in the folder.
pub(crate) fn is_open(folder: &Path, trust: &Trust) -> bool {
    is_open_with(folder, None, trust)
}

/// The same, but what links lead to below `data` does not count: it is data, and others may write it.
pub(crate) fn is_open_but(folder: &Path, data: &Path, trust: &Trust) -> bool {
    is_open_with(folder, Some(data), trust)
}

fn is_open_with(folder: &Path, data: Option<&Path>, trust: &Trust) -> bool {
    let Ok(top) = fs::canonicalize(folder) else { return false };
    let is_led_astray = folder.is_symlink() && (!is_link_of(folder, trust) || trust.check_program(folder).is_err());
    is_led_astray || is_open_below(&top, &top, data, trust)
}

/// Whether a link belongs to a trusted user.
fn is_link_of(link: &Path, trust: &Trust) -> bool {
    fs::symlink_metadata(link).is_ok_and(|meta| trust.knows(meta.uid()))
}

fn is_open_below(folder: &Path, top: &Path, data: Option<&Path>, trust: &Trust) -> bool {
    let Ok(meta) = fs::symlink_metadata(folder) else { return false };
    if meta.is_symlink() {
        let leads_out = fs::canonicalize(folder)
            .is_ok_and(|to| !to.starts_with(top) && !data.is_some_and(|data| to.starts_with(data)));
        return !is_link_of(folder, trust) || leads_out && trust.check_program(folder).is_err();
    }
    if trust.check(&meta).is_err() || meta.is_dir() && meta.mode() & WORLD != 0 {
        return true;
    }
    let entries = if meta.is_dir() { fs::read_dir(folder).ok() } else { None };
    entries.into_iter().flatten().flatten().any(|entry| is_open_below(&entry.path(), top, data, trust))
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
        let trust = Trust::of(folder.path());
        assert!(is_open(&root, &trust), "by its program, and by its data");
        fs::set_permissions(root.join("a/b/program"), Permissions::from_mode(0o755)).unwrap();
        assert!(is_open(&root, &trust), "by its data");
        fs::set_permissions(root.join("a/data"), Permissions::from_mode(0o644)).unwrap();
        assert!(is_open(&root, &trust), "by what a link leads to");
        fs::set_permissions(&outside, Permissions::from_mode(0o644)).unwrap();
        assert!(!is_open(&root, &trust), "nobody could change that");
        // The folder itself may also be a link.
        let other = folder.path().join("other");
        symlink(&root, &other).unwrap();
        assert!(!is_open(&other, &trust), "nobody could change where it leads");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(is_open(&other, &trust), "by a folder on the way to where it leads");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&outside, Permissions::from_mode(0o666)).unwrap();
        assert!(is_open(&other, &trust), "by what is in it");
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(root.join("secret"), Some(4711), None).unwrap();
            assert!(is_open(&root, &trust), "by whose it is");
            std::os::unix::fs::chown(root.join("secret"), Some(0), None).unwrap();
            std::os::unix::fs::lchown(root.join("program"), Some(4711), None).unwrap();
            assert!(is_open(&root, &trust), "by whose a link is");
            std::os::unix::fs::lchown(root.join("program"), Some(0), None).unwrap();
        }
        fs::remove_file(root.join("link")).unwrap();
        fs::set_permissions(root.join("a/b"), Permissions::from_mode(0o777)).unwrap();
        assert!(is_open(&root, &trust), "by a folder");
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & ALL;
        let modes = || ["a", "a/b", "a/b/program", "a/data", "a/odd", "secret"].map(|name| mode(&root.join(name)));
        settle(&root, Origin::Built).unwrap();
        assert_eq!(modes(), [0o755, 0o755, 0o755, 0o644, 0o711, 0o600]);
        settle(&root, Origin::Fetched).unwrap();
        assert_eq!(modes(), [0o755, 0o755, 0o755, 0o644, 0o755, 0o644]);
        assert_eq!(mode(&outside), 0o666, "what a link leads to is not ours");
    }
}
