//! Puts together what runs: the standalone server with its files.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use core_next::build::{BESIDE, EXPORTED, SERVER, STANDALONE};

use super::choose::{APP, EXPORT};

/// The folder of a release that holds what runs.
pub(super) const SERVER_FOLDER: &str = "server";

/// Assembles the release in the folder `landing` from the build in `work`, in which the app is at `app`.
///
/// # Errors
/// What the build lacks, as text for people.
pub(super) fn assemble(work: &Path, app: &Path, landing: &Path) -> Result<(), String> {
    let failed = |what: &str, error: &io::Error| format!("{what} cannot be put in its place: {error}");
    let server = landing.join(SERVER_FOLDER);
    let built = work.join(app);
    fs::create_dir_all(landing).map_err(|error| failed(SERVER_FOLDER, &error))?;
    let Some(base) = base_of(&built.join(STANDALONE), work, app) else {
        return export(&built, landing);
    };
    fs::rename(&base, &server).map_err(|error| failed(STANDALONE, &error))?;
    let home = server.join(app);
    for name in BESIDE {
        let from = built.join(name);
        if from.exists() {
            move_entry(&from, &home.join(name)).map_err(|error| failed(name, &error))?;
        }
    }
    check_links(&server, &server)?;
    let to = Path::new(SERVER_FOLDER).join(app);
    symlink(&to, landing.join(APP)).map_err(|error| failed(APP, &error))
}

/// Assembles the release of a static export: its files are all of it.
fn export(built: &Path, landing: &Path) -> Result<(), String> {
    let out = built.join(EXPORTED);
    if !out.is_dir() {
        let inside = "is the app's folder its whole project (outputFileTracingRoot)?";
        return Err(format!("the build made no {SERVER} in {STANDALONE}: {inside}"));
    }
    let server = landing.join(SERVER_FOLDER);
    let put = || -> io::Result<()> {
        fs::rename(&out, &server)?;
        symlink(SERVER_FOLDER, landing.join(APP))?;
        symlink(SERVER_FOLDER, landing.join(EXPORT))
    };
    put().map_err(|error| format!("{EXPORTED} cannot be put in its place: {error}"))?;
    check_links(&server, &server)
}

/// The folder below which the app's server lies. Before Next.js 15, a lock file above the copy makes that folder the
/// root of the trace, and the server lies deeper, by as many folders as the copy does.
fn base_of(standalone: &Path, work: &Path, app: &Path) -> Option<PathBuf> {
    let deeper = work.ancestors().skip(1).filter_map(|above| work.strip_prefix(above).ok());
    let bases = std::iter::once(standalone.to_owned()).chain(deeper.map(|way| standalone.join(way)));
    bases.into_iter().find(|base| base.join(app).join(SERVER).is_file())
}

fn move_entry(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let _ = fs::remove_dir_all(to);
    fs::rename(from, to)
}

/// Refuses links that lead out of a release: it would change when their targets do, or lose them.
fn check_links(server: &Path, folder: &Path) -> Result<(), String> {
    let unread = |error: io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let kind = entry.file_type().map_err(unread)?;
        if kind.is_dir() {
            check_links(server, &entry.path())?;
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).map_err(unread)?;
            let shown = entry.path().strip_prefix(server).unwrap_or(&entry.path()).display().to_string();
            if !stays_inside(server, folder, &target) {
                return Err(format!("{shown} is a link to {}, out of the release", target.display()));
            }
        }
    }
    Ok(())
}

/// Whether a relative link in a folder leads to a place below `server`, by its text.
fn stays_inside(server: &Path, folder: &Path, target: &Path) -> bool {
    let mut at = folder.to_owned();
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => at.push(name),
            Component::ParentDir => {
                at.pop();
                if !at.starts_with(server) {
                    return false;
                }
            }
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(app: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let work = fs::canonicalize(folder.path()).unwrap().join("work");
        let home = work.join(app).join(STANDALONE).join(app);
        fs::create_dir_all(home.join("node_modules/.pnpm/x")).unwrap();
        fs::create_dir_all(work.join(app).join(".next/static")).unwrap();
        fs::write(home.join(SERVER), "x").unwrap();
        fs::write(work.join(app).join(".env.local"), "A=1").unwrap();
        (folder, work)
    }

    #[test]
    fn a_server_in_a_workspace_is_found_and_gets_its_files() {
        for app in ["", "apps/web"] {
            let (folder, work) = built(app);
            let landing = folder.path().join("landing");
            assemble(&work, Path::new(app), &landing).unwrap();
            for name in [SERVER, ".next/static", ".env.local"] {
                assert!(landing.join(APP).join(name).exists(), "{app}: {name}");
            }
        }
    }

    #[test]
    fn links_that_stay_inside_are_kept_and_others_refused() {
        let (folder, work) = built("");
        let modules = work.join(STANDALONE).join("node_modules");
        symlink(".pnpm/x", modules.join("x")).unwrap();
        assemble(&work, Path::new(""), &folder.path().join("one")).unwrap();
        assert!(folder.path().join("one/server/node_modules/x").is_symlink());
        for target in ["/etc/passwd", "../../../x", "./.pnpm/../../../../x"] {
            let (folder, work) = built("");
            symlink(target, work.join(STANDALONE).join("node_modules/x")).unwrap();
            let error = assemble(&work, Path::new(""), &folder.path().join("two")).unwrap_err();
            assert!(error.contains("node_modules/x is a link to"), "{error}");
        }
    }

    #[test]
    fn an_export_is_told_from_a_build_without_a_server() {
        let folder = tempfile::tempdir().unwrap();
        let work = fs::canonicalize(folder.path()).unwrap();
        let error = assemble(&work, Path::new(""), &work.join("one")).unwrap_err();
        assert!(error.contains("outputFileTracingRoot"), "{error}");
        fs::create_dir(work.join("out")).unwrap();
        fs::write(work.join("out/index.html"), "page").unwrap();
        assemble(&work, Path::new(""), &work.join("two")).unwrap();
        assert_eq!(fs::read_to_string(work.join("two").join(EXPORT).join("index.html")).unwrap(), "page");
    }
}
