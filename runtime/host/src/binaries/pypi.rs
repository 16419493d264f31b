//! A wheel of the Python package index: downloaded by pip and unpacked by core; nothing in it is executed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::archive::{self, Kind};
use super::run::{self, Spoken};
use super::{Fetched, Landing};

pub(super) async fn fetch(
    landing: &Landing<'_>,
    package: &str,
    version: &str,
    file: Option<&str>,
) -> Result<Fetched, String> {
    landing.say("downloading");
    let wheel = download(landing, package, version, &landing.downloads()?).await?;
    let sha256 = archive::sha256(&wheel).map_err(|error| error.to_string())?;
    landing.say("unpacking");
    archive::unpack(&wheel, Kind::Zip, landing.scratch)?;
    if file.is_none() {
        expose_script(&landing.wanted.binary, landing.scratch)?;
    }
    let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Fetched { file: name, sha256 })
}

async fn download(landing: &Landing<'_>, package: &str, version: &str, downloads: &Path) -> Result<PathBuf, String> {
    let python = ["python3", "python"]
        .iter()
        .find_map(|name| crate::which::find_program(name, std::env::var("PATH").ok().as_deref()))
        .ok_or("there is no python3 in PATH to run pip with")?;
    let requirement = format!("{package}=={version}");
    let mut command = run::command(&python);
    // `-m` looks for pip in the current folder first, so that must be an empty one of core's.
    command
        .current_dir(downloads)
        .args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .args(["--progress-bar", "off", "--quiet", "--dest"])
        .arg(downloads)
        .arg(&requirement);
    // pip reports no progress that a program could read; the size of its file shows it.
    let watch = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            landing.progress.at(landing.folder, largest_file(downloads), None);
        }
    };
    let spoken = tokio::select! {
        spoken = run::run(&mut command, None) => spoken,
        () = watch => return Err(String::new()),
    };
    match spoken.map_err(|error| format!("pip cannot be run: {error}"))? {
        Spoken { success: true, .. } => {}
        Spoken { last, .. } => return Err(format!("pip could not download {requirement}: {last}")),
    }
    let mut wheels = fs::read_dir(downloads).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
    wheels
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .ok_or_else(|| format!("pip downloaded no wheel for {requirement}"))
}

fn largest_file(folder: &Path) -> u64 {
    // pip writes to a temporary folder first, so this is often 0 until the end; still better than nothing.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).max().unwrap_or(0)
}

/// A wheel keeps its programs in `<name>.data/scripts/`; core looks for `bin/<binary>`.
fn expose_script(binary: &str, scratch: &Path) -> Result<(), String> {
    let folders = fs::read_dir(scratch).map_err(|error| error.to_string())?.flatten();
    let scripts = folders
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().ends_with(".data"))
        .map(|name| Path::new(&name).join("scripts").join(binary))
        .find(|path| scratch.join(path).is_file());
    let Some(script) = scripts else {
        return Err(format!("the wheel holds no script `{binary}`; name the program with `file`"));
    };
    let bin = scratch.join("bin");
    fs::create_dir_all(&bin)
        .and_then(|()| symlink(Path::new("..").join(script), bin.join(binary)))
        .map_err(|error| error.to_string())
}
