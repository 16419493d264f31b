//! Reads the lines of one stream in order, each with its time.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use core_engine::InvocationId;
use core_shim::pump::INDEX_RECORD;

use super::Entry;
use super::store::{Segment, SlotStream};

/// The most bytes to read at once.
const CHUNK: usize = 64 << 10;
/// A longer line is returned in pieces. In bytes.
const LONGEST: usize = 1 << 20;

/// Reads one stream incrementally: first the present lines, later the new ones.
pub(super) struct StreamReader {
    stream: SlotStream,
    /// The position: index of the segment, and offset in it.
    at: usize,
    offset: u64,
    file: Option<File>,
    index: Index,
    /// The start of an incomplete line; beside it, the time of its first byte.
    open: Vec<u8>,
    open_ns: u64,
    ready: VecDeque<Entry>,
}

/// The index records of one segment: offset and time.
#[derive(Default)]
struct Index {
    records: Vec<(u64, u64)>,
    bytes_read: usize,
}

impl Index {
    /// Reads the records that were added since the last call.
    fn refresh(&mut self, segment: &Segment) {
        let Ok(bytes) = fs::read(segment.index()) else { return };
        let whole = bytes.len() / INDEX_RECORD * INDEX_RECORD;
        for record in bytes.get(self.bytes_read..whole).unwrap_or_default().chunks_exact(INDEX_RECORD) {
            let number = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap_or_default());
            self.records.push((number(0), number(8)));
        }
        self.bytes_read = whole;
    }

    /// The time of the last record at or before an offset.
    fn time_at(&self, offset: u64) -> u64 {
        let after = self.records.partition_point(|(at, _)| *at <= offset);
        self.records.get(after.saturating_sub(1)).map_or(0, |(_, time)| *time)
    }
}

impl StreamReader {
    /// A reader that starts in segment `at`, at `offset` bytes.
    pub(super) fn new(stream: SlotStream, at: usize, offset: u64) -> Self {
        Self {
            stream,
            at,
            offset,
            file: None,
            index: Index::default(),
            open: Vec::new(),
            open_ns: 0,
            ready: VecDeque::new(),
        }
    }

    /// Replaces the list of segments by the present one.
    pub(super) fn update(&mut self, stream: &SlotStream) {
        let present = self.stream.segments.get(self.at).cloned();
        self.stream.segments.clone_from(&stream.segments);
        // The current segment may have been deleted meanwhile, so it is looked up again.
        if let Some(present) = present {
            self.at = self.stream.segments.partition_point(|segment| *segment < present);
            if self.stream.segments.get(self.at) != Some(&present) {
                (self.offset, self.file) = (0, None);
            }
        }
    }

    pub(super) fn is_of(&self, stream: &SlotStream) -> bool {
        let generation = |stream: &SlotStream| stream.segments.first().map(|segment| segment.generation);
        self.stream.slot == stream.slot
            && self.stream.stream == stream.stream
            && generation(&self.stream) == generation(stream)
    }

    /// The invocation of the incomplete line, if there is one.
    pub(super) fn open_of(&self) -> Option<InvocationId> {
        let segment = self.stream.segments.get(self.at).filter(|_| !self.open.is_empty())?;
        Some(segment.invocation_id(&self.stream.slot))
    }

    /// The next line; `None` if everything was read. With `to_the_end`, an incomplete last line counts too.
    pub(super) fn next(&mut self, to_the_end: bool) -> Option<Entry> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Some(entry);
            }
            if !self.read_chunk() {
                let is_rest = to_the_end && !self.open.is_empty();
                return is_rest.then(|| self.take_open());
            }
        }
    }

    /// Reads the next chunk. Returns false if there is nothing more now.
    fn read_chunk(&mut self) -> bool {
        let Some(segment) = self.stream.segments.get(self.at).cloned() else { return false };
        if self.file.is_none() {
            self.file = File::open(&segment.path).ok();
            self.index = Index::default();
        }
        let mut buffer = vec![0; CHUNK];
        let count = self.file.as_ref().and_then(|file| file.read_at(&mut buffer, self.offset).ok()).unwrap_or(0);
        if count == 0 {
            return self.next_segment(&segment);
        }
        self.index.refresh(&segment);
        self.split(&buffer[..count]);
        self.offset += count as u64;
        true
    }

    fn next_segment(&mut self, segment: &Segment) -> bool {
        let Some(next) = self.stream.segments.get(self.at + 1) else { return false };
        // A line continues in the next segment of the same invocation, and ends with its invocation.
        let same = next.generation == segment.generation && next.invocation == segment.invocation;
        if !same && !self.open.is_empty() {
            let entry = self.take_open();
            self.ready.push_back(entry);
        }
        self.at += 1;
        (self.offset, self.file) = (0, None);
        true
    }

    fn split(&mut self, bytes: &[u8]) {
        let mut start = 0;
        while start < bytes.len() {
            if self.open.is_empty() {
                self.open_ns = self.index.time_at(self.offset + start as u64);
            }
            match bytes[start..].iter().position(|byte| *byte == b'\n') {
                Some(length) => {
                    self.open.extend_from_slice(&bytes[start..start + length]);
                    start += length + 1;
                    let entry = self.take_open();
                    self.ready.push_back(entry);
                }
                None => {
                    self.open.extend_from_slice(&bytes[start..]);
                    start = bytes.len();
                    if self.open.len() > LONGEST {
                        let rest = self.open.split_off(end_of_characters(&self.open));
                        let entry = self.take_open();
                        self.ready.push_back(entry);
                        self.open = rest;
                    }
                }
            }
        }
    }

    fn take_open(&mut self) -> Entry {
        let bytes = std::mem::take(&mut self.open);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let slot = &self.stream.slot;
        let invocation = self.stream.segments.get(self.at).map(|segment| segment.invocation_id(slot).to_string());
        Entry {
            time: rfc3339(self.open_ns),
            service: slot.service.to_string(),
            slot: slot.to_string(),
            invocation: invocation.unwrap_or_default(),
            stream: self.stream.stream.word().to_owned(),
            line: String::from_utf8_lossy(bytes).into_owned(),
            wall_ns: self.open_ns,
        }
    }
}

/// The length of a text up to the end of its last complete UTF-8 character.
fn end_of_characters(bytes: &[u8]) -> usize {
    let begins = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
    match bytes.iter().rev().take(4).position(begins) {
        Some(back) if std::str::from_utf8(&bytes[bytes.len() - back - 1..]).is_err() => bytes.len() - back - 1,
        _ => bytes.len(),
    }
}

fn rfc3339(nanoseconds: u64) -> String {
    let timestamp = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    format!("{timestamp:.6}")
}
