//! The places that the service of a release may write to: everything but the releases. In its own, only what belongs to
//! the framework's cache.
//!
//! Landlock only knows what is allowed, below a path. So on the way from the root of the file system to `.releases`, the
//! neighbours of each folder are allowed, as they are when the service starts. What it makes later, directly in one of
//! the folders on this way, is refused.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use core_manifest::ServiceSpec;

use crate::paths::Paths;
use crate::releases;

/// The most rules that are asked of the kernel.
const MOST: usize = 4096;
/// The sticky bit and the right of everybody to write: a folder for temporary files, in which services make files.
const SHARED: u32 = 0o1002;

/// The places, if the service runs a release; empty if it may write everywhere.
pub(crate) fn of(paths: &Paths, spec: &ServiceSpec) -> Vec<Vec<u8>> {
    let Some(app) = releases::folder(paths, spec) else { return Vec::new() };
    let mut all = beside(&paths.releases()).unwrap_or_default();
    if !all.is_empty() {
        all.push(app.join(releases::CACHE).as_os_str().as_bytes().to_vec());
    }
    all
}

/// Everything but one folder; `None` where that cannot be said.
fn beside(folder: &Path) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for inner in folder.ancestors() {
        let Some(outer) = inner.parent() else { break };
        // Whoever works below a folder for temporary files makes files in it, too.
        if fs::metadata(outer).ok()?.mode() & SHARED == SHARED {
            return None;
        }
        let entries = fs::read_dir(outer).ok()?.flatten().map(|entry| entry.path());
        all.extend(entries.filter(|path| path != inner).map(|path| path.as_os_str().as_bytes().to_vec()));
        if all.len() > MOST {
            return None;
        }
    }
    Some(all)
}

/// Whether releases of the stack can be kept from being written to; if not, why, as text for people.
///
/// # Errors
/// Why they cannot.
pub(crate) fn can_be_refused(paths: &Paths) -> Result<(), String> {
    if core_shim::landlock::version().is_none() {
        return Err("the kernel has no Landlock (Linux 5.13 has it)".into());
    }
    match beside(&paths.releases()) {
        Some(_) => Ok(()),
        None => Err("the stack is in a folder for temporary files, or beside thousands of others".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_one_folder_is_listed() {
        let Some(all) = beside(Path::new("/proc/self/fd")) else { panic!("no list") };
        let has = |path: &str| all.iter().any(|one| one == path.as_bytes());
        assert!(has("/tmp") && has("/dev") && has("/proc/self/fdinfo") && has("/proc/sys"), "{}", all.len());
        assert!(!has("/proc") && !has("/proc/self") && !has("/proc/self/fd"));
        assert_eq!(beside(Path::new("/tmp/x/.releases")), None);
    }
}
