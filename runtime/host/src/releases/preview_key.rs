//! What lets people see the previews of a service: a password, which core makes for the first one.

use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core_manifest::ServiceName;
use sha2::{Digest as _, Sha256};

use super::kept;
use crate::edge::Keys;
use crate::paths::Paths;

/// The name that goes with the password.
pub const USER: &str = "preview";
/// Length of a password, in random bytes: too many to be guessed.
const LENGTH: usize = 12;

/// The file with the password of a service.
fn file(paths: &Paths, service: &str) -> PathBuf {
    paths.secrets().join(format!("{service}-preview-password"))
}

/// The password for the previews of a service. One that a person wrote into its file counts.
///
/// # Errors
/// The error of the file system.
pub fn password(paths: &Paths, service: &str) -> io::Result<String> {
    let path = file(paths, service);
    match crate::files::read_text(&path).map(|text| text.trim().to_owned()) {
        Ok(text) if !text.is_empty() => return Ok(text),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => {}
    }
    // Digits and small letters, which may stand in an address as they are.
    let password = core_stack::hex(&kept::random(LENGTH)?);
    kept::write(&path, &password)?;
    Ok(password)
}

/// What a browser sends for it (RFC 7617), without the word `Basic`; and what its cookie has after that. The app of a preview
/// sees the cookie: it tells nothing of the password, and is of no use for any other preview.
///
/// `reader` is the user as whom the edge runs, if that is another one.
///
/// # Errors
/// The error of the file system.
pub(crate) fn keys(paths: &Paths, trial: &ServiceName, reader: Option<u32>) -> io::Result<Keys> {
    let password = password(paths, trial.parent().as_str())?;
    let hash = Sha256::new().chain_update(trial.as_str()).chain_update([0]).chain_update(&password).finalize();
    let key = STANDARD.encode(format!("{USER}:{password}"));
    Ok(Keys { key, pass: core_stack::hex(&hash[..16]), reader })
}
