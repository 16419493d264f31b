//! Output from a named pipe into log segments, by `splice`: no byte passes through this process.
//!
//! A segment and its index are made when their first byte comes; a segment is cut at any byte. The index beside it
//! holds 24 bytes a record (little-endian): offset in the stream of this segment, wall clock and monotonic clock in
//! nanoseconds; one at the segment's start, then at most every 10 ms or 64 KiB.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::errno::Errno;
use rustix::pipe::{SpliceFlags, splice};

use crate::place::Stream;
use crate::sys;

/// Bytes moved at once, at most.
const CHUNK: usize = 1 << 20;
/// What a pipe holds by itself (pipe(7)): a service that fills it would write faster than this is read.
const PIPE: usize = 64 << 10;
/// How often a pump moves before somebody else's turn comes.
const AT_A_TIME: usize = 16;
/// Bytes between two records of the index, at least.
const INDEX_BYTES: u64 = 64 << 10;
/// Nanoseconds between two records of the index, at least.
const INDEX_NS: u64 = 10_000_000;
/// How long a full disk may hold a service up before its output is dropped.
const PATIENCE_NS: u64 = 2_000_000_000;

/// One record of an index.
pub const INDEX_RECORD: usize = 24;

/// Where the output of an invocation goes.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The folder.
    pub folder: PathBuf,
    /// `<generation>.<invocation>`.
    pub prefix: String,
    /// Size at which a new segment begins.
    pub segment_bytes: u64,
}

/// The pump of one stream.
pub struct Pump {
    fifo: OwnedFd,
    stream: Stream,
    target: Target,
    segment: Option<Segment>,
    /// Number of the segment that is written, or will be.
    number: u32,
    /// Since when nothing could be written.
    stuck_since: Option<u64>,
    /// Whether the pipe holds more than by itself.
    is_wide: Cell<bool>,
    /// Bytes that were dropped, ever.
    dropped: u64,
    /// The error of the last attempt that failed.
    errno: i32,
}

struct Segment {
    file: File,
    index: File,
    offset: u64,
    index_at: u64,
    indexed_offset: u64,
    indexed_ns: u64,
}

/// What became of an attempt to move output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// This many bytes.
    Some(usize),
    /// There is nothing now.
    Nothing,
    /// It could not be written; it is still in the pipe.
    Stuck,
}

impl Target {
    fn path(&self, stream: Stream, number: u32, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{}.{number}.{ending}", self.prefix, stream.word()))
    }
}

impl Pump {
    /// A pump that reads `fifo`, which it has open for writing too: so there is no end of it, only nothing for now.
    pub fn new(fifo: OwnedFd, stream: Stream) -> Self {
        Self {
            fifo,
            stream,
            target: Target::default(),
            segment: None,
            number: 0,
            stuck_since: None,
            is_wide: Cell::new(false),
            dropped: 0,
            errno: 0,
        }
    }

    /// From now on the output of another invocation comes.
    pub fn aim(&mut self, target: Target) {
        self.segment = None;
        self.number = 0;
        self.target = target;
        // After a pump that died, the one that follows goes on in a segment of its own.
        while self.target.path(self.stream, self.number, "log").exists() {
            self.number += 1;
        }
    }

    /// Another size of segments.
    pub fn limit(&mut self, segment_bytes: u64) {
        self.target.segment_bytes = segment_bytes;
    }

    /// The end that is read.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }

    /// Whether the last attempt failed.
    pub fn is_stuck(&self) -> bool {
        self.stuck_since.is_some()
    }

    /// Bytes dropped, ever, and the error of the last attempt that failed.
    pub fn dropped(&self) -> (u64, i32) {
        (self.dropped, self.errno)
    }

    /// Moves what is there: once, or again while there is as much as a pipe holds.
    pub fn flow(&mut self) {
        for _ in 0..AT_A_TIME {
            match self.pump() {
                Moved::Some(PIPE..) => self.resize(true),
                _ => break,
            }
        }
    }

    /// Nothing has come for a while: what the pipe was given beyond its size goes back.
    pub fn rest(&self) {
        self.resize(false);
    }

    /// A wide pipe costs the kernel memory, and there is a limit for what all pipes of a user hold: only whoever fills
    /// one gets it. That it cannot be had is no fault, nor that it cannot be given back yet.
    fn resize(&self, wide: bool) {
        if self.is_wide.replace(wide) != wide {
            let _ = rustix::pipe::fcntl_setpipe_size(&self.fifo, if wide { CHUNK } else { PIPE });
        }
    }

    /// Moves what is there, once.
    pub fn pump(&mut self) -> Moved {
        match self.try_pump() {
            Ok(0) => Moved::Nothing,
            Ok(count) => {
                self.stuck_since = None;
                Moved::Some(count)
            }
            Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                Errno::EAGAIN | Errno::EINTR => Moved::Nothing,
                errno => self.stuck(errno),
            },
        }
    }

    /// Moves all that is there, until nothing is left or nothing can be written.
    pub fn drain(&mut self) -> Moved {
        loop {
            match self.pump() {
                Moved::Some(_) => {}
                other => return other,
            }
        }
    }

    fn try_pump(&mut self) -> io::Result<usize> {
        // A segment is made when there is something to put into it.
        if self.segment.is_none() {
            let waiting = rustix::io::ioctl_fionread(&self.fifo)?;
            if waiting == 0 {
                return Ok(0);
            }
            self.segment = Some(self.open()?);
        }
        let Some(segment) = &mut self.segment else { return Ok(0) };
        let room = self.target.segment_bytes.max(1).saturating_sub(segment.offset).max(1);
        let now = sys::monotonic_ns();
        segment.note(now)?;
        let count = usize::try_from(room).unwrap_or(CHUNK).min(CHUNK);
        let mut at = segment.offset;
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let moved = match splice(&self.fifo, None, &segment.file, Some(&mut at), count, flags) {
            Err(rustix::io::Errno::INVAL) => copy(&self.fifo, &segment.file, segment.offset, count)?,
            other => other?,
        };
        segment.offset += moved as u64;
        if segment.offset >= self.target.segment_bytes {
            self.segment = None;
            self.number += 1;
        }
        Ok(moved)
    }

    fn open(&self) -> io::Result<Segment> {
        let log = self.target.path(self.stream, self.number, "log");
        let open = |path: &PathBuf| OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = match open(&log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.target.folder)?;
                open(&log)?
            }
            other => other?,
        };
        let index = open(&self.target.path(self.stream, self.number, "idx"))?;
        Ok(Segment { file, index, offset: 0, index_at: 0, indexed_offset: 0, indexed_ns: 0 })
    }

    /// It could not be written: it waits in the pipe, and the service with it, for a while; then it is dropped, counted.
    fn stuck(&mut self, errno: Errno) -> Moved {
        let now = sys::monotonic_ns();
        self.errno = errno as i32;
        // The next attempt makes a new segment: the file may have been taken away.
        if self.segment.take().is_some_and(|segment| segment.offset > 0) {
            self.number += 1;
        }
        let since = *self.stuck_since.get_or_insert(now);
        if now.saturating_sub(since) < PATIENCE_NS {
            return Moved::Stuck;
        }
        let mut buffer = vec![0; 64 << 10];
        let mut dropped = 0;
        while let Ok(count @ 1..) = rustix::io::read(&self.fifo, &mut buffer) {
            dropped += count;
        }
        self.dropped += dropped as u64;
        Moved::Stuck
    }
}

impl Segment {
    /// Writes a record of the index, when one is due.
    fn note(&mut self, now: u64) -> io::Result<()> {
        let is_due = self.index_at == 0
            || self.offset > self.indexed_offset
                && (now - self.indexed_ns >= INDEX_NS || self.offset - self.indexed_offset >= INDEX_BYTES);
        if !is_due {
            return Ok(());
        }
        let mut record = [0_u8; INDEX_RECORD];
        record[..8].copy_from_slice(&self.offset.to_le_bytes());
        record[8..16].copy_from_slice(&sys::wall_ns().to_le_bytes());
        record[16..].copy_from_slice(&now.to_le_bytes());
        self.index.write_all_at(&record, self.index_at)?;
        self.index_at += INDEX_RECORD as u64;
        self.indexed_offset = self.offset;
        self.indexed_ns = now;
        Ok(())
    }
}

/// For file systems that know no splice. A kill in the middle loses up to one buffer; `core doctor` says so.
fn copy(from: &OwnedFd, to: &File, at: u64, count: usize) -> io::Result<usize> {
    let mut buffer = vec![0; count.min(64 << 10)];
    let read = rustix::io::read(from, &mut buffer)?;
    to.write_all_at(&buffer[..read], at)?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn fifo(folder: &std::path::Path) -> (OwnedFd, File) {
        let path = folder.join("fifo");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let read = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).unwrap();
        let write = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        (read.into(), write)
    }

    #[test]
    fn segments_are_cut_and_joined_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let (read, mut write) = fifo(folder.path());
        let logs = folder.path().join("logs/web/web-0");
        let mut pump = Pump::new(read, Stream::Out);
        pump.aim(Target { folder: logs.clone(), prefix: "7.1".into(), segment_bytes: 1000 });
        assert_eq!(pump.pump(), Moved::Nothing);
        assert!(!logs.exists(), "nothing is made before the first byte");
        let mut all = Vec::new();
        for round in 0..50_u32 {
            let line = format!("line {round} {}\n", "x".repeat(round as usize * 3));
            write.write_all(line.as_bytes()).unwrap();
            all.extend_from_slice(line.as_bytes());
            pump.drain();
        }
        assert_eq!(pump.drain(), Moved::Nothing);
        let mut joined = Vec::new();
        for number in 0.. {
            let Ok(bytes) = fs::read(logs.join(format!("7.1.out.{number}.log"))) else { break };
            assert!(bytes.len() <= 1000);
            let index = fs::read(logs.join(format!("7.1.out.{number}.idx"))).unwrap();
            assert_eq!(index.len() % INDEX_RECORD, 0);
            assert_eq!(index[..8], [0; 8], "a segment's index begins at its beginning");
            joined.extend(bytes);
        }
        assert_eq!(joined, all);
    }

    #[test]
    fn whoever_fills_his_pipe_gets_a_wider_one_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let (read, mut write) = fifo(folder.path());
        let mut pump = Pump::new(read, Stream::Out);
        pump.aim(Target { folder: folder.path().join("logs"), prefix: "1.1".into(), segment_bytes: 1 << 30 });
        let size = |pump: &Pump| rustix::pipe::fcntl_getpipe_size(pump.fd()).unwrap();
        write.write_all(&[b'x'; 1000]).unwrap();
        pump.flow();
        assert_eq!(size(&pump), PIPE);
        write.write_all(&vec![b'x'; PIPE]).unwrap();
        pump.flow();
        assert_eq!(size(&pump), CHUNK);
        pump.rest();
        assert_eq!(size(&pump), PIPE);
    }

    #[test]
    fn what_cannot_be_written_is_kept_then_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (read, mut write) = fifo(folder.path());
        // A file stands where the folder should be.
        let blocked = folder.path().join("logs");
        fs::write(&blocked, "").unwrap();
        let mut pump = Pump::new(read, Stream::Out);
        pump.aim(Target { folder: blocked.clone(), prefix: "1.1".into(), segment_bytes: 1000 });
        write.write_all(b"kept\n").unwrap();
        assert_eq!(pump.pump(), Moved::Stuck);
        fs::remove_file(&blocked).unwrap();
        assert_eq!(pump.pump(), Moved::Some(5));
        assert_eq!(fs::read(blocked.join("1.1.out.0.log")).unwrap(), b"kept\n");
        assert_eq!(pump.dropped().0, 0);
    }
}
