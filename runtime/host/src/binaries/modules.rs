//! The packages of an app, kept between its builds: half of a build's time, while the lock file is the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The folder that package managers install into.
const FOLDER: &str = "node_modules";
/// Files that say which packages there are, and how they are installed.
const SAY: [&str; 3] = ["package-lock.json", "package.json", ".npmrc"];

/// Packages that one build leaves to the next.
pub(super) struct Modules {
    kept: PathBuf,
    key: String,
}

impl Modules {
    /// Of the app whose copy is `work`; `node` is the version that installs them. They are kept in the folder `kept`.
    pub(super) fn of(work: &Path, node: &str, kept: PathBuf) -> Self {
        let mut hash = Sha256::new().chain_update(node);
        for name in SAY {
            let text = fs::read(work.join(name)).unwrap_or_default();
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(&text);
        }
        Self { kept, key: core_stack::hex(&hash.finalize()) }
    }

    /// Puts packages of the same lock file into the copy. Returns whether there were any; others are deleted.
    pub(super) fn restore(&self, work: &Path) -> bool {
        let is_same = fs::read_to_string(self.kept.join("key")).is_ok_and(|key| key == self.key);
        // The key goes first: packages that were only moved in part are those of nobody.
        let is_mine = is_same && fs::remove_file(self.kept.join("key")).is_ok();
        if is_mine && fs::rename(self.kept.join(FOLDER), work.join(FOLDER)).is_ok() {
            return true;
        }
        let _ = fs::remove_dir_all(&self.kept);
        false
    }

    /// Keeps the packages of a copy, which were installed whole.
    ///
    /// # Errors
    /// What the file system says; then nothing is kept.
    pub(super) fn keep(&self, work: &Path) -> io::Result<()> {
        let _ = fs::remove_dir_all(&self.kept);
        fs::create_dir_all(&self.kept)?;
        fs::rename(work.join(FOLDER), self.kept.join(FOLDER))?;
        fs::write(self.kept.join("key"), &self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_kept_while_the_lock_file_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let work = |name: &str, lock: &str| {
            let work = folder.path().join(name);
            fs::create_dir_all(&work).unwrap();
            fs::write(work.join("package-lock.json"), lock).unwrap();
            let modules = Modules::of(&work, "v20", folder.path().join("kept"));
            (work, modules)
        };
        let (one, modules) = work("one", "a");
        assert!(!modules.restore(&one));
        fs::create_dir_all(one.join("node_modules/x")).unwrap();
        modules.keep(&one).unwrap();
        let (two, modules) = work("two", "a");
        assert!(modules.restore(&two) && two.join("node_modules/x").is_dir());
        // While a build has them, nobody else does; and one that is killed leaves none.
        let (three, other) = work("three", "a");
        assert!(!other.restore(&three));
        modules.keep(&two).unwrap();
        let (four, modules) = work("four", "b");
        assert!(!modules.restore(&four) && !four.join("node_modules").exists());
        assert!(!folder.path().join("kept").exists());
    }
}
