//! Finds the segments of logs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use core_engine::ids::{Generation, InstanceId, InvocationId, SlotId};
use core_shim::place::Stream;

use crate::paths::Paths;

/// One output stream of a slot, over all its invocations.
#[derive(Clone, Debug)]
pub struct SlotStream {
    /// The slot that wrote it.
    pub slot: SlotId,
    /// Standard output or standard error.
    pub stream: Stream,
    /// Its segments, the oldest first.
    pub segments: Vec<Segment>,
}

/// A segment of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Generation of the instance.
    pub generation: u64,
    /// Number of the invocation.
    pub invocation: u32,
    /// Number of the segment within the stream of its invocation.
    pub number: u32,
    /// Path of its file.
    pub path: PathBuf,
}

impl Segment {
    /// The path of its index.
    pub fn index(&self) -> PathBuf {
        self.path.with_extension("idx")
    }

    /// The invocation that wrote it, of a slot.
    pub fn invocation_id(&self, slot: &SlotId) -> InvocationId {
        let instance = InstanceId { slot: slot.clone(), generation: Generation(self.generation) };
        InvocationId { instance, number: self.invocation }
    }

    pub(super) fn parse(path: &Path) -> Option<(Stream, Self)> {
        let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
        let mut parts = name.split('.');
        let (generation, invocation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let word = parts.next()?;
        let stream = Stream::BOTH.into_iter().find(|stream| stream.word() == word)?;
        let number = parts.next()?.parse().ok()?;
        Some((stream, Self { generation, invocation, number, path: path.to_owned() }))
    }
}

/// The streams of each generation separately: during a swap, two generations write at the same time.
pub(super) fn streams_of_instances(paths: &Paths, services: &[String]) -> Vec<SlotStream> {
    let all = streams(paths, services).into_iter().flat_map(|SlotStream { slot, stream, segments }| {
        let one = move |segments: &[Segment]| SlotStream { slot: slot.clone(), stream, segments: segments.to_vec() };
        segments.chunk_by(|a, b| a.generation == b.generation).map(one).collect::<Vec<_>>()
    });
    all.collect()
}

/// All streams of these services; empty means all.
pub fn streams(paths: &Paths, services: &[String]) -> Vec<SlotStream> {
    let mut all = Vec::new();
    for service in folders(&paths.logs()) {
        let name = service.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !services.is_empty() && !services.contains(&name) {
            continue;
        }
        for folder in folders(&service) {
            let Some(Ok(slot)) = folder.file_name().and_then(|name| name.to_str()).map(str::parse::<SlotId>) else {
                continue;
            };
            let mut by_stream: BTreeMap<&str, (Stream, Vec<Segment>)> = BTreeMap::new();
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if let Some((stream, segment)) = Segment::parse(&entry.path()) {
                    by_stream.entry(stream.word()).or_insert_with(|| (stream, Vec::new())).1.push(segment);
                }
            }
            for (stream, mut segments) in by_stream.into_values() {
                segments.sort();
                all.push(SlotStream { slot: slot.clone(), stream, segments });
            }
        }
    }
    all.sort_by(|a, b| (&a.slot, a.stream.word()).cmp(&(&b.slot, b.stream.word())));
    all
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}
