//! A hash over the inputs of a build: the same inputs give the same folder, and nothing is built again.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use core_stack::drivers;
use sha2::{Digest, Sha256};

/// Names that are never inputs, in any folder: data of core and services, secrets, and build products.
pub(crate) const NEVER_INPUTS: [&str; 8] =
    [".core-stack", ".data", ".secrets", ".dep", ".releases", "node_modules", ".next", ".git"];

/// The hash of all files below `folder` that `counts` accepts, with their paths and executable bits; and of `extra`.
///
/// # Errors
/// The error of the file system, with the path.
pub(crate) fn hash_of_inputs(folder: &Path, counts: impl Fn(&str) -> bool, extra: &[&str]) -> io::Result<String> {
    hash_of_some(folder, counts, |_| true, extra)
}

/// The same, of those of the files that are meant.
///
/// # Errors
/// The error of the file system, with the path.
pub(crate) fn hash_of_some(
    folder: &Path,
    counts: impl Fn(&str) -> bool,
    is_meant: impl Fn(&str) -> bool,
    extra: &[&str],
) -> io::Result<String> {
    let mut files = Vec::new();
    collect(folder, Path::new(""), &counts, &mut files)?;
    files.retain(|path| is_meant(&path.to_string_lossy()));
    files.sort();
    let mut hash = Sha256::new();
    for text in extra {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    for relative in files {
        let path = folder.join(&relative);
        let name = relative.as_os_str().as_encoded_bytes();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        let contents = if path.is_symlink() {
            fs::read_link(&path).map_err(|error| at(&path, &error))?.into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).map_err(|error| at(&path, &error))?
        };
        hash.update((contents.len() as u64).to_le_bytes());
        hash.update(&contents);
    }
    Ok(core_stack::hex(&hash.finalize()[..6]))
}

/// A path without `.` in it, as the file system names what is there.
pub(crate) fn lexically(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != std::path::Component::CurDir).collect()
}

/// What counts of an app's folder: what its driver says, without the stack's own folders if the app's folder is the stack's
/// root. So an edit of a manifest does not build the app again.
pub(crate) fn of_app(root: &Path, app: &Path) -> impl Fn(&str) -> bool + use<> {
    let (manifests, services, app) = (root.join("manifests"), root.join("services"), app.to_owned());
    let has_manifests = ["dep.lock.json", "local.json", "production.json", "schema"];
    let is_of_stack = has_manifests.iter().any(|name| manifests.join(name).exists());
    move |path| {
        let absolute = app.join(path);
        let is_service = absolute.parent() == Some(&services) && absolute.join("service.json").is_file();
        drivers::is_app_input(path) && !is_service && !(is_of_stack && absolute == manifests)
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn collect(root: &Path, below: &Path, counts: &impl Fn(&str) -> bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).map_err(|error| at(&folder, &error))? {
        let entry = entry?;
        let relative = below.join(entry.file_name());
        let kind = entry.file_type()?;
        // A socket or pipe belongs to a running program, not to a build.
        let is_never = NEVER_INPUTS.iter().any(|never| entry.file_name() == *never);
        if is_never || !counts(&relative.to_string_lossy()) || kind.is_socket() {
            continue;
        }
        if !kind.is_dir() && !kind.is_file() && !kind.is_symlink() {
            let error = io::Error::other("it is a pipe or a device, and no file");
            return Err(at(&entry.path(), &error));
        }
        if kind.is_dir() {
            collect(root, &relative, counts, files)?;
        } else {
            files.push(relative);
        }
    }
    Ok(())
}

/// Copies what `counts` accepts from `from` into the new folder `to`.
///
/// # Errors
/// The error of the file system, with the path.
pub(crate) fn copy_inputs(from: &Path, to: &Path, counts: impl Fn(&str) -> bool) -> io::Result<()> {
    let mut files = Vec::new();
    collect(from, Path::new(""), &counts, &mut files)?;
    for relative in files {
        let (source, target) = (from.join(&relative), to.join(&relative));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        if source.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target).map_err(|error| at(&target, &error))?;
        } else {
            fs::copy(&source, &target).map_err(|error| at(&source, &error))?;
        }
    }
    Ok(())
}
