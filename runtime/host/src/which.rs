//! Finds programs in `PATH`.

use std::path::{Path, PathBuf};

/// Looks up a program as a shell does; `None` if it is not found.
pub fn find_program(name: &str, path: Option<&str>) -> Option<PathBuf> {
    let is_program = |path: &Path| path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    let folders = path.unwrap_or("/usr/local/bin:/usr/bin:/bin").split(':').filter(|folder| folder.starts_with('/'));
    folders.map(|folder| Path::new(folder).join(name)).find(|path| is_program(path))
}
