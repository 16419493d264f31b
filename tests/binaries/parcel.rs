//! What is fetched: programs, and archives of them.

use std::io::{Cursor, Write as _};

use sha2::{Digest as _, Sha256};

/// A program that says who it is, and stays.
pub(crate) fn program(word: &str) -> Vec<u8> {
    format!("#!/bin/sh\necho 'this is {word}'\nsleep 1000\n").into_bytes()
}

/// A `.tar.gz` of files: path, mode, contents.
pub(crate) fn tar_gz(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut tar = Tar::default();
    for (path, mode, contents) in files {
        tar.file(path, *mode, contents);
    }
    tar.done()
}

/// A `.zip` of files: path, mode, contents.
pub(crate) fn zip(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, mode, contents) in files {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        zip.start_file(*path, options).expect("an entry");
        zip.write_all(contents).expect("its contents");
    }
    zip.finish().expect("a zip").into_inner()
}

/// The SHA-256, as manifests have it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A `.tar.gz` that may hold what no honest one does.
pub(crate) struct Tar(tar::Builder<Vec<u8>>);

impl Default for Tar {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Tar {
    pub(crate) fn file(&mut self, path: &str, mode: u32, contents: &[u8]) {
        self.entry(path, tar::EntryType::Regular, "", mode, contents);
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        self.entry(path, tar::EntryType::Symlink, target, 0o777, b"");
    }

    pub(crate) fn hard_link(&mut self, path: &str, target: &str) {
        self.entry(path, tar::EntryType::Link, target, 0o644, b"");
    }

    pub(crate) fn folder(&mut self, path: &str, mode: u32) {
        self.entry(path, tar::EntryType::Directory, "", mode, b"");
    }

    fn entry(&mut self, path: &str, kind: tar::EntryType, target: &str, mode: u32, contents: &[u8]) {
        let mut header = tar::Header::new_old();
        // Written by hand: the library would not take `..`.
        let fields = header.as_old_mut();
        fields.name[..path.len()].copy_from_slice(path.as_bytes());
        fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(contents.len() as u64);
        header.set_cksum();
        self.0.append(&header, contents).expect("an entry");
    }

    pub(crate) fn done(self) -> Vec<u8> {
        let tar = self.0.into_inner().expect("a tar");
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&tar).expect("its contents");
        zipped.finish().expect("a tar.gz")
    }
}
