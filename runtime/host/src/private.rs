//! Files that core writes for itself and at most one other user.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

/// Puts contents in the place of a file that only we and `reader` may read, unless it has them already. The folder must be
/// one that no other user can write to.
///
/// # Errors
/// The error of the file system.
pub(crate) fn replace(folder: &Path, name: &str, contents: &[u8], reader: Option<u32>) -> io::Result<()> {
    let path = folder.join(name);
    let is_private = fs::symlink_metadata(&path).is_ok_and(|meta| {
        meta.mode() & 0o777 == 0o600 && meta.uid() == reader.unwrap_or_else(|| nix::unistd::geteuid().as_raw())
    });
    if is_private && fs::read(&path).is_ok_and(|have| have == contents) {
        return Ok(());
    }
    let beside = folder.join(format!(".{name}.new"));
    let _ = fs::remove_file(&beside);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(contents)?;
    fchown(&file, reader, None)?;
    fs::rename(&beside, &path)
}
