//! Builds a program of a crate with cargo.

use std::fs;
use std::path::{Path, PathBuf};

use core_manifest::manifest::Source;

use super::log::Log;
use super::work::Work;
use super::{Landing, lock_folder, run};

pub(super) async fn build(landing: &Landing<'_>) -> Result<(), String> {
    let Landing { paths, wanted, scratch, .. } = landing;
    let (Source::CargoBuild { path, package, profile, .. }, Some(bin)) = (&wanted.source, &wanted.program) else {
        return Err("it is no crate".into());
    };
    let Some((cargo, _)) = &wanted.tool else { return Err("there is no `cargo` in PATH".into()) };
    let profile = profile.as_deref().unwrap_or("release");
    // cargo reuses only dependencies from the last build, since the copy of the sources is always new to it. So no
    // build relies on the modification times of sources, which mean little after unpacking or copying.
    let cache = paths.dep().join(".cache").join(format!("cargo-{}", wanted.binary));
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let lock = cache.join("lock");
    landing.say("waiting for another build");
    let turn = tokio::task::spawn_blocking(move || lock_folder(&lock)).await.map_err(|error| error.to_string())?;
    let _turn = turn.map_err(|error| format!("its lock cannot be taken: {error}"))?;
    landing.say("copying sources");
    let work = Work::copy(paths, wanted, cache.join("work"))?;
    let target = cache.join("target");
    for old in places(&target, profile, bin) {
        let _ = fs::remove_file(old);
    }
    landing.say("building");
    let at = work.folder(path)?;
    let mut command = run::command(cargo);
    run::share(&mut command, u64::MAX);
    command.args(["build", "--color=never"]).arg(format!("--bin={bin}")).arg(format!("--profile={profile}"));
    command.args(package.iter().map(|package| format!("--package={package}")));
    // An existing lock file is binding; without one, cargo writes one into the copy.
    if work.upwards(&at, "Cargo.lock").is_some() {
        command.arg("--locked");
    }
    command.arg("--target-dir").arg(&target).current_dir(&at).env("TMPDIR", landing.temporary()?);
    landing.owner.run(&mut command);
    landing.owner.take(&target)?;
    landing.owner.take(work.root())?;
    Log::begin(paths, landing.folder).await?.run("building", &mut command).await?;
    let made = places(&target, profile, bin).into_iter().find(|path| path.is_file());
    let made = made.ok_or_else(|| format!("cargo made no program `{bin}`"))?;
    fs::copy(made, scratch.join(bin)).map_err(|error| format!("`{bin}` cannot be put in its place: {error}"))?;
    Ok(())
}

/// Where cargo may put a program: in a folder named after the target platform, if its settings name one.
fn places(target: &Path, profile: &str, bin: &str) -> Vec<PathBuf> {
    let profile = match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        other => other,
    };
    let below = fs::read_dir(target).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(target.to_owned()).chain(below).map(|folder| folder.join(profile).join(bin)).collect()
}
