//! A release as one file, for another host: `tar`, compressed with Zstandard.
//!
//! It has what landed, but for variables of the host that built it (`.env.local`, …) and links to data. Before anything of
//! it lands, it is looked at whether it can run here.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path};

use super::choose::EXPORT;
use super::record::{FILE, Record};
use crate::binaries::archive::unpack_tar;

/// How much of the time goes into the size.
const LEVEL: i32 = 9;

/// Packs the folder of a release into a file.
///
/// # Errors
/// The error of the file system, as text.
pub(super) fn pack(release: &Path, to: &Path) -> Result<(), String> {
    let packed = || -> io::Result<()> {
        let beside = to.with_extension("part");
        let compressed = zstd::Encoder::new(File::create(&beside)?, LEVEL)?;
        let mut tar = tar::Builder::new(compressed);
        tar.follow_symlinks(false);
        // First, so that whoever looks at it need not read all of it.
        tar.append_path_with_name(release.join(FILE), FILE)?;
        add(&mut tar, release, Path::new(""))?;
        tar.into_inner()?.finish()?.sync_all()?;
        fs::rename(beside, to)
    };
    packed().map_err(|error| format!("{}: {error}", to.display()))
}

fn add<W: io::Write>(tar: &mut tar::Builder<W>, release: &Path, below: &Path) -> io::Result<()> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(release.join(below))?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (below.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            tar.append_path_with_name(entry.path(), &path)?;
            add(tar, release, &path)?;
        } else if is_shipped(release, &path, &entry)? {
            tar.append_path_with_name(entry.path(), &path)?;
        }
    }
    Ok(())
}

fn is_shipped(release: &Path, path: &Path, entry: &fs::DirEntry) -> io::Result<bool> {
    let name = entry.file_name();
    let is_of_host =
        name.as_encoded_bytes().starts_with(b".env") && Path::new(&name).extension() == Some(OsStr::new("local"));
    if is_of_host || path == Path::new(FILE) {
        return Ok(false);
    }
    if !entry.file_type()?.is_symlink() {
        return Ok(true);
    }
    let folder = release.join(path.parent().unwrap_or(Path::new("")));
    let mut at = folder;
    for part in fs::read_link(entry.path())?.components() {
        match part {
            Component::ParentDir => {
                at.pop();
            }
            other => at.push(other),
        }
        if !at.starts_with(release) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Unpacks an archive into the new folder `to`, if its release can run here; `node` is the version that will run it.
///
/// # Errors
/// Why it cannot, or what is wrong with the archive, as text for people.
pub(super) fn unpack(archive: &Path, to: &Path, node: &str) -> Result<Record, String> {
    let shown = archive.display();
    let open = || File::open(archive).map_err(|error| format!("{shown}: {error}"));
    let broken = |why: &dyn std::fmt::Display| format!("{shown} is no archive of a release: {why}");
    let reader = zstd::Decoder::new(open()?).map_err(|error| broken(&error))?;
    let mut tar = tar::Archive::new(reader);
    let first = tar.entries().map_err(|error| broken(&error))?.next();
    let first = first.ok_or_else(|| broken(&"it is empty"))?.map_err(|error| broken(&error))?;
    if first.path_bytes().as_ref() != FILE.as_bytes() {
        return Err(broken(&format!("it does not begin with {FILE}")));
    }
    // It is written by a build, and no larger than this.
    let record: Record = serde_json::from_reader(io::Read::take(first, 1 << 20)).map_err(|error| broken(&error))?;
    check(&record, node).map_err(|why| format!("{shown} cannot run here: {why}"))?;
    fs::create_dir(to).map_err(|error| format!("{}: {error}", to.display()))?;
    let plain = zstd::Decoder::new(open()?).map_err(|error| broken(&error))?;
    unpack_tar(plain, to).map_err(|why| broken(&why))?;
    let is_export = to.join(EXPORT).join("index.html").is_file();
    if !is_export && !to.join("app/server.js").is_file() {
        return Err(broken(&"it has no app/server.js, and is no static export"));
    }
    Ok(record)
}

/// Whether a release can run on this host, with this version of node.
fn check(record: &Record, node: &str) -> Result<(), String> {
    let here = Record::of_this_host();
    let differ = |what: &str, one: &str, other: &str| {
        (one != other && !one.is_empty()).then(|| format!("it was built for {what}{one}, and this is {what}{other}"))
    };
    let found = [
        differ("", &record.platform, &here.platform),
        differ("", &record.libc, &here.libc),
        differ("Node.js ", &record.node, node),
    ];
    let is_named = !record.id.is_empty() && record.id.starts_with(|first: char| first.is_ascii_digit());
    let is_plain = record.id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let odd = (!is_named || !is_plain).then(|| format!("`{}` is not the ID of a release", record.id));
    match found.into_iter().flatten().chain(odd).next() {
        Some(why) => Err(why),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn release(folder: &Path) -> Record {
        fs::create_dir_all(folder.join("server/node_modules/.pnpm/x")).unwrap();
        for (name, text) in [("server/server.js", "x"), ("server/.env.local", "SECRET=1"), ("server/.env", "A=1")] {
            fs::write(folder.join(name), text).unwrap();
        }
        symlink(".pnpm/x", folder.join("server/node_modules/x")).unwrap();
        symlink("../../../../.data/web/db", folder.join("server/db")).unwrap();
        symlink("server", folder.join("app")).unwrap();
        let record = Record { id: "20261127-1-a".into(), node: "20".into(), ..Record::of_this_host() };
        record.write(folder).unwrap();
        record
    }

    #[test]
    fn an_archive_has_the_release_and_nothing_of_its_host() {
        let folder = tempfile::tempdir().unwrap();
        let (from, file, to) = (folder.path().join("from"), folder.path().join("x.tar.zst"), folder.path().join("to"));
        let record = release(&from);
        pack(&from, &file).unwrap();
        assert_eq!(unpack(&file, &to, "20").unwrap(), record);
        assert!(to.join("app/server.js").is_file() && to.join("server/node_modules/x").is_symlink());
        assert!(to.join("server/.env").is_file() && !to.join("server/.env.local").exists());
        assert!(fs::symlink_metadata(to.join("server/db")).is_err(), "data is of the host");
    }

    #[test]
    fn a_static_export_has_no_server() {
        let folder = tempfile::tempdir().unwrap();
        let (from, file, to) = (folder.path().join("from"), folder.path().join("x.tar.zst"), folder.path().join("to"));
        release(&from);
        fs::remove_file(from.join("server/server.js")).unwrap();
        pack(&from, &file).unwrap();
        assert!(unpack(&file, &to, "20").unwrap_err().contains("no app/server.js"));
        fs::remove_dir_all(&to).unwrap();
        symlink("server", from.join(EXPORT)).unwrap();
        fs::write(from.join("server/index.html"), "page").unwrap();
        pack(&from, &file).unwrap();
        unpack(&file, &to, "20").unwrap();
        assert!(to.join(EXPORT).join("index.html").is_file());
    }

    #[test]
    fn what_cannot_run_here_is_refused_before_it_lands() {
        let folder = tempfile::tempdir().unwrap();
        let (from, file, to) = (folder.path().join("from"), folder.path().join("x.tar.zst"), folder.path().join("to"));
        let record = release(&from);
        let refused = |change: fn(&mut Record), node: &str| {
            let mut record = record.clone();
            change(&mut record);
            record.write(&from).unwrap();
            pack(&from, &file).unwrap();
            let error = unpack(&file, &to, node).unwrap_err();
            assert!(!to.exists(), "{error}");
            error
        };
        assert!(refused(|_| {}, "24").contains("built for Node.js 20, and this is Node.js 24"));
        assert!(refused(|one| one.platform = "linux-riscv64".into(), "20").contains("built for linux-riscv64"));
        assert!(refused(|one| one.libc = "other".into(), "20").contains("built for other"));
        assert!(refused(|one| one.id = "../x".into(), "20").contains("is not the ID"));
        fs::write(&file, "not one").unwrap();
        assert!(unpack(&file, &to, "20").unwrap_err().contains("no archive of a release"));
    }
}
