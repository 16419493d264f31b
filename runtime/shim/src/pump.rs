//! Output from a named pipe into log segments, by `splice`: no byte passes through this process, unless the kernel, a
//! filter or a file system refuses that.
//!
//! A segment and its index are made when their first byte comes; a segment is cut at any byte. The index beside it
//! holds 24 bytes a record (little-endian): offset in the stream of this segment, wall clock and monotonic clock in
//! nanoseconds; one at the segment's start, then at most every 10 ms or 64 KiB.

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

/// Bytes moved at once, at most.
const CHUNK: usize = 1 << 20;
/// What a pipe holds by itself (pipe(7)): a service that fills it would write faster than this is read.
const PIPE: usize = 64 << 10;
/// How often a pump moves before somebody else's turn comes.
const AT_A_TIME: usize = 16;
/// How long a full disk may hold a service up before its output is dropped.
const PATIENCE_NS: u64 = 2_000_000_000;

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
    /// Number of the segment that is written, or is tried next.
    number: u32,
    /// Output cannot be spliced into these segments: it is copied.
    copies: bool,
    /// What was read to be copied and is not written yet: it comes first.
    held: Vec<u8>,
    /// Since when nothing could be written.
    stuck_since: Option<u64>,
    /// Whether the pipe holds more than by itself.
    is_wide: Cell<bool>,
    /// Bytes that were dropped, ever.
    dropped: u64,
    /// The error of the last attempt that failed.
    errno: i32,
}

/// What became of an attempt to move output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// This many bytes.
    Some(usize),
    /// There is nothing now.
    Nothing,
    /// It could not be written; it still waits.
    Stuck,
}

impl Target {
    fn path(&self, stream: Stream, number: u32, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{}.{number}.{ending}", self.prefix, stream.word()))
    }

    /// The numbers of the segments that are there.
    fn numbers(&self, stream: Stream) -> impl Iterator<Item = u32> {
        let beginning = format!("{}.{}.", self.prefix, stream.word());
        let names = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(move |name| name.strip_prefix(&beginning)?.strip_suffix(".log")?.parse().ok())
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
            copies: false,
            held: Vec::new(),
            stuck_since: None,
            is_wide: Cell::new(false),
            dropped: 0,
            errno: 0,
        }
    }

    /// From now on the output of another invocation comes.
    pub fn aim(&mut self, target: Target) {
        self.segment = None;
        self.copies = false;
        self.target = target;
        // After a pump that died, the one that follows goes on behind it, in segments of its own.
        self.number = self.target.numbers(self.stream).max().map_or(0, |last| last.wrapping_add(1));
    }

    /// Another size of segments.
    pub fn limit(&mut self, segment_bytes: u64) {
        self.target.segment_bytes = segment_bytes;
    }

    /// The end that is read.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }

    /// Whether something waits that the pipe does not tell of: it is to be tried again after a while.
    pub fn is_stuck(&self) -> bool {
        self.stuck_since.is_some() || !self.held.is_empty()
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
    /// one gets it. That it is not available is no fault, nor that it cannot be given back yet.
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
        let now = sys::monotonic_ns();
        // What went into a file that nobody finds any more would be lost.
        if self.segment.as_ref().is_some_and(|segment| segment.is_seen_gone(now)) {
            self.segment = None;
            self.number += 1;
        }
        // A segment is made when there is something to put into it.
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

    /// A segment that nobody else writes into: what is there already may be another pump's.
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

    /// It could not be written: it waits, and the service with it, for a while; then it is dropped, counted.
    fn stuck(&mut self, errno: Errno) -> Moved {
        let now = sys::monotonic_ns();
        self.errno = errno as i32;
        // The next attempt makes a new segment: this one may be what cannot be written.
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
        // As much as a wide pipe holds: whoever writes on without end must not keep us here.
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

/// Whether this answer to a splice means that output must be copied: file systems say EINVAL, kernels without the call
/// and filters of containers one of the others.
pub fn must_copy(errno: i32) -> bool {
    errno == nix::libc::EINVAL || sys::is_refused(errno)
}

/// Moves up to `count` bytes; `None` where they must be copied.
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

/// Copies up to `count` bytes. What was read and could not be written is held. A kill in the middle loses up to one
/// buffer; `core doctor` says so.
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
        // Nothing happens for long at times; then it is memory for nothing.
        *held = Vec::new();
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
