//! Archives: unpacked whole, nothing outside of the target, nothing executed.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest, Sha256};

/// What kind of file was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    TarGz,
    Zip,
    Plain,
}

/// By the end of its name.
pub(super) fn kind_of(name: &str) -> Kind {
    let name = name.split(['?', '#']).next().unwrap_or_default().to_lowercase();
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        Kind::TarGz
    } else if [".zip", ".whl"].iter().any(|ending| name.ends_with(ending)) {
        Kind::Zip
    } else {
        Kind::Plain
    }
}

/// Unpacks `archive` into `folder`.
pub(super) fn unpack(archive: &Path, kind: Kind, folder: &Path) -> Result<(), String> {
    let open = || File::open(archive).map_err(|error| error.to_string());
    match kind {
        Kind::TarGz => unpack_tar(open()?, folder).map_err(|error| format!("the archive cannot be unpacked: {error}")),
        Kind::Zip => unpack_zip(open()?, folder).map_err(|error| format!("the archive cannot be unpacked: {error}")),
        Kind::Plain => Err("it is no archive".into()),
    }
}

fn unpack_tar(file: File, folder: &Path) -> Result<(), String> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let unpack = |mut entry: tar::Entry<'_, _>| {
        // The library passes over what points outside, and says so.
        match entry.unpack_in(folder) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("`{}` points outside of it", String::from_utf8_lossy(&entry.path_bytes()))),
            Err(error) => Err(chain(&error)),
        }
    };
    let mut folders = Vec::new();
    for entry in tar.entries().map_err(|error| chain(&error))? {
        let entry = entry.map_err(|error| chain(&error))?;
        if entry.header().entry_type().is_dir() { folders.push(entry) } else { unpack(entry)? }
    }
    // Last, and from within: the mode of a folder may forbid to write to it.
    folders.sort_by(|a, b| b.path_bytes().cmp(&a.path_bytes()));
    folders.into_iter().try_for_each(unpack)
}

fn unpack_zip(file: File, folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mut zip = zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| error.to_string())?;
        let Some(relative) = entry.enclosed_name() else {
            let name = entry.name().map(std::borrow::Cow::into_owned).unwrap_or_default();
            return Err(format!("`{name}` points outside of it"));
        };
        let target = folder.join(&relative);
        if entry.is_dir() {
            fs::create_dir_all(&target).map_err(|error| error.to_string())?;
            continue;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|error| error.to_string())?;
        }
        let mut out = File::create(&target).map_err(|error| error.to_string())?;
        io::copy(&mut entry, &mut out).map_err(|error| error.to_string())?;
        // Nothing else of what it says of modes counts.
        if entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0) {
            let permissions = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&target, permissions).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// The SHA-256 of a file, in hexadecimal digits.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(crate::hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_zip_that_points_outside_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        zip.start_file("../evil", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"x").unwrap();
        zip.finish().unwrap();
        let target = folder.path().join("target");
        fs::create_dir(&target).unwrap();
        assert!(unpack(&path, Kind::Zip, &target).is_err());
        assert!(!folder.path().join("evil").exists());
    }

    #[test]
    fn kinds_are_told_by_names() {
        assert_eq!(kind_of("https://x/a-1.tar.gz?x=1"), Kind::TarGz);
        assert_eq!(kind_of("a.TGZ"), Kind::TarGz);
        assert_eq!(kind_of("a.whl"), Kind::Zip);
        assert_eq!(kind_of("a"), Kind::Plain);
    }
}
