//! One segment of a log, with its index. Only the pump that made a segment writes into it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use crate::{folder, sys};

/// Minimum number of bytes between two index records.
const INDEX_BYTES: u64 = 64 << 10;
/// Minimum number of nanoseconds between two index records.
const INDEX_NS: u64 = 10_000_000;

/// Size of one index record, in bytes.
pub const INDEX_RECORD: usize = 24;

pub(crate) struct Segment {
    pub(crate) file: File,
    /// Number of bytes in it.
    pub(crate) offset: u64,
    index: File,
    index_at: u64,
    indexed_offset: u64,
    indexed_ns: u64,
}

impl Segment {
    /// Creates both files. A file that already exists belongs to another pump, and is not touched.
    ///
    /// # Errors
    /// The error of the file system; `AlreadyExists` if one of the files exists.
    pub(crate) fn make(log: &Path, index: &Path) -> io::Result<Self> {
        let make = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
        let file = match make(log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                log.parent().map_or(Ok(()), |parent| folder::make(parent, 0o777))?;
                make(log)?
            }
            other => other?,
        };
        let index = make(index).inspect_err(|_| {
            // Nothing else writes into it, and every attempt would leave an empty one.
            let _ = fs::remove_file(log);
        })?;
        Ok(Self { file, offset: 0, index, index_at: 0, indexed_offset: 0, indexed_ns: 0 })
    }

    /// Whether an index record is due.
    fn is_due(&self, now: u64) -> bool {
        self.offset == 0
            || self.offset > self.indexed_offset
                && (now - self.indexed_ns >= INDEX_NS || self.offset - self.indexed_offset >= INDEX_BYTES)
    }

    /// Whether the segment was deleted. Only looks when an index record is due.
    pub(crate) fn is_seen_gone(&self, now: u64) -> bool {
        self.is_due(now) && self.file.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }

    /// Writes an index record if one is due.
    pub(crate) fn note(&mut self, now: u64) -> io::Result<()> {
        if !self.is_due(now) {
            return Ok(());
        }
        // Writing the first byte may be retried for a while: then its time is that of the last attempt.
        let at = if self.offset == 0 { 0 } else { self.index_at };
        let mut record = [0_u8; INDEX_RECORD];
        record[..8].copy_from_slice(&self.offset.to_le_bytes());
        record[8..16].copy_from_slice(&sys::wall_ns().to_le_bytes());
        record[16..].copy_from_slice(&now.to_le_bytes());
        self.index.write_all_at(&record, at)?;
        self.index_at = at + INDEX_RECORD as u64;
        self.indexed_offset = self.offset;
        self.indexed_ns = now;
        Ok(())
    }

    /// Whether nothing has been written yet, and the file still exists, so that written data would be found.
    pub(crate) fn is_unused(&self) -> bool {
        self.offset == 0 && self.file.metadata().is_ok_and(|meta| meta.nlink() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_made_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (log, index) = (folder.path().join("0.log"), folder.path().join("0.idx"));
        fs::write(&index, "theirs").unwrap();
        let refused = Segment::make(&log, &index).map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert!(!log.exists(), "half a segment is left");
        assert_eq!(fs::read(&index).unwrap(), b"theirs");
    }
}
