//! Secrets that core makes for a service, and keeps in a file of its own.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The secret in a file, as base64: random bytes, which are made if there are none of this length.
///
/// # Errors
/// The error of the file system, or that there are no random numbers.
pub(crate) fn secret(path: &Path, length: usize) -> io::Result<String> {
    let is_secret = |text: &String| STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == length);
    match crate::files::read_text(path).map(|text| text.trim().to_owned()) {
        Ok(text) if is_secret(&text) => return Ok(text),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // Cut off by a power failure, or emptied.
        Ok(_) | Err(_) => {}
    }
    renew(path, length)?;
    crate::files::read_text(path).map(|text| text.trim().to_owned())
}

/// Puts new random bytes into the file of a secret.
///
/// # Errors
/// As for [`secret`].
pub(super) fn renew(path: &Path, length: usize) -> io::Result<()> {
    write(path, &STANDARD.encode(random(length)?))
}

/// So many random bytes.
///
/// # Errors
/// That there are none.
pub(super) fn random(length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0_u8; length];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

/// Puts a secret into a file that only its owner may read, and that is whole after a power cut.
///
/// # Errors
/// The error of the file system.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(path))?;
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(beside, path)
}
