//! Compressed copies of files that the edge serves: made once, beside the files.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::process::Command;

use crate::binaries::fence;
use crate::own::own_program;

/// The compressed copies of a file, by the ending of their names.
pub(super) const COPIES: [&str; 3] = ["br", "gz", "zst"];
/// Kinds of files that get smaller.
const COMPRESSIBLE: [&str; 9] = ["js", "css", "json", "svg", "txt", "map", "html", "xml", "wasm"];
/// Smaller files are sent as they are, in bytes: a compressed one would hardly be smaller.
const LEAST: u64 = 512;
/// Above this, a file is not compressed as much as possible: that takes some 2 s for each MiB.
const LARGE: u64 = 1 << 20;
/// Larger files have no copies, since a deploy would wait for them: the edge compresses them as it sends them, if it may.
const MOST: u64 = 16 << 20;

/// Makes the compressed copies that are missing in a folder, in a process of its own that gets what services leave. Files
/// without one are sent as they are.
pub(super) async fn compress(folder: &Path) {
    if !folder.is_dir() {
        return;
    }
    let Ok(program) = own_program() else { return };
    let mut command = Command::new(program);
    command.arg("precompress").arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true);
    fence::step_back(&mut command);
    match command.status().await {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::warn!("{} has no compressed copies: {status}", folder.display()),
        Err(error) => tracing::warn!("{} has no compressed copies: {error}", folder.display()),
    }
}

/// Makes the compressed copies that are missing below a folder: what the process of its own does.
///
/// # Errors
/// The error of the file system.
pub fn precompress(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() {
            precompress(&path)?;
        }
        if !kind.is_file() || !is_compressible(&path) || !(LEAST..=MOST).contains(&entry.metadata()?.len()) {
            continue;
        }
        let mut plain = Vec::new();
        File::open(&path)?.read_to_end(&mut plain)?;
        for copy in COPIES {
            let target = PathBuf::from(format!("{}.{copy}", path.display()));
            if target.exists() {
                continue;
            }
            let made = match copy {
                "br" => brotli(&plain)?,
                "zst" => zstd::encode_all(&plain[..], 19)?,
                _ => {
                    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                    encoder.write_all(&plain)?;
                    encoder.finish()?
                }
            };
            let beside = PathBuf::from(format!("{}.part", target.display()));
            fs::write(&beside, made)?;
            fs::rename(beside, target)?;
        }
    }
    Ok(())
}

/// Whether a file gets smaller, by its name.
pub(super) fn is_compressible(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| COMPRESSIBLE.contains(&ending))
}

fn brotli(plain: &[u8]) -> io::Result<Vec<u8>> {
    let quality = if plain.len() as u64 > LARGE { 9 } else { 11 };
    let params = ::brotli::enc::BrotliEncoderParams { quality, size_hint: plain.len(), ..Default::default() };
    let mut made = Vec::new();
    ::brotli::BrotliCompress(&mut &plain[..], &mut made, &params)?;
    Ok(made)
}
