//! A package of the npm registry: fetched and installed by npm with what it depends on; nothing of it is executed.

use std::fs;
use std::path::{Path, PathBuf};

use core_manifest::manifest::Source;
use tokio::process::Command;

use super::run::{self, Spoken};
use super::{Fetched, Progress, archive, npm_cli};
use crate::load::Wanted;
use crate::paths::Paths;

pub(super) async fn fetch(
    paths: &Paths,
    folder: &str,
    wanted: &Wanted,
    scratch: &Path,
    progress: &Progress,
) -> Result<Fetched, String> {
    let Source::Npm { package, version, file } = &wanted.source else { return Err("it is no package".into()) };
    let requirement = format!("{package}@{version}");
    let downloads = scratch.with_extension("download");
    fs::create_dir(&downloads).map_err(|error| format!("{}: {error}", downloads.display()))?;
    progress.say(folder, "downloading");
    let mut command = npm(paths, wanted, &downloads)?;
    command.arg("pack").arg(&requirement).arg("--pack-destination").arg(&downloads).arg("--prefix").arg(&downloads);
    run_npm(&mut command, &format!("npm could not download {requirement}")).await?;
    let mut files = fs::read_dir(&downloads).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
    let tarball = files
        .find(|path| path.extension().is_some_and(|ending| ending == "tgz"))
        .ok_or_else(|| format!("npm downloaded nothing for {requirement}"))?;
    let sha256 = archive::sha256(&tarball).map_err(|error| error.to_string())?;
    progress.say(folder, "installing");
    // The very file that was hashed. `--prefix`: what stands above the folder is no project of its own.
    let mut command = npm(paths, wanted, &downloads)?;
    command.args(["install", "--no-save", "--no-package-lock", "--omit=dev", "--no-audit", "--no-fund"]);
    command.arg("--prefix").arg(scratch).arg(&tarball);
    run_npm(&mut command, &format!("npm could not install {requirement}")).await?;
    if file.is_none() {
        expect_program(scratch, &wanted.binary)?;
    }
    let name = tarball.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Fetched { file: name, sha256 })
}

/// npm: of the service's node, where it was chosen and has one; else that of the machine.
fn npm(paths: &Paths, wanted: &Wanted, downloads: &Path) -> Result<Command, String> {
    let path = std::env::var("PATH").ok();
    let chosen = wanted.tool.as_ref().map(|(program, _)| program.as_path());
    let mut command = if let Some((node, cli)) = chosen.and_then(|node| Some((node, npm_cli(node)?))) {
        let mut command = run::command(node);
        command.arg(cli);
        // npm runs itself by the name `node` at times: that must be this one.
        if let Some(bin) = node.parent() {
            command.env("PATH", format!("{}:{}", bin.display(), path.unwrap_or_default()));
        }
        command
    } else {
        let npm = crate::load::find_program("npm", path.as_deref()).ok_or("there is no `npm` in PATH")?;
        run::command(&npm)
    };
    command.args(["--ignore-scripts", "--loglevel=error"]).current_dir(downloads);
    command.env("npm_config_cache", paths.dep().join(".cache/npm")).env("npm_config_update_notifier", "false");
    command.env("TMPDIR", downloads).env_remove("NODE_OPTIONS");
    Ok(command)
}

async fn run_npm(command: &mut Command, failure: &str) -> Result<(), String> {
    match run::run(command, None).await.map_err(|error| format!("npm cannot be run: {error}"))? {
        Spoken { success: true, .. } => Ok(()),
        Spoken { last, .. } => Err(format!("{failure}: {last}")),
    }
}

/// A package may have programs of other names.
fn expect_program(scratch: &Path, binary: &str) -> Result<(), String> {
    let bin = scratch.join("node_modules/.bin");
    if bin.join(binary).exists() {
        return Ok(());
    }
    let programs = fs::read_dir(PathBuf::from(&bin)).into_iter().flatten().flatten();
    let mut names: Vec<String> = programs.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(format!("the package has no program `{binary}`; name the program with `file` (in node_modules/.bin: {there})"))
}
