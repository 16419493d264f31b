//! What the supervisor says to whoever reads its own log: standard error, which its keeper leads to `core.log`.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// What the log could not take. Several threads say something, each line by one write.
static UNSAID: Mutex<Unsaid> = Mutex::new(Unsaid::new());

/// Says something. A log that takes nothing (a full disk, a terminal that went away) stops nobody: the line is counted.
pub(crate) fn say(text: &str) {
    let line = format!("{:.3} {text}\n", jiff::Timestamp::now());
    UNSAID.lock().unwrap_or_else(PoisonError::into_inner).write(&mut log(), &line);
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
}

impl Unsaid {
    const fn new() -> Self {
        Self { lines: 0, error: None, is_torn: false }
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
            Ok(()) => *self = Self::new(),
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
}
