//! Unpacks archives completely; writes nothing outside of the target folder and executes nothing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// The most bytes that an archive may unpack to.
const MOST_BYTES: u64 = 4 << 30;
/// The most files and folders in an archive.
const MOST_ENTRIES: usize = 250_000;

/// The kind of a downloaded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    TarGz,
    Zip,
    Plain,
}

/// The kind of a file, by the ending of its name.
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
        Kind::TarGz => unpack_tar_within(flate2::read::GzDecoder::new(open()?), MOST_BYTES, folder)
            .map_err(|error| format!("the archive cannot be unpacked: {error}")),
        Kind::Zip => {
            unpack_zip(open()?, MOST_BYTES, folder).map_err(|error| format!("the archive cannot be unpacked: {error}"))
        }
        Kind::Plain => Err("it is not an archive".into()),
    }
}

/// A reader that fails when an archive holds more than its limit.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let over = || io::Error::other(format!("it becomes more than {} GiB", MOST_BYTES >> 30));
        self.left = self.left.checked_sub(count as u64).ok_or_else(over)?;
        Ok(count)
    }
}

fn check_entries(count: usize) -> Result<(), String> {
    if count > MOST_ENTRIES {
        return Err(format!("it has more than {MOST_ENTRIES} files and folders"));
    }
    Ok(())
}

/// Unpacks a tar archive, no longer compressed, into a folder.
///
/// # Errors
/// What is wrong with it, as text for people.
pub(crate) fn unpack_tar(plain: impl Read, folder: &Path) -> Result<(), String> {
    unpack_tar_within(plain, MOST_BYTES, folder)
}

fn unpack_tar_within(plain: impl Read, most: u64, folder: &Path) -> Result<(), String> {
    let mut tar = tar::Archive::new(Bounded { inner: plain, left: most });
    let unpack = |mut entry: tar::Entry<'_, _>| {
        // The library skips entries that point outside, and returns false.
        match entry.unpack_in(folder) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("`{}` points outside of it", String::from_utf8_lossy(&entry.path_bytes()))),
            Err(error) => Err(chain(&error)),
        }
    };
    let mut folders = Vec::new();
    for (number, entry) in tar.entries().map_err(|error| chain(&error))?.enumerate() {
        check_entries(number + 1)?;
        let entry = entry.map_err(|error| chain(&error))?;
        if entry.header().entry_type().is_dir() { folders.push(entry) } else { unpack(entry)? }
    }
    // Folders get their modes last, inner ones first: a mode may forbid writing to the folder.
    folders.sort_by(|a, b| b.path_bytes().cmp(&a.path_bytes()));
    folders.into_iter().try_for_each(unpack)
}

fn unpack_zip(file: File, most: u64, folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mut zip = zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
    check_entries(zip.len())?;
    let mut left = most;
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
        // The size in the entry's header is not trusted.
        let mut contents = Bounded { inner: &mut entry, left };
        io::copy(&mut contents, &mut out).map_err(|error| error.to_string())?;
        left = contents.left;
        // Of the entry's mode, only the executable bit is used.
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
            0 => return Ok(core_stack::hex(&hash.finalize())),
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
    fn what_becomes_too_much_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let zeros = vec![0; 1 << 20];
        let (zip_path, tar_path) = (folder.path().join("x.zip"), folder.path().join("x.tar.gz"));
        let mut zip = zip::ZipWriter::new(File::create(&zip_path).unwrap());
        let gz = flate2::write::GzEncoder::new(File::create(&tar_path).unwrap(), flate2::Compression::default());
        let mut tar = tar::Builder::new(gz);
        for name in ["a", "b"] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&zeros).unwrap();
            let mut header = tar::Header::new_gnu();
            header.set_size(zeros.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, zeros.as_slice()).unwrap();
        }
        zip.finish().unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        let target = folder.path().join("target");
        fs::create_dir(&target).unwrap();
        let both = |most: u64| {
            let open = |path: &Path| File::open(path).unwrap();
            [
                unpack_zip(open(&zip_path), most, &target),
                unpack_tar_within(flate2::read::GzDecoder::new(open(&tar_path)), most, &target),
            ]
        };
        for result in both(3 << 19) {
            assert!(result.is_err_and(|error| error.contains("it becomes more than")));
        }
        assert!(both(3 << 20).iter().all(Result::is_ok));
        assert!(check_entries(MOST_ENTRIES).is_ok() && check_entries(MOST_ENTRIES + 1).is_err());
    }

    #[test]
    fn kinds_are_told_by_names() {
        assert_eq!(kind_of("https://x/a-1.tar.gz?x=1"), Kind::TarGz);
        assert_eq!(kind_of("a.TGZ"), Kind::TarGz);
        assert_eq!(kind_of("a.whl"), Kind::Zip);
        assert_eq!(kind_of("a"), Kind::Plain);
    }
}
