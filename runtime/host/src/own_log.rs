//! What the supervisor says to whoever reads its own log: standard error, which its keeper leads to `core.log`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use core_shim::guard;
use core_stack::Hidden;

use crate::harmless::harmless;

/// The longest log, in bytes; what is longer becomes the one before.
pub(crate) const LONGEST: u64 = 4 << 20;
/// How much is written until its length is looked at.
const STRIDE: u64 = LONGEST / 4;
/// The longest entry, in bytes: somebody else may have chosen its words.
const LONGEST_ENTRY: usize = 16 << 10;

/// What the log could not take. Several threads say something, each line by one write.
static UNSAID: Mutex<Unsaid> = Mutex::new(Unsaid::new());
/// Where the log is, for who keeps it short.
static PLACE: OnceLock<PathBuf> = OnceLock::new();
/// What is not shown.
static HIDDEN: OnceLock<Hidden> = OnceLock::new();

/// Says something. A log that takes nothing (a full disk, a terminal that went away) stops nobody: the line is counted.
pub(crate) fn say(text: &str) {
    let covered = HIDDEN.get().map_or_else(|| text.to_owned(), |hidden| hidden.cover(text));
    let line = format!("{:.3} {}\n", jiff::Timestamp::now(), harmless(clipped(&covered)));
    let mut unsaid = UNSAID.lock().unwrap_or_else(PoisonError::into_inner);
    unsaid.write(&mut log(), &line);
    unsaid.since_looked += line.len() as u64;
    if unsaid.since_looked > STRIDE {
        unsaid.since_looked = 0;
        if let Some(place) = PLACE.get() {
            let _ = look(place);
        }
    }
}

/// From now on this is not shown.
pub(crate) fn hide(hidden: Hidden) {
    let _ = HIDDEN.set(hidden);
}

/// From now on the log, which is at `place`, is kept short.
pub(crate) fn keep_short(place: PathBuf) {
    let _ = look(&place);
    let _ = PLACE.set(place);
}

/// Begins a log anew that is too long, under what others have open, too: all of them append.
fn shorten(log: &File, place: &Path) -> io::Result<()> {
    if guard::stands_at(log, place) && log.metadata()?.len() > LONGEST {
        fs::copy(place, place.with_extension("log.before"))?;
        log.set_len(0)?;
    }
    Ok(())
}

/// Looks whether our log, which is standard error, is too long.
fn look(place: &Path) -> io::Result<()> {
    shorten(&io::stderr().as_fd().try_clone_to_owned()?.into(), place)
}

/// A text of a length that anybody can read.
fn clipped(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_ENTRY);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(not(test))]
fn log() -> impl Write {
    io::stderr()
}

/// What tests say is nobody's to read.
#[cfg(test)]
fn log() -> impl Write {
    io::sink()
}

/// What the log has not taken, while that lasts: tried once more before it is told.
pub(crate) fn unsaid() -> Option<String> {
    let mut unsaid = UNSAID.lock().unwrap_or_else(PoisonError::into_inner);
    unsaid.catch_up(&mut log());
    unsaid.error.as_ref().map(|error| format!("{error}; lines that are lost: {}", unsaid.lines))
}

/// Lines that were lost, and why.
struct Unsaid {
    lines: u64,
    error: Option<String>,
    /// The last line was written in part.
    is_torn: bool,
    /// Bytes since the log's length was looked at.
    since_looked: u64,
}

impl Unsaid {
    const fn new() -> Self {
        Self { lines: 0, error: None, is_torn: false, since_looked: 0 }
    }

    fn write(&mut self, log: &mut impl Write, line: &str) {
        self.catch_up(log);
        if self.error.is_none()
            && let Err(error) = self.put(log, line)
        {
            self.error = Some(in_words(&error));
        }
        self.lines += u64::from(self.error.is_some());
    }

    /// Says how much was lost, as soon as that can be said.
    fn catch_up(&mut self, log: &mut impl Write) {
        let Some(error) = &self.error else { return };
        let mark = if self.is_torn { "\n" } else { "" };
        let line =
            format!("{mark}{:.3} {} lines before this one are lost: {error}\n", jiff::Timestamp::now(), self.lines);
        match self.put(log, &line) {
            Ok(()) => *self = Self { since_looked: self.since_looked, ..Self::new() },
            Err(error) => self.error = Some(in_words(&error)),
        }
    }

    fn put(&mut self, log: &mut impl Write, line: &str) -> io::Result<()> {
        let mut left = line.as_bytes();
        while !left.is_empty() {
            match log.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_torn |= left.len() < line.len();
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// An error of the system without its number, which says nothing to people.
pub(crate) fn in_words(error: &io::Error) -> String {
    let error = error.to_string();
    error.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so much room.
    struct Disk {
        room: usize,
        text: String,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.text += std::str::from_utf8(&bytes[..count]).unwrap();
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_lost_is_counted_and_said_when_there_is_room() {
        let (mut unsaid, mut disk) = (Unsaid::new(), Disk { room: 10, text: String::new() });
        for line in ["first\n", "second\n", "third\n"] {
            unsaid.write(&mut disk, line);
        }
        assert_eq!((unsaid.lines, unsaid.is_torn, disk.text.as_str()), (2, true, "first\nseco"));
        disk.room = 1000;
        unsaid.write(&mut disk, "fourth\n");
        assert!(unsaid.error.is_none());
        let lines: Vec<&str> = disk.text.lines().collect();
        assert_eq!((lines[1], lines[3]), ("seco", "fourth"));
        assert!(lines[2].ends_with(" 2 lines before this one are lost: no storage space"), "{}", lines[2]);
    }

    #[test]
    fn a_log_that_is_too_long_becomes_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("core.log");
        let open = || fs::File::options().append(true).create(true).open(&place).unwrap();
        let (mut log, mut other) = (open(), open());
        log.write_all(b"first\n").unwrap();
        shorten(&log, &place).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "first\n");
        log.write_all(&vec![b'x'; usize::try_from(LONGEST).unwrap()]).unwrap();
        shorten(&log, &place).unwrap();
        other.write_all(b"next\n").unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "next\n");
        assert_eq!(fs::metadata(folder.path().join("core.log.before")).unwrap().len(), LONGEST + 6);
        // A terminal, or a file that was put in its place, is not ours to cut.
        fs::remove_file(&place).unwrap();
        fs::write(&place, vec![b'x'; usize::try_from(LONGEST + 1).unwrap()]).unwrap();
        shorten(&log, &place).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().len(), LONGEST + 1);
    }

    #[test]
    fn an_entry_has_an_end() {
        let text = "é".repeat(LONGEST_ENTRY);
        assert_eq!(clipped(&text).len(), LONGEST_ENTRY);
        assert_eq!(clipped("short"), "short");
    }
}
