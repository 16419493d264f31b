//! The thread that writes the supervisor's log to standard error, which its keeper connects to `core.log`.
//!
//! A disk that hangs delays no caller. Entries that do not fit into the queue, or that a full disk does not take, are
//! counted; the number is logged once writing works again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use core_shim::guard;

use super::in_words;

/// The longest log, in bytes; a longer one is moved to `core.log.before`.
pub(crate) const LONGEST: u64 = 4 << 20;
/// How many bytes to write before the length is checked again.
const STRIDE: u64 = LONGEST / 4;
/// How many entries may wait for the disk.
const WAITING: usize = 4096;

/// The queue of the thread.
static WRITER: OnceLock<SyncSender<Task>> = OnceLock::new();
/// Entries that did not fit into the queue.
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// Why the log cannot be written now; `None` if it can.
static UNWRITTEN: Mutex<Option<String>> = Mutex::new(None);

/// A task for the thread.
enum Task {
    Line(String),
    /// Log how many entries were lost, if that is possible now.
    Retry,
    /// Report when all earlier tasks are done.
    Flush(Sender<()>),
}

/// Starts the thread. If the system has no thread left, the caller writes each line.
pub(super) fn start(place: PathBuf) {
    let _ = look(&place);
    let (sender, tasks) = sync_channel(WAITING);
    let work = move || write_all(&tasks, &place);
    if std::thread::Builder::new().name("log".into()).spawn(work).is_ok() {
        let _ = WRITER.set(sender);
    }
}

/// Queues a line, without waiting.
pub(super) fn put(line: String) {
    let Some(writer) = WRITER.get() else {
        let _ = log().write_all(line.as_bytes());
        return;
    };
    if writer.try_send(Task::Line(line)).is_err() {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until everything logged so far is written, for at most `patience`.
pub fn flush(patience: Duration) {
    let (sender, done) = channel();
    if WRITER.get().is_some_and(|writer| writer.try_send(Task::Flush(sender)).is_ok()) {
        let _ = done.recv_timeout(patience);
    }
}

/// Why the log cannot be written now; `None` if it can. Makes the thread try again.
pub(crate) fn unwritten() -> Option<String> {
    if let Some(writer) = WRITER.get() {
        let _ = writer.try_send(Task::Retry);
    }
    UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn write_all(tasks: &Receiver<Task>, place: &Path) {
    let (mut lost, mut since_looked) = (Lost::new(), 0);
    while let Ok(task) = tasks.recv() {
        lost.drop_some(DROPPED.swap(0, Ordering::Relaxed));
        match task {
            Task::Line(line) => {
                since_looked += line.len() as u64;
                lost.write(&mut log(), &line);
            }
            Task::Retry => lost.catch_up(&mut log()),
            Task::Flush(done) => drop(done.send(())),
        }
        *UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner) = lost.in_words();
        if since_looked > STRIDE {
            since_looked = 0;
            let _ = look(place);
        }
    }
}

/// Moves the contents of a log that is too long. The file is truncated in place: all that have it open append to it.
fn shorten(log: &File, place: &Path) -> io::Result<()> {
    if guard::stands_at(log, place) && log.metadata()?.len() > LONGEST {
        fs::copy(place, place.with_extension("log.before"))?;
        log.set_len(0)?;
    }
    Ok(())
}

/// Shortens our log, which is standard error, if it is too long.
fn look(place: &Path) -> io::Result<()> {
    shorten(&io::stderr().as_fd().try_clone_to_owned()?.into(), place)
}

#[cfg(not(test))]
fn log() -> impl Write {
    io::stderr()
}

/// Tests log to nowhere.
#[cfg(test)]
fn log() -> impl Write {
    io::sink()
}

/// Lines that were lost, and why.
struct Lost {
    lines: u64,
    error: Option<String>,
    /// Whether the last line was written only in part.
    is_torn: bool,
}

impl Lost {
    const fn new() -> Self {
        Self { lines: 0, error: None, is_torn: false }
    }

    /// Counts lines that did not fit into the queue.
    fn drop_some(&mut self, lines: u64) {
        if lines > 0 {
            self.lines += lines;
            self.error.get_or_insert_with(|| "its disk did not keep up".into());
        }
    }

    fn in_words(&self) -> Option<String> {
        self.error.as_ref().map(|error| format!("{error}; lines that are lost: {}", self.lines))
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

    /// Logs how many lines were lost, once writing works again.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with this much room.
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
        let (mut lost, mut disk) = (Lost::new(), Disk { room: 10, text: String::new() });
        for line in ["first\n", "second\n", "third\n"] {
            lost.write(&mut disk, line);
        }
        assert_eq!((lost.lines, lost.is_torn, disk.text.as_str()), (2, true, "first\nseco"));
        disk.room = 1000;
        lost.write(&mut disk, "fourth\n");
        assert!(lost.error.is_none());
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
        // A terminal, or a file that has replaced the log, is left alone.
        fs::remove_file(&place).unwrap();
        fs::write(&place, vec![b'x'; usize::try_from(LONGEST + 1).unwrap()]).unwrap();
        shorten(&log, &place).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().len(), LONGEST + 1);
    }

    #[test]
    fn what_did_not_fit_is_counted() {
        let (mut lost, mut disk) = (Lost::new(), Disk { room: 1000, text: String::new() });
        lost.drop_some(0);
        assert_eq!(lost.in_words(), None);
        lost.drop_some(3);
        assert_eq!(lost.in_words().unwrap(), "its disk did not keep up; lines that are lost: 3");
        lost.write(&mut disk, "next\n");
        let lines: Vec<&str> = disk.text.lines().collect();
        assert!(lines[0].ends_with("3 lines before this one are lost: its disk did not keep up"), "{}", lines[0]);
        assert_eq!((lines[1], lost.in_words()), ("next", None));
    }
}
