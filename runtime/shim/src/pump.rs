//! Moves output from a named pipe into log segments with `splice`: no byte is copied through this process, unless the
//! kernel, a filter or a file system does not allow `splice`.
//!
//! A segment and its index are created when their first byte arrives; a segment may be cut at any byte. The index has
//! records of 24 bytes (little-endian): offset in this segment, wall clock and monotonic clock in nanoseconds. There is
//! one for the start of the segment, and then at most one every 10 ms or 64 KiB.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::errno::Errno;
use rustix::pipe::{SpliceFlags, splice};

use crate::place::Stream;
pub use crate::segment::INDEX_RECORD;
use crate::segment::Segment;
use crate::sys;

/// Maximum number of bytes moved at once.
const CHUNK: usize = 1 << 20;
/// Default capacity of a pipe (pipe(7)): a service that fills it may write faster than this is read.
const PIPE: usize = 64 << 10;
/// How often a pump moves data before other events are handled.
const AT_A_TIME: usize = 16;
/// How long a full disk may block a service before its output is dropped.
const PATIENCE_NS: u64 = 2_000_000_000;

/// Where the output of an invocation goes.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The folder of the segments.
    pub folder: PathBuf,
    /// `<generation>.<invocation>`.
    pub prefix: String,
    /// Size of a full segment in bytes.
    pub segment_bytes: u64,
}

/// The pump of one stream.
pub struct Pump {
    fifo: OwnedFd,
    stream: Stream,
    target: Target,
    segment: Option<Segment>,
    /// Number of the segment that is being written, or is tried next.
    number: u32,
    /// Whether output has to be copied because it cannot be spliced into these segments.
    copies: bool,
    /// Data that was read for copying and is not written yet; it goes first.
    held: Vec<u8>,
    /// Since when nothing could be written.
    stuck_since: Option<u64>,
    /// Whether the pipe has more than its default capacity.
    is_wide: Cell<bool>,
    /// Number of bytes dropped since the pump was created.
    dropped: u64,
    /// The error number of the last failed attempt.
    errno: i32,
}

/// The result of an attempt to move output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// This many bytes were moved.
    Some(usize),
    /// There is nothing to move now.
    Nothing,
    /// The data could not be written, and still waits.
    Stuck,
}

impl Target {
    fn path(&self, stream: Stream, number: u32, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{}.{number}.{ending}", self.prefix, stream.word()))
    }

    /// The numbers of the existing segments.
    fn numbers(&self, stream: Stream) -> impl Iterator<Item = u32> {
        let beginning = format!("{}.{}.", self.prefix, stream.word());
        let names = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(move |name| name.strip_prefix(&beginning)?.strip_suffix(".log")?.parse().ok())
    }
}

impl Pump {
    /// A pump that reads `fifo`, which is also open for writing: so there is no end of file, only no data for now.
    pub fn new(fifo: OwnedFd, stream: Stream) -> Self {
        Self {
            fifo,
            stream,
            target: Target::default(),
            segment: None,
            number: 0,
            copies: false,
            held: Vec::new(),
            stuck_since: None,
            is_wide: Cell::new(false),
            dropped: 0,
            errno: 0,
        }
    }

    /// From now on, writes the output of another invocation.
    pub fn aim(&mut self, target: Target) {
        self.segment = None;
        self.copies = false;
        self.target = target;
        // After a pump that died, this one continues with segments of its own.
        self.number = self.target.numbers(self.stream).max().map_or(0, |last| last.wrapping_add(1));
    }

    /// Sets another size for segments.
    pub fn limit(&mut self, segment_bytes: u64) {
        self.target.segment_bytes = segment_bytes;
    }

    /// The end of the pipe that is read.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }

    /// Whether data waits that polling the pipe does not show: it has to be tried again after a while.
    pub fn is_stuck(&self) -> bool {
        self.stuck_since.is_some() || !self.held.is_empty()
    }

    /// Number of bytes dropped so far, and the error number of the last failed attempt.
    pub fn dropped(&self) -> (u64, i32) {
        (self.dropped, self.errno)
    }

    /// Moves the available data: once, or repeatedly while there is as much as a pipe holds by default.
    pub fn flow(&mut self) {
        for _ in 0..AT_A_TIME {
            match self.pump() {
                Moved::Some(PIPE..) => self.resize(true),
                _ => break,
            }
        }
    }

    /// Nothing has arrived for a while: restores the default capacity of the pipe.
    pub fn rest(&self) {
        self.resize(false);
    }

    /// A large pipe costs kernel memory, and all pipes of a user share a limit, so only a service that fills its pipe
    /// gets one. It is not an error if that fails, nor if the pipe cannot be made smaller yet.
    fn resize(&self, wide: bool) {
        if self.is_wide.replace(wide) != wide {
            let _ = rustix::pipe::fcntl_setpipe_size(&self.fifo, if wide { CHUNK } else { PIPE });
        }
    }

    /// Moves the available data once.
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

    /// Moves data until nothing is left or nothing can be written.
    pub fn drain(&mut self) -> Moved {
        loop {
            match self.pump() {
                Moved::Some(_) => {}
                other => return other,
            }
        }
    }

    fn try_pump(&mut self) -> io::Result<usize> {
        let now = sys::monotonic_ns();
        // Data written into a deleted file would be lost.
        if self.segment.as_ref().is_some_and(|segment| segment.is_seen_gone(now)) {
            self.segment = None;
            self.number += 1;
        }
        // A segment is created when there is data for it.
        if self.segment.is_none() {
            if self.held.is_empty() && rustix::io::ioctl_fionread(&self.fifo)? == 0 {
                return Ok(0);
            }
            self.segment = Some(self.make_segment()?);
        }
        let Some(segment) = &mut self.segment else { return Ok(0) };
        let room = self.target.segment_bytes.max(1).saturating_sub(segment.offset).max(1);
        segment.note(now)?;
        let count = usize::try_from(room).unwrap_or(CHUNK).min(CHUNK);
        let moved = match spliced(&self.fifo, segment, count, self.copies || !self.held.is_empty())? {
            Some(moved) => moved,
            None => {
                self.copies = true;
                copied(&self.fifo, &mut self.held, segment, count)?
            }
        };
        segment.offset += moved as u64;
        if segment.offset >= self.target.segment_bytes {
            self.segment = None;
            self.number += 1;
        }
        Ok(moved)
    }

    /// Creates a segment that only this pump writes into: an existing one may belong to another pump.
    fn make_segment(&mut self) -> io::Result<Segment> {
        loop {
            let path = |ending| self.target.path(self.stream, self.number, ending);
            match Segment::make(&path("log"), &path("idx")) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.number = self.number.wrapping_add(1);
                }
                other => return other,
            }
        }
    }

    /// A write failed: the data waits, and the service with it, for a while; then it is dropped and counted.
    fn stuck(&mut self, errno: Errno) -> Moved {
        let now = sys::monotonic_ns();
        self.errno = errno as i32;
        // The next attempt creates a new segment, because this one may be the problem.
        if self.segment.as_ref().is_some_and(|segment| !segment.is_unused()) {
            self.segment = None;
            self.number += 1;
        }
        let since = *self.stuck_since.get_or_insert(now);
        if now.saturating_sub(since) < PATIENCE_NS {
            return Moved::Stuck;
        }
        let mut dropped = std::mem::take(&mut self.held).len();
        let mut buffer = vec![0; PIPE];
        // At most as much as a large pipe holds, so that a service that writes without end cannot block this shim.
        for _ in 0..CHUNK / PIPE {
            match rustix::io::read(&self.fifo, &mut buffer) {
                Ok(count @ 1..) => dropped += count,
                _ => break,
            }
        }
        self.dropped += dropped as u64;
        Moved::Stuck
    }
}

/// Whether this error of a splice means that output must be copied: file systems return EINVAL; kernels without the
/// call and filters of containers return one of the others.
pub fn must_copy(errno: i32) -> bool {
    errno == nix::libc::EINVAL || sys::is_refused(errno)
}

/// Moves up to `count` bytes; `None` if they must be copied.
fn spliced(from: &OwnedFd, to: &Segment, count: usize, refused: bool) -> io::Result<Option<usize>> {
    if refused {
        return Ok(None);
    }
    let mut at = to.offset;
    match splice(from, None, &to.file, Some(&mut at), count, SpliceFlags::MOVE | SpliceFlags::NONBLOCK) {
        Err(errno) if must_copy(errno.raw_os_error()) => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// Copies up to `count` bytes. What was read and could not be written is kept. A kill in the middle loses up to one
/// buffer; `core doctor` mentions that.
fn copied(from: &OwnedFd, held: &mut Vec<u8>, to: &Segment, count: usize) -> io::Result<usize> {
    if held.is_empty() {
        held.resize(count.min(PIPE), 0);
        let read = rustix::io::read(from, held.as_mut_slice());
        held.truncate(*read.as_ref().unwrap_or(&0));
        read?;
    }
    let written = to.file.write_at(&held[..held.len().min(count)], to.offset)?;
    held.drain(..written);
    if held.is_empty() {
        // Output may pause for long, and the memory would not be used.
        *held = Vec::new();
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
