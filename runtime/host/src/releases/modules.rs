//! The packages of a project, kept between its builds: half of a build's time, while the lock file is the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use core_next::manager::DEFINING;
use sha2::{Digest, Sha256};

use super::CACHE;

/// The folder that package managers install into; a workspace has several.
const FOLDER: &str = "node_modules";
/// The file that says which packages these are. It goes first and comes last: packages that were only moved in part are
/// those of nobody.
const KEY: &str = "key";
/// The file that lists where the folders belong.
const PLACES: &str = "places";

/// Packages that one build leaves to the next.
pub(super) struct Modules {
    kept: PathBuf,
    key: String,
}

impl Modules {
    /// Of the project whose copy is `work`; `node` is the program that installs them. They are kept in the folder `kept`.
    pub(super) fn of(work: &Path, node: &str, kept: PathBuf) -> Self {
        let mut hash = Sha256::new().chain_update(node);
        let mut files = Vec::new();
        say(work, Path::new(""), &mut files);
        files.sort();
        for file in files {
            let text = fs::read(work.join(&file)).unwrap_or_default();
            for part in [file.as_os_str().as_encoded_bytes(), &text] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        Self { kept, key: core_stack::hex(&hash.finalize()) }
    }

    /// Puts packages of the same lock file into the copy. Returns whether there were any; others are deleted.
    pub(super) fn restore(&self, work: &Path) -> bool {
        let is_same = fs::read_to_string(self.kept.join(KEY)).is_ok_and(|key| key == self.key);
        let is_mine = is_same && fs::remove_file(self.kept.join(KEY)).is_ok();
        let places = fs::read_to_string(self.kept.join(PLACES)).unwrap_or_default();
        let put = |(number, place): (usize, &str)| {
            fs::rename(self.kept.join(number.to_string()), work.join(place).join(FOLDER)).is_ok()
        };
        if is_mine && places.lines().enumerate().all(put) {
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
        let mut places = Vec::new();
        find(work, Path::new(""), &mut places)?;
        let mut text = String::new();
        for (number, place) in places.iter().enumerate() {
            fs::rename(work.join(place).join(FOLDER), self.kept.join(number.to_string()))?;
            text += &format!("{}\n", place.display());
        }
        fs::write(self.kept.join(PLACES), text)?;
        fs::write(self.kept.join(KEY), &self.key)
    }
}

/// The folders of a copy that have packages, relative to it.
fn find(work: &Path, below: &Path, places: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(work.join(below))? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if entry.file_name() == FOLDER {
            places.push(below.to_owned());
        } else if entry.file_name() != CACHE {
            find(work, &below.join(entry.file_name()), places)?;
        }
    }
    Ok(())
}

/// The files of a copy that say which packages there are. What cannot be read says nothing.
fn say(work: &Path, below: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(work.join(below)).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), below.join(entry.file_name()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && name != FOLDER => say(work, &path, files),
            Ok(kind) if !kind.is_dir() && DEFINING.iter().any(|one| name == *one) => files.push(path),
            _ => {}
        }
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
            fs::create_dir_all(work.join("apps/web")).unwrap();
            fs::write(work.join("package-lock.json"), lock).unwrap();
            fs::write(work.join("apps/web/package.json"), "{}").unwrap();
            let modules = Modules::of(&work, "v20", folder.path().join("kept"));
            (work, modules)
        };
        let (one, modules) = work("one", "a");
        assert!(!modules.restore(&one));
        for place in ["node_modules/x", "apps/web/node_modules/y/node_modules/z"] {
            fs::create_dir_all(one.join(place)).unwrap();
        }
        modules.keep(&one).unwrap();
        let (two, modules) = work("two", "a");
        assert!(modules.restore(&two) && two.join("node_modules/x").is_dir());
        assert!(two.join("apps/web/node_modules/y/node_modules/z").is_dir());
        // While a build has them, nobody else does; and one that is killed leaves none.
        let (three, other) = work("three", "a");
        assert!(!other.restore(&three));
        modules.keep(&two).unwrap();
        let (four, modules) = work("four", "b");
        assert!(!modules.restore(&four) && !four.join("node_modules").exists());
        assert!(!folder.path().join("kept").exists());
    }
}
