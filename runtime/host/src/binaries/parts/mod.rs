//! The parts of the stack's root that a build uses: no more, so that an edit elsewhere does not rebuild it; and no
//! less, which each build proves, because it runs in a copy that holds nothing else.

mod cargo;
mod go;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use core_manifest::manifest::Source;

use super::inputs::{copy_inputs, hash_of_inputs};

/// The parts of a build, as paths relative to the root.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Folders, with everything in them, and files.
    paths: BTreeSet<PathBuf>,
    /// A workspace that the copy needs (manifests and sources) although the key does not cover it: see `cargo`.
    scenery: Option<PathBuf>,
    /// What the key covers in addition to the files: what is built, and how.
    recipe: Vec<String>,
}

impl Parts {
    /// The parts that a source is built from; `None` if it is not built from parts.
    ///
    /// # Errors
    /// Why it cannot be built, as text for people.
    pub(crate) fn of(root: &Path, source: &Source) -> Result<Option<Self>, String> {
        match source {
            Source::CargoBuild { path, package, bin, profile } => {
                let mut parts = cargo::parts(root, &below(path)?)?;
                let given = [package, bin, profile].map(|one| one.clone().unwrap_or_default());
                parts.recipe = [vec!["cargo-build 1".to_owned(), path.clone()], given.to_vec()].concat();
                Ok(Some(parts))
            }
            Source::GoBuild { path: Some(path), .. } => {
                let mut parts = go::parts(root, &below(path)?)?;
                parts.recipe = vec!["go-build 1".to_owned(), path.clone()];
                Ok(Some(parts))
            }
            _ => Ok(None),
        }
    }

    /// The hash that names the build, over the files in `root`, which is the stack's root or a copy.
    pub(crate) fn key(&self, root: &Path) -> io::Result<String> {
        let recipe: Vec<&str> = self.recipe.iter().map(String::as_str).collect();
        hash_of_inputs(root, |path| self.is_part(root, Path::new(path)), &recipe)
    }

    /// Copies the parts into the new folder `to`, with the same relative paths.
    pub(crate) fn copy(&self, root: &Path, to: &Path) -> io::Result<()> {
        copy_inputs(root, to, |path| {
            let path = Path::new(path);
            self.is_part(root, path) || self.is_scenery(root, path)
        })
    }

    fn add(&mut self, root: &Path, path: PathBuf) {
        if root.join(&path).exists() {
            self.paths.insert(path);
        }
    }

    /// Whether a path is a part, in a part, or a folder on the way to one.
    fn is_part(&self, root: &Path, path: &Path) -> bool {
        !is_target(root, path) && self.paths.iter().any(|part| path.starts_with(part) || part.starts_with(path))
    }

    fn is_scenery(&self, root: &Path, path: &Path) -> bool {
        let Some(scenery) = &self.scenery else { return false };
        let counts = path.file_name() == Some(OsStr::new("Cargo.toml"))
            || path.extension() == Some(OsStr::new("rs"))
            || root.join(path).is_dir();
        counts && !is_target(root, path) && (path.starts_with(scenery) || scenery.starts_with(path))
    }
}

/// Whether this is cargo's build folder, which is beside a manifest; elsewhere `target` is an ordinary name.
fn is_target(root: &Path, path: &Path) -> bool {
    let is_called_so = path.file_name() == Some(OsStr::new("target"));
    is_called_so && path.parent().is_some_and(|parent| root.join(parent).join("Cargo.toml").exists())
}

/// A path from a manifest, which must be below the root.
pub(crate) fn below(path: &str) -> Result<PathBuf, String> {
    resolve(Path::new(""), path).ok_or_else(|| format!("`{path}` is not below the stack's root"))
}

/// `path` relative to the folder `from`; `None` if it leaves the root.
fn resolve(from: &Path, path: &str) -> Option<PathBuf> {
    let mut resolved = from.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir => resolved.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

/// Writes a file for a test.
#[cfg(test)]
fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        for (path, resolved) in [("tools/x", "tools/x"), ("./tools/../x/", "x"), (".", "")] {
            assert_eq!(below(path), Ok(PathBuf::from(resolved)), "{path}");
        }
        for path in ["../x", "/x", "x/../../y"] {
            assert!(below(path).is_err(), "{path}");
        }
    }
}
