//! The project that an app belongs to: its own folder, or the workspace around it.

use std::fs;
use std::path::{Path, PathBuf};

use core_next::manager::{LOCKS, Managed, is_in_workspace, workspace_globs};
use core_stack::Wanted;

use crate::binaries::inputs::lexically;
use crate::paths::Paths;

/// Where Next.js is among the packages.
const NEXT: &str = "node_modules/next";

/// The project of an app.
#[derive(Clone, Debug)]
pub(super) struct Project {
    /// The folder that is built, with the lock file.
    pub(super) root: PathBuf,
    /// The app's folder, relative to that; empty if it is the same.
    pub(super) app: PathBuf,
    /// Its package manager.
    pub(super) managed: Managed,
}

impl Project {
    /// The project of the app in this folder. A lock file above it counts only if it is of a workspace that names it.
    pub(super) fn of(app: &Path) -> Self {
        let is_root = LOCKS.iter().any(|(name, _)| app.join(name).is_file());
        let root = if is_root { None } else { app.ancestors().skip(1).find(|folder| has_member(folder, app)) };
        let root = root.unwrap_or(app).to_owned();
        let package = text(&root, "package.json").unwrap_or_default();
        let managed = Managed::of(&package, |name| lock(&root, name));
        Self { app: app.strip_prefix(&root).map(Path::to_owned).unwrap_or_default(), managed, root }
    }
}

/// What another machine needs to install and test an app.
#[derive(Clone, Debug)]
pub struct Tooling {
    /// The folder of the project, relative to the root of the stack.
    pub folder: PathBuf,
    /// The major version of Node.js.
    pub node: String,
    /// The command that installs what the lock file says.
    pub install: String,
}

/// What another machine needs to install and test the app of a source.
pub fn tooling(paths: &Paths, wanted: &Wanted) -> Tooling {
    let project = Project::of(&lexically(&paths.root.join(super::app_of(wanted))));
    let folder = project.root.strip_prefix(&paths.root).map(Path::to_owned).unwrap_or_default();
    Tooling { folder, node: wanted.tool_version.clone(), install: project.managed.install_lines() }
}

/// Whether a folder is the root of a workspace that has this app.
fn has_member(folder: &Path, app: &Path) -> bool {
    let Ok(relative) = app.strip_prefix(folder) else { return false };
    let package = text(folder, "package.json");
    let pnpm = text(folder, "pnpm-workspace.yaml");
    let globs = workspace_globs(package.as_deref().unwrap_or_default(), pnpm.as_deref());
    is_in_workspace(&globs, &relative.to_string_lossy())
}

/// The folder of Next.js, from that of the app upwards: a workspace may have it at its root.
pub(super) fn find_next(app: &Path, root: &Path) -> Option<PathBuf> {
    let folders = app.ancestors().take_while(|folder| folder.starts_with(root));
    folders.map(|folder| folder.join(NEXT)).find(|next| next.join("package.json").is_file())
}

fn text(folder: &Path, name: &str) -> Option<String> {
    crate::files::read(&folder.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A lock file, which may be of any size, and of bytes.
fn lock(folder: &Path, name: &str) -> Option<String> {
    fs::read(folder.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use core_next::manager::Manager;

    use super::*;

    #[test]
    fn a_lock_file_above_counts_only_in_a_workspace_that_has_the_app() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let app = root.join("apps/web");
        fs::create_dir_all(&app).unwrap();
        fs::write(root.join("pnpm-lock.yaml"), "lockfileVersion: '9.0'").unwrap();
        fs::write(root.join("package.json"), "{}").unwrap();
        let project = Project::of(&app);
        assert_eq!((&project.root, project.managed.lock), (&app, None), "a stray lock file");
        fs::write(root.join("pnpm-workspace.yaml"), "packages:\n  - apps/*\n").unwrap();
        let project = Project::of(&app);
        assert_eq!((project.root.as_path(), project.app.as_path()), (root, Path::new("apps/web")));
        assert_eq!(project.managed.manager, Manager::Pnpm);
        fs::write(app.join("package-lock.json"), "{}").unwrap();
        assert_eq!(Project::of(&app).root, app, "its own counts first");
    }
}
