//! The development server of an app: its packages, installed in the app's own folder as its developer would, and a
//! small program in `.dep/` that starts Next.js from there.

use std::fs;
use std::path::{Path, PathBuf};

use core_engine::event::Unavailable;
use core_next::manager::DEFINING;
use core_stack::{Building, Wanted};
use sha2::{Digest as _, Sha256};

use super::install;
use super::project::{Project, find_next};
use super::{Deployer, Making, app_of};
use crate::binaries::inputs::lexically;
use crate::binaries::log::Log;
use crate::binaries::owner::Owner;
use crate::binaries::{Progress, Release, Scratch, lock_file};
use crate::paths::Paths;

/// Beginning of the names of folders in `.dep/` for development servers.
const PREFIX: &str = "dev-";
/// The program in such a folder.
const PROGRAM: &str = "dev.cjs";
/// The file in it that names the folder of the app.
const APP: &str = "app";
/// The file among packages that were installed by core, with the hash of what they were installed from. Packages without
/// it are the developer's, who looks after them.
const MARK: &str = "node_modules/.core";
/// Starts the Next.js that the app finds, wherever its package manager put it.
const TEXT: &str = "// Written by core.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const app = readFileSync(join(__dirname, 'app'), 'utf8');
process.argv[1] = createRequire(join(app, 'package.json')).resolve('next/dist/bin/next');
require(process.argv[1]);
";

/// The folder with the program that starts the development server of a service.
///
/// # Errors
/// The app is none, as text for people.
pub(crate) fn choose(paths: &Paths, service: &str, app: &str, node: &str) -> Result<Release, String> {
    let home = lexically(&paths.root.join(app));
    if !home.join("package.json").is_file() {
        return Err(format!("{app} is not an app: it has no package.json"));
    }
    let folder = format!("{PREFIX}{service}-{}", &key(&home, &Project::of(&home), node)[..12]);
    let path = paths.dep().join(&folder).join(PROGRAM);
    Ok(Release { id: String::new(), folder, path, building: Building::default() })
}

/// Whether what was prepared in a folder of `.dep/` still holds: packages may have been deleted since.
pub(crate) fn holds(paths: &Paths, folder: &str) -> bool {
    if !folder.starts_with(PREFIX) {
        return true;
    }
    let app = fs::read_to_string(paths.dep().join(folder).join(APP)).unwrap_or_default();
    let home = Path::new(&app);
    home.is_absolute() && find_next(home, &Project::of(home).root).is_some()
}

/// The hash of what says which packages an app has.
fn key(home: &Path, project: &Project, node: &str) -> String {
    let mut hash =
        Sha256::new().chain_update(node).chain_update(TEXT).chain_update(home.as_os_str().as_encoded_bytes());
    let folders = [project.root.as_path(), home];
    for file in folders.iter().flat_map(|folder| DEFINING.map(|name| folder.join(name))) {
        let text = fs::read(file).unwrap_or_default();
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(&text);
    }
    core_stack::hex(&hash.finalize())
}

/// Installs the packages of an app in its own folder, unless they are there, and puts the program in its place.
///
/// # Errors
/// What failed, as text for people.
pub(super) async fn prepare(
    paths: &Paths,
    folder: &str,
    wanted: &Wanted,
    progress: &Progress,
) -> Result<(), Unavailable> {
    let dep = paths.dep();
    fs::create_dir_all(&dep).map_err(|error| format!("{}: {error}", dep.display()))?;
    let home = lexically(&paths.root.join(app_of(wanted)));
    let project = Project::of(&home);
    let Some((node, _)) = &wanted.tool else { return Err("no node was chosen".to_owned().into()) };
    // One project may have several apps.
    let _guard = lock_file(&dep.join(".dev.lock")).await?;
    let part = Scratch::new(dep.join(format!(".new-{folder}")))?;
    let making = Making {
        paths,
        folder,
        service: folder,
        id: "dev",
        app: app_of(wanted),
        node,
        node_version: wanted.tool_version.clone(),
        part: part.path(),
        building: &wanted.building,
        watched: None,
        owner: Owner::of(&paths.root)?,
        deployer: &Deployer::default(),
        progress,
    };
    let key = key(&home, &project, &wanted.tool_version);
    let mark = project.root.join(MARK);
    let is_there = find_next(&home, &project.root).is_some();
    // Those of the developer are left alone, and so are those of the same lock file.
    if !is_there || fs::read_to_string(&mark).is_ok_and(|marked| marked != key) {
        making.owner.take(&making.cache())?;
        let mut log = Log::begin(paths, folder).await?;
        install::install(&making, &project, &project.root, &mut log).await?;
        install::postinstall(&making, &project, &project.root, &mut log).await?;
        find_next(&home, &project.root).ok_or("the project has no package `next`: is it a Next.js app?".to_owned())?;
        fs::write(&mark, &key).map_err(|error| format!("{}: {error}", mark.display()))?;
    }
    land(&dep.join(folder), part.path(), &home).map_err(|error| format!("{folder} cannot land: {error}").into())
}

fn land(target: &Path, part: &Path, home: &Path) -> std::io::Result<()> {
    let landing: PathBuf = part.join("landing");
    fs::create_dir(&landing)?;
    fs::write(landing.join(PROGRAM), TEXT)?;
    fs::write(landing.join(APP), home.as_os_str().as_encoded_bytes())?;
    if target.is_dir() {
        fs::remove_dir_all(target)?;
    }
    fs::rename(landing, target)
}
