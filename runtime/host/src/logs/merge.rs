//! Merges the lines of several streams in the order of their times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;

use core_engine::InvocationId;

use super::reader::StreamReader;
use super::store::{SlotStream, streams_of_instances};
use super::{Entry, Selection};
use crate::paths::Paths;

/// How many bytes a backward search reads at once.
const CHUNK: u64 = 64 << 10;

/// Passes the selected present lines to `tell`, ordered by time. Returns the readers, which can continue from there.
pub(super) fn read(paths: &Paths, selection: &Selection, tell: &mut dyn FnMut(Entry)) -> Vec<StreamReader> {
    let mut readers: Vec<StreamReader> = streams_of_instances(paths, &selection.services)
        .into_iter()
        .map(|stream| {
            let (at, offset) = selection.last.map_or((0, 0), |count| beginning_of_last(&stream, count));
            StreamReader::new(stream, at, offset)
        })
        .collect();
    let mut heap = BinaryHeap::new();
    for (number, reader) in readers.iter_mut().enumerate() {
        push(&mut heap, number, reader);
    }
    // Only the last lines of all streams together are wanted, but all of them may be from one stream.
    let mut kept: VecDeque<Entry> = VecDeque::new();
    while let Some(Reverse((_, number, Waiting(entry)))) = heap.pop() {
        if selection.since_ns.is_none_or(|since| entry.wall_ns >= since) {
            match selection.last {
                None => tell(entry),
                Some(0) => {}
                Some(count) => {
                    if kept.len() == count {
                        kept.pop_front();
                    }
                    kept.push_back(entry);
                }
            }
        }
        push(&mut heap, number, &mut readers[number]);
    }
    kept.into_iter().for_each(tell);
    readers
}

type Heap = BinaryHeap<Reverse<(u64, usize, Waiting)>>;

/// An entry in the heap, ordered only by its time and stream.
struct Waiting(Entry);

impl PartialEq for Waiting {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

fn push(heap: &mut Heap, number: usize, reader: &mut StreamReader) {
    if let Some(entry) = reader.next(true) {
        heap.push(Reverse((entry.wall_ns, number, Waiting(entry))));
    }
}

/// Where the last `count` lines of a stream start: segment and offset. It may be one line too many, but never too few.
fn beginning_of_last(stream: &SlotStream, count: usize) -> (usize, u64) {
    let mut ends_to_pass = count;
    let mut is_last_byte = true;
    for (at, segment) in stream.segments.iter().enumerate().rev() {
        let Ok(file) = File::open(&segment.path) else { continue };
        let mut end = file.metadata().map_or(0, |meta| meta.len());
        if count == 0 {
            return (at, end);
        }
        while end > 0 {
            let start = end.saturating_sub(CHUNK);
            let mut buffer = vec![0; usize::try_from(end - start).unwrap_or(0)];
            if file.read_exact_at(&mut buffer, start).is_err() {
                break;
            }
            for (index, byte) in buffer.iter().enumerate().rev() {
                let is_end_of_stream = std::mem::take(&mut is_last_byte);
                if *byte != b'\n' || is_end_of_stream {
                    continue;
                }
                ends_to_pass -= 1;
                if ends_to_pass == 0 {
                    return (at, start + index as u64 + 1);
                }
            }
            end = start;
        }
    }
    (0, 0)
}

/// The last lines of an instance, for messages about a failure: those of the newest invocation that wrote anything, up
/// to this one. (An instance that failed may have been restarted and not written anything yet.)
pub fn last(paths: &Paths, invocation: &InvocationId, count: usize) -> Vec<String> {
    let selection = Selection {
        services: vec![invocation.instance.service().to_string()],
        last: Some(count.max(200)),
        since_ns: None,
    };
    let instance = format!("{}.", invocation.instance);
    let mut newest = 0_u32;
    let mut lines = Vec::new();
    read(paths, &selection, &mut |entry| {
        let number = entry.invocation.strip_prefix(&instance).and_then(|number| number.parse().ok());
        let Some(number) = number.filter(|number| (newest..=invocation.number).contains(number)) else { return };
        if number > newest {
            newest = number;
            lines.clear();
        }
        lines.push(entry.line);
    });
    let skip = lines.len().saturating_sub(count);
    lines.split_off(skip)
}
