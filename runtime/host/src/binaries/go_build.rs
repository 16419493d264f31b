//! Builds a Go program: a package of the stack, or of a module that go downloads.

use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use core_manifest::manifest::Source;
use core_stack::Wanted;
use tokio::process::Command;

use super::log::Log;
use super::work::Work;
use super::{Fetched, Landing, run};

/// Builds a package of the stack.
pub(super) async fn build(landing: &Landing<'_>, path: &str) -> Result<(), String> {
    landing.say("copying sources");
    let at = landing.paths.dep().join(format!(".build-{}", landing.folder));
    let work = Work::copy(landing.paths, landing.wanted, at)?;
    landing.say("building");
    let mut command = install(landing)?;
    command.arg(".").current_dir(work.folder(path)?);
    landing.owner.take(work.root())?;
    Log::begin(landing.paths, landing.folder).await?.run("building", &mut command).await?;
    take(landing.scratch, &landing.wanted.binary)
}

/// Downloads a module with its dependencies, and builds a program of it. Go verifies all of it with its checksum
/// database, unless the environment says otherwise.
pub(super) async fn fetch(landing: &Landing<'_>) -> Result<Fetched, String> {
    let Landing { wanted, scratch, .. } = landing;
    let Source::GoBuild { module: Some(module), version: Some(version), package, .. } = &wanted.source else {
        return Err("it is no module".into());
    };
    landing.say("downloading and building");
    // The downloaded modules are deleted: they are built once, and the next download must be verified again.
    let modules = scratch.with_extension("modules");
    landing.owner.take(&modules)?;
    let package = package.as_ref().map_or(module.clone(), |package| format!("{module}/{package}"));
    let mut command = install(landing)?;
    command.arg("--").arg(format!("{package}@{version}")).current_dir(scratch);
    // Without C, the program does not depend on what else the machine has installed.
    command.env("GOMODCACHE", &modules).env("CGO_ENABLED", "0");
    Log::begin(landing.paths, landing.folder).await?.run("building", &mut command).await?;
    take(scratch, &wanted.binary)?;
    // Thousands of files: not in the loop's thread.
    let _ = tokio::task::spawn_blocking(move || fs::remove_dir_all(modules)).await;
    made_of(go(wanted)?, &scratch.join(&wanted.binary)).await
}

fn go(wanted: &Wanted) -> Result<&Path, String> {
    wanted.tool.as_ref().map(|(go, _)| go.as_path()).ok_or_else(|| "there is no `go` in PATH".into())
}

/// `go install` into the folder that lands, with go's caches in `.dep/.cache`.
fn install(landing: &Landing<'_>) -> Result<Command, String> {
    let cache = landing.paths.dep().join(".cache/go");
    for folder in [&cache, landing.scratch] {
        landing.owner.take(folder)?;
    }
    let mut command = run::command(go(landing.wanted)?);
    run::share(&mut command, u64::MAX);
    landing.owner.run(&mut command);
    // `-modcacherw`: otherwise only root could delete `.dep/`. `-buildvcs`: the hash does not include a commit.
    command.args(["install", "-trimpath", "-buildvcs=false", "-modcacherw"]);
    command.env("GOBIN", landing.scratch).env("GOPATH", &cache).env("GOMODCACHE", cache.join("pkg/mod"));
    // The operator's own cache is just as good: it is keyed by contents.
    if std::env::var_os("GOCACHE").is_none() {
        command.env("GOCACHE", cache.join("build"));
    }
    // Otherwise go would find a workspace in the root of the stack, above the copy.
    command.env("GOWORK", "off").env("TMPDIR", landing.temporary()?);
    Ok(command)
}

/// Gives the installed program the name of the binary.
fn take(scratch: &Path, binary: &str) -> Result<(), String> {
    let mut made: Vec<PathBuf> =
        fs::read_dir(scratch).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path()).collect();
    match (made.pop(), made.as_slice()) {
        (Some(program), []) => fs::rename(program, scratch.join(binary)).map_err(|error| error.to_string()),
        _ => Err("go made no program: is the package `main`?".into()),
    }
}

/// The module that a program was made from, as recorded in the program, with the hash of its contents. It is the hash
/// in `go.sum` and the checksum database, whatever server the module came from.
async fn made_of(go: &Path, program: &Path) -> Result<Fetched, String> {
    let output = run::command(go).args(["version", "-m"]).arg(program).output().await;
    let output = output.map_err(|error| format!("{}: {error}", go.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let module = words.find_map(|words| match words.as_slice() {
        ["mod", module, version, sum] => {
            let sha256 = bytes_of(sum.strip_prefix("h1:")?).filter(|hash| hash.len() == 32)?;
            Some(Fetched { file: format!("{module}@{version}"), sha256: core_stack::hex(&sha256) })
        }
        _ => None,
    });
    module.ok_or_else(|| "go does not say the hash of its module".into())
}

/// Decodes base 64.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_read() {
        for (text, bytes) in
            [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9vYmFy", b"foobar"), ("+/8=", b"\xfb\xff")]
        {
            assert_eq!(bytes_of(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(bytes_of("a-b"), None);
    }
}
