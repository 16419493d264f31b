//! The program of a package manager: that of the host where it has the right version, else one fetched from npm's
//! registry.

use std::fs;
use std::path::{Path, PathBuf};

use core_next::manager::Managed;
use tokio::process::Command;

use super::Making;
use crate::binaries::log::Log;
use crate::binaries::run;
use crate::which::find_program;

/// How to call the package manager: a program, and its first arguments.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
}

/// npm, which comes with node.
pub(super) fn npm(node: &Path) -> Result<Tool, String> {
    let cli = crate::binaries::npm_cli(node).ok_or_else(|| format!("{} has no npm beside it", node.display()))?;
    Ok(Tool { program: node.to_owned(), args: vec![cli.display().to_string()] })
}

/// The package manager of a project.
///
/// # Errors
/// Why it is not available, as text for people.
pub(super) async fn of(making: &Making<'_>, managed: &Managed, log: &mut Log) -> Result<Tool, String> {
    let npm = npm(making.node)?;
    let Some((package, program)) = managed.package() else { return Ok(npm) };
    if let Some(program) = on_path(managed).await {
        return Ok(Tool { program, args: Vec::new() });
    }
    let spec = format!("{package}@{}", managed.version);
    let name = spec.replace('/', "-");
    let folder = making.paths.dep().join(".tools").join(name.trim_start_matches('@'));
    let installed = folder.join("node_modules").join(package);
    if !installed.join("package.json").is_file() {
        making.say(&format!("fetching {spec}"));
        making.owner.take(&making.paths.dep().join(".tools"))?;
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        making.owner.take(&folder)?;
        let mut command = making.command(&npm, &folder);
        command.args(["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]);
        command.args(["--ignore-scripts", "--prefix"]).arg(&folder).arg(&spec);
        making.run(&format!("fetching {spec}"), &mut command, log).await?;
    }
    if managed.is_for_node() {
        let program = installed.join(program);
        // Some versions of pnpm name it otherwise.
        let program = if program.is_file() { program } else { program.with_extension("mjs") };
        return Ok(Tool { program: making.node.to_owned(), args: vec![program.display().to_string()] });
    }
    // The package only holds a script that would link the program of this platform.
    let platforms = fs::read_dir(folder.join("node_modules/@oven")).into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = platforms.map(|entry| entry.path().join("bin/bun")).collect();
    programs.sort();
    for program in programs.into_iter().filter(|program| program.is_file()) {
        if version(&program).await.is_some() {
            return Ok(Tool { program, args: Vec::new() });
        }
    }
    Err(format!("{spec} has no program for this platform"))
}

/// The host's own, if it has the version that the project names.
async fn on_path(managed: &Managed) -> Option<PathBuf> {
    let program = find_program(managed.command(), std::env::var("PATH").ok().as_deref())?;
    let version = version(&program).await?;
    let is_meant = version == managed.version || version.starts_with(&format!("{}.", managed.version));
    is_meant.then_some(program)
}

/// What a program says is its version.
async fn version(program: &Path) -> Option<String> {
    let mut command: Command = run::command(program);
    command.arg("--version").current_dir("/");
    let said = run::run(&mut command, None).await.ok().filter(|said| said.success)?;
    Some(said.last.lines().next_back()?.trim().to_owned())
}
