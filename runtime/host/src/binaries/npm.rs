//! An npm package: npm downloads and installs it with its dependencies, and no package scripts are executed.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::run::{self, Spoken};
use super::{Fetched, Landing, archive};

/// The program file of the npm that is installed beside `node`, to be run with `node`; `None` if there is none.
pub fn npm_cli(node: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(node).ok()?;
    let bin = real.parent()?;
    let mut candidates = Vec::new();
    for bin in [Some(bin), node.parent()].into_iter().flatten() {
        if let Some(prefix) = bin.parent() {
            candidates.push(prefix.join("lib/node_modules/npm/bin/npm-cli.js"));
            candidates.push(prefix.join("share/nodejs/npm/bin/npm-cli.js"));
        }
    }
    candidates.into_iter().find(|path| path.is_file())
}

pub(super) async fn fetch(
    landing: &Landing<'_>,
    package: &str,
    version: &str,
    file: Option<&str>,
) -> Result<Fetched, String> {
    let requirement = format!("{package}@{version}");
    let downloads = landing.downloads()?;
    landing.say("downloading");
    let mut command = npm(landing, &downloads)?;
    command.arg("pack").arg(&requirement).arg("--pack-destination").arg(&downloads).arg("--prefix").arg(&downloads);
    run_npm(&mut command, &format!("npm could not download {requirement}")).await?;
    let mut files = fs::read_dir(&downloads).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
    let tarball = files
        .find(|path| path.extension().is_some_and(|ending| ending == "tgz"))
        .ok_or_else(|| format!("npm downloaded nothing for {requirement}"))?;
    let sha256 = archive::sha256(&tarball).map_err(|error| error.to_string())?;
    landing.say("installing");
    // Installs the very file that was hashed. `--prefix`: a project above the folder must not be used.
    let mut command = npm(landing, &downloads)?;
    command.args(["install", "--no-save", "--no-package-lock", "--omit=dev", "--no-audit", "--no-fund"]);
    command.arg("--prefix").arg(landing.scratch).arg(&tarball);
    run_npm(&mut command, &format!("npm could not install {requirement}")).await?;
    if file.is_none() {
        expect_program(landing.scratch, &landing.wanted.binary)?;
    }
    let name = tarball.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Fetched { file: name, sha256 })
}

/// npm of the service's node, if that was chosen and has one; otherwise that of the machine.
fn npm(landing: &Landing<'_>, downloads: &Path) -> Result<Command, String> {
    let chosen = landing.wanted.tool.as_ref().map(|(program, _)| program.as_path());
    let mut command = if let Some((node, cli)) = chosen.and_then(|node| Some((node, npm_cli(node)?))) {
        let mut command = run::command(node);
        command.arg(cli);
        run::put_first(&mut command, node);
        command
    } else {
        let path = std::env::var("PATH").ok();
        let npm = crate::which::find_program("npm", path.as_deref()).ok_or("there is no `npm` in PATH")?;
        run::command(&npm)
    };
    command.args(["--ignore-scripts", "--loglevel=error"]).current_dir(downloads);
    command.env("npm_config_cache", landing.paths.dep().join(".cache/npm")).env("npm_config_update_notifier", "false");
    command.env("TMPDIR", downloads).env_remove("NODE_OPTIONS");
    Ok(command)
}

async fn run_npm(command: &mut Command, failure: &str) -> Result<(), String> {
    match run::run(command, None).await.map_err(|error| format!("npm cannot be run: {error}"))? {
        Spoken { success: true, .. } => Ok(()),
        Spoken { last, .. } => Err(format!("{failure}: {last}")),
    }
}

/// Checks that the package has the program: its programs may have other names.
fn expect_program(scratch: &Path, binary: &str) -> Result<(), String> {
    let bin = scratch.join("node_modules/.bin");
    if bin.join(binary).exists() {
        return Ok(());
    }
    let programs = fs::read_dir(&bin).into_iter().flatten().flatten();
    let mut names: Vec<String> = programs.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(format!("the package has no program `{binary}`; name the program with `file` (in node_modules/.bin: {there})"))
}
