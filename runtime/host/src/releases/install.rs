//! Installs the packages of a project, and runs those of their scripts that are known.

use std::fs;
use std::path::{Path, PathBuf};

use core_next::build::{rebuild, run_script};
use core_next::manager::Manager;
use core_next::{Scripts, has_postinstall};
use core_stack::hidden::is_secret_name;

use super::Making;
use super::project::Project;
use super::tools::{self, Tool};
use crate::binaries::log::Log;
use crate::binaries::run;

/// Folders of packages.
const MODULES: &str = "node_modules";
/// Where pnpm keeps packages, below that.
const VIRTUAL: &str = ".pnpm";
/// Scripts that a package manager runs when it installs a package.
const SCRIPTS: [&str; 3] = ["preinstall", "install", "postinstall"];

/// Installs the packages of the project whose copy or folder is `root`.
///
/// # Errors
/// What failed, as text for people.
pub(super) async fn install(making: &Making<'_>, project: &Project, root: &Path, log: &mut Log) -> Result<(), String> {
    let managed = &project.managed;
    let tool = tools::of(making, managed, log).await?;
    let title = "installing packages";
    making.say(title);
    let mut command = making.command(&tool, root);
    // Whatever NODE_ENV says, a build needs what is only needed for development.
    command.args(managed.install()).env("NODE_ENV", "development");
    command.envs(managed.env(&making.cache().display().to_string()));
    making.run(title, &mut command, log).await?;
    let npm = tools::npm(making.node)?;
    let also = &making.building.build.scripts;
    // npm keeps a record; of the others the packages are looked at.
    let found = if managed.manager == Manager::Npm { Vec::new() } else { with_scripts(root) };
    let scripts = match managed.manager {
        Manager::Npm => Scripts::of(&read(root, "node_modules/.package-lock.json"), also),
        _ => Scripts::of_packages(&found, also),
    };
    if !scripts.skipped.is_empty() {
        log.say(&format!("install scripts of these packages are not run: {}", scripts.skipped.join(", "))).await;
    }
    match managed.manager {
        Manager::Npm if scripts.run.is_empty() => Ok(()),
        Manager::Npm => run_without_secrets(making, &npm, &rebuild(&scripts.run), root, log).await,
        _ => {
            for (folder, name) in found.iter().map(|one| (&one.folder, one.spec())) {
                if scripts.run.contains(&name) {
                    for script in SCRIPTS {
                        run_without_secrets(making, &npm, &run_script(script), Path::new(folder), log).await?;
                    }
                }
            }
            Ok(())
        }
    }
}

/// Runs the app's own `postinstall`: it may write beside the packages, so it is run for each copy.
///
/// # Errors
/// What failed, as text for people.
pub(super) async fn postinstall(
    making: &Making<'_>,
    project: &Project,
    root: &Path,
    log: &mut Log,
) -> Result<(), String> {
    let npm = tools::npm(making.node)?;
    let mut folders = vec![root.to_owned()];
    if project.app != Path::new("") {
        folders.push(root.join(&project.app));
    }
    for folder in folders.iter().filter(|folder| has_postinstall(&read(folder, "package.json"))) {
        run_without_secrets(making, &npm, &run_script("postinstall"), folder, log).await?;
    }
    Ok(())
}

async fn run_without_secrets(
    making: &Making<'_>,
    npm: &Tool,
    args: &[String],
    folder: &Path,
    log: &mut Log,
) -> Result<(), String> {
    let title = "running install scripts";
    making.say(title);
    let mut command = making.command(npm, folder);
    run::without(&mut command, is_secret_name);
    command.args(args);
    making.run(title, &mut command, log).await
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// The installed packages that have install scripts.
fn with_scripts(root: &Path) -> Vec<core_next::Installed> {
    let mut all = Vec::new();
    look(&root.join(MODULES), &mut all);
    for entry in fs::read_dir(root.join(MODULES).join(VIRTUAL)).into_iter().flatten().flatten() {
        look(&entry.path().join(MODULES), &mut all);
    }
    all.sort_by(|one, other| one.folder.cmp(&other.folder));
    all
}

/// Looks at the packages of one folder. Links lead to packages that are found elsewhere.
fn look(modules: &Path, all: &mut Vec<core_next::Installed>) {
    let folders = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let is_own = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        entries.filter(is_own).map(|entry| entry.path()).collect()
    };
    for folder in folders(modules) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('@') {
            look(&folder, all);
        } else if !name.starts_with('.') {
            let has_gyp = folder.join("binding.gyp").is_file();
            all.extend(core_next::Installed::of(&read(&folder, "package.json"), has_gyp, &folder.to_string_lossy()));
        }
    }
}
