//! The key that server actions are encrypted with. Next.js makes a new one for each build, and then the forms of pages
//! that are open in browsers are refused after a deploy; one that is kept gives actions the same IDs in each release.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core_next::build::ACTIONS_KEY;
use core_stack::Building;

use crate::paths::Paths;

/// Length of a key, in bytes: Next.js uses AES-256.
const LENGTH: usize = 32;

/// The file with the key of a service.
fn file(paths: &Paths, service: &str) -> PathBuf {
    paths.secrets().join(format!("{service}-actions-key"))
}

/// The variable of a build that has the key; none if the person who builds has set one. The first build makes the key.
///
/// # Errors
/// Why it cannot be read or kept, as text for people.
pub(super) fn variable(
    paths: &Paths,
    service: &str,
    building: &Building,
) -> Result<Option<(&'static str, String)>, String> {
    let inherited = std::env::var_os(ACTIONS_KEY).is_some_and(|key| !key.is_empty());
    if inherited || building.env.contains_key(ACTIONS_KEY) {
        return Ok(None);
    }
    let path = file(paths, service);
    let failed = |error: io::Error| format!("{}: {error}", paths.shown(&path));
    match crate::files::read_text(&path) {
        Ok(key) => return Ok(Some((ACTIONS_KEY, key.trim().to_owned()))),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Err(_) => {}
    }
    let mut bytes = [0_u8; LENGTH];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|error| failed(error.into()))?;
    let key = STANDARD.encode(bytes);
    let kept = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(paths.secrets())?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{key}")?;
        file.sync_all()
    };
    kept().map_err(failed)?;
    Ok(Some((ACTIONS_KEY, key)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_one_that_was_set_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let paths = Paths { run: root.join("run"), root, hash: String::new(), moved_from: None, searched: None };
        let building = Building::default();
        let (_, key) = variable(&paths, "web", &building).unwrap().unwrap();
        assert_eq!(STANDARD.decode(&key).unwrap().len(), LENGTH);
        assert_eq!(variable(&paths, "web", &building).unwrap().unwrap().1, key);
        assert_ne!(variable(&paths, "other", &building).unwrap().unwrap().1, key);
        assert_eq!(fs::metadata(file(&paths, "web")).unwrap().permissions().mode() & 0o777, 0o600);
        let set = Building { env: [(ACTIONS_KEY.to_owned(), "mine".to_owned())].into(), ..building };
        assert_eq!(variable(&paths, "web", &set).unwrap(), None);
        fs::write(file(&paths, "bad"), [0xff]).unwrap();
        let error = variable(&paths, "bad", &Building::default()).unwrap_err();
        assert!(error.starts_with(".secrets/bad-actions-key: "), "{error}");
    }
}
