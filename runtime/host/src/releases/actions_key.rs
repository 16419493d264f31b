//! The key that server actions are encrypted with. Next.js makes a new one for each build, and then the forms of pages
//! that are open in browsers are refused after a deploy; one that is kept gives actions the same IDs in each release.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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

/// The variable of a build that has the key; none if the person who builds has set one. The first build makes the key. One
/// that cannot be kept is not used: the build makes its own, as it would without core.
pub(super) fn variable(paths: &Paths, service: &str, building: &Building) -> Option<(&'static str, String)> {
    let inherited = std::env::var_os(ACTIONS_KEY).is_some_and(|key| !key.is_empty());
    if inherited || building.env.contains_key(ACTIONS_KEY) {
        return None;
    }
    let path = file(paths, service);
    match kept(&path) {
        Ok(key) => Some((ACTIONS_KEY, key)),
        Err(error) => {
            let shown = paths.shown(&path);
            tracing::warn!(service, "forms of this release are not those of the next one: {shown}: {error}");
            None
        }
    }
}

/// The key in a file, which is made if there is none that fits.
fn kept(path: &Path) -> io::Result<String> {
    let is_key = |key: &String| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == LENGTH);
    match crate::files::read_text(path).map(|key| key.trim().to_owned()) {
        Ok(key) if is_key(&key) => return Ok(key),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // Cut off by a power failure, or emptied.
        Ok(_) | Err(_) => {}
    }
    let mut bytes = [0_u8; LENGTH];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let key = STANDARD.encode(bytes);
    let beside = path.with_extension("new");
    DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(path))?;
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    writeln!(file, "{key}")?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_one_that_was_set_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let paths = Paths { run: root.join("run"), root, hash: String::new(), moved_from: None, searched: None };
        let building = Building::default();
        let (_, key) = variable(&paths, "web", &building).unwrap();
        assert_eq!(STANDARD.decode(&key).unwrap().len(), LENGTH);
        assert_eq!(variable(&paths, "web", &building).unwrap().1, key);
        assert_ne!(variable(&paths, "other", &building).unwrap().1, key);
        assert_eq!(fs::metadata(file(&paths, "web")).unwrap().permissions().mode() & 0o777, 0o600);
        let set = Building { env: [(ACTIONS_KEY.to_owned(), "mine".to_owned())].into(), ..building };
        assert_eq!(variable(&paths, "web", &set), None);
        fs::write(file(&paths, "cut"), "").unwrap();
        assert!(variable(&paths, "cut", &Building::default()).is_some());
        fs::create_dir(file(&paths, "bad")).unwrap();
        assert_eq!(variable(&paths, "bad", &Building::default()), None, "the build goes on");
    }
}
