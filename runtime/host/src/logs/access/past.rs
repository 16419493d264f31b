//! What was written before.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::UNIX_EPOCH;

use super::chain::{Chain, Opened};
use super::{Entry, Selection, has};

/// How many bytes are read at once, from the end to the beginning.
const CHUNK: u64 = 64 << 10;

/// The past of a chain: its older files, and the newest one up to where it is followed from.
pub(super) struct Past {
    /// The oldest first; each with the length that counts.
    files: Vec<(File, u64)>,
}

impl Past {
    /// All that a chain has before `offset` of the file that is its newest now.
    pub(super) fn of(chain: &Chain, newest: Option<&Opened>, offset: u64) -> Self {
        let mut files = Vec::new();
        // The newest was opened before: if it was rolled since, it is in the list.
        for path in chain.files() {
            let Ok(opened) = Opened::at(&path) else { continue };
            if newest.is_some_and(|newest| newest.inode == opened.inode) {
                files.push((opened.file, offset));
                break;
            }
            let length = opened.length();
            files.push((opened.file, length));
        }
        Self { files }
    }

    /// The last selected entries, the newest first.
    pub(super) fn last(&self, selection: &Selection, count: usize) -> Vec<Entry> {
        let mut all = Vec::new();
        let since = selection.since_ns.unwrap_or(0);
        for (file, length) in self.files.iter().rev().filter(|(file, _)| is_since(file, since)) {
            let goes_on = backward(file, *length, &mut |line| {
                let Some(entry) = parse(line) else { return true };
                if entry.wall_ns < since {
                    return false;
                }
                if has(selection, &entry) && all.len() < count {
                    all.push(entry);
                }
                all.len() < count
            });
            if !goes_on {
                break;
            }
        }
        all
    }

    /// The selected entries, the oldest first.
    pub(super) fn entries(self, selection: &Selection) -> impl Iterator<Item = Entry> {
        let since = selection.since_ns.unwrap_or(0);
        let files = self.files.into_iter().filter(move |(file, _)| is_since(file, since));
        let entries = files.flat_map(|(mut file, length)| {
            let _ = file.rewind();
            Lines(BufReader::new(file.take(length)))
        });
        entries.filter(move |entry| entry.wall_ns >= since && has(selection, entry))
    }
}

/// Whether a file was written to after this time, in nanoseconds since 1970.
fn is_since(file: &File, since: u64) -> bool {
    let changed = file.metadata().ok().map(|meta| u128::from(meta.mtime().unsigned_abs()) * 1_000_000_000);
    // In whole seconds: what is of the same one is looked at.
    changed.is_none_or(|changed| changed + 1_000_000_000 >= u128::from(since))
}

/// Now, in nanoseconds since 1970.
pub fn now_ns() -> u64 {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// The entries of a file.
struct Lines(BufReader<std::io::Take<File>>);

impl Iterator for Lines {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let mut line = Vec::new();
        loop {
            line.clear();
            match self.0.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            if let Some(entry) = parse(&line) {
                return Some(entry);
            }
        }
    }
}

/// The entry of a line, if it is whole.
pub(super) fn parse(line: &[u8]) -> Option<Entry> {
    Entry::parse(String::from_utf8_lossy(line).trim_end())
}

/// Passes the lines of a file before `end` to `each`, the last one first, until it returns false. Returns whether it never did.
fn backward(file: &File, end: u64, each: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    let mut at = end;
    let mut open = Vec::new();
    while at > 0 {
        let start = at.saturating_sub(CHUNK);
        let mut bytes = vec![0; usize::try_from(at - start).unwrap_or(0)];
        if file.read_exact_at(&mut bytes, start).is_err() {
            return true;
        }
        bytes.append(&mut open);
        at = start;
        // What is before the first end of a line goes on in the chunk before.
        let whole = match bytes.iter().position(|byte| *byte == b'\n') {
            _ if at == 0 => 0,
            Some(first) => first + 1,
            None => bytes.len(),
        };
        for line in bytes[whole..].split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty()) {
            if !each(line) {
                return false;
            }
        }
        bytes.truncate(whole);
        open = bytes;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_come_backwards_over_chunks() {
        let mut file = tempfile::tempfile().unwrap();
        let lines: Vec<String> = (0..5000).map(|number| format!("{number}{}", "x".repeat(number % 97))).collect();
        file.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
        let end = file.metadata().unwrap().len();
        let mut read = Vec::new();
        let mut keep = |line: &[u8]| {
            read.push(String::from_utf8(line.to_vec()).unwrap());
            true
        };
        assert!(backward(&file, end, &mut keep));
        read.reverse();
        assert_eq!(read, lines);
        let mut count = 0;
        assert!(!backward(&file, end, &mut |_| {
            count += 1;
            count < 3
        }));
        assert_eq!(count, 3);
    }

    #[test]
    fn a_line_longer_than_a_chunk_is_one() {
        let mut file = tempfile::tempfile().unwrap();
        let long = "y".repeat(200 << 10);
        file.write_all(format!("a\n{long}\nb\n").as_bytes()).unwrap();
        let mut lengths = Vec::new();
        backward(&file, file.metadata().unwrap().len(), &mut |line| {
            lengths.push(line.len());
            true
        });
        assert_eq!(lengths, [1, 200 << 10, 1]);
    }
}
