//! Reads files that people write: regular files of a limited length. Anything else in their place (a pipe, a device) is
//! refused and cannot block core.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc;

/// The longest manifest, profile, `.env` or secret, in bytes. A list of numbers takes some 130 times as much memory.
const LONGEST: u64 = 4 << 20;

/// The error if something else is in the place of a file.
const NOT_A_FILE: &str = "it is not a regular file";

/// What to do about a file that cannot be read, as text for people.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "see to it that the user who runs core may read it",
        io::ErrorKind::Other => "replace it with a text file of at most 4 MiB",
        _ => "replace it with a text file that the user who runs core may read",
    }
}

/// Reads a whole file.
///
/// # Errors
/// The error of the file system; or the file is not a regular file, or is too long.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(io::Error::other(NOT_A_FILE));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(LONGEST)).unwrap_or(0));
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {} MiB, the most that is read", LONGEST >> 20)));
    }
    Ok(bytes)
}

/// Whether two files are there with the same contents.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let size = |path: &Path| fs::metadata(path).map(|meta| meta.len()).ok();
    size(one).is_some() && size(one) == size(other) && fs::read(one).ok() == fs::read(other).ok()
}

/// Reads a whole text file.
///
/// # Errors
/// As for `read`; or the file is not valid UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_read_and_only_so_much() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "text").unwrap();
        assert_eq!(read_text(&path("file")).unwrap(), "text");
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&path("pipe")).unwrap_err().to_string(), "it is not a regular file");
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().to_string(), NOT_A_FILE);
        fs::File::create(path("long")).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(read(&path("long")).unwrap_err().to_string().contains("longer than 4 MiB"));
    }
}
