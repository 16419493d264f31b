//! The folder in which a program is built: a copy of its parts, so that a build writes nothing to the sources, and
//! finds nothing that its name, a hash of the parts, does not cover.

use std::path::{Path, PathBuf};

use core_stack::Wanted;

use super::Scratch;
use super::parts::Parts;
use crate::paths::Paths;

pub(super) struct Work {
    scratch: Scratch,
}

impl Work {
    /// Copies the parts into the new folder `at`.
    pub(super) fn copy(paths: &Paths, wanted: &Wanted, at: PathBuf) -> Result<Self, String> {
        let parts = Parts::of(&paths.root, &wanted.source)?.ok_or("it is built of nothing")?;
        let scratch = Scratch::new(at)?;
        let failed = |error: std::io::Error| format!("its sources cannot be copied: {error}");
        parts.copy(&paths.root, &scratch.0).map_err(failed)?;
        // The copy must match the hash that the build is named by.
        if parts.key(&scratch.0).map_err(failed)? != wanted.version {
            return Err("its sources were changed meanwhile; `core apply` builds what they are now".into());
        }
        Ok(Self { scratch })
    }

    /// The root of the copy.
    pub(super) fn root(&self) -> &Path {
        &self.scratch.0
    }

    /// A folder of the stack in the copy.
    pub(super) fn folder(&self, path: &str) -> Result<PathBuf, String> {
        super::parts::below(path).map(|path| self.scratch.0.join(path))
    }

    /// The nearest file of this name in a folder of the copy or above it.
    pub(super) fn upwards(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let folders = folder.ancestors().take_while(|one| one.starts_with(&self.scratch.0));
        folders.map(|one| one.join(name)).find(|path| path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use core_manifest::manifest::Source;

    use super::*;

    #[test]
    fn what_changed_since_it_was_named_is_not_built() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(root.join("x")).unwrap();
        fs::write(root.join("x/Cargo.toml"), "one").unwrap();
        let source = Source::CargoBuild { path: "x".into(), package: None, bin: None, profile: None };
        let version = Parts::of(&root, &source).unwrap().unwrap().key(&root).unwrap();
        let (index, sources, earlier, tool, program) = (0, 1, Vec::new(), None, None);
        let wanted =
            Wanted { binary: "x".into(), source, index, sources, earlier, version, tool, program, ..Wanted::none() };
        let paths =
            Paths { root: root.clone(), hash: String::new(), run: root.join("run"), moved_from: None, searched: None };
        let at = root.join("work");
        let work = Work::copy(&paths, &wanted, at.clone()).unwrap();
        assert!(work.folder("x").unwrap().join("Cargo.toml").is_file());
        assert_eq!(work.upwards(&work.folder("x").unwrap(), "Cargo.lock"), None);
        fs::write(root.join("x/Cargo.toml"), "two").unwrap();
        assert!(Work::copy(&paths, &wanted, at.clone()).is_err_and(|error| error.contains("core apply")));
        drop(work);
        assert!(!at.exists());
    }
}
