//! The key that server actions are encrypted with. Next.js makes a new one for each build, and then the forms of pages
//! that are open in browsers are refused after a deploy; one that is kept gives actions the same IDs in each release.

use std::path::PathBuf;

use core_next::build::ACTIONS_KEY;
use core_stack::Building;

use super::kept;
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
    match kept::secret(&path, LENGTH) {
        Ok(key) => Some((ACTIONS_KEY, key)),
        Err(error) => {
            let shown = paths.shown(&path);
            tracing::warn!(service, "forms of this release are not those of the next one: {shown}: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

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
