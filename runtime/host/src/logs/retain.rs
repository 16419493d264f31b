//! Deletes segments that are too many or too old. The shims only write them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use core_manifest::ServiceName;
use core_manifest::spec::LogLimits;

use super::access;
use super::store::streams;
use crate::paths::Paths;

/// The unit in which `stat` counts the space of a file, in bytes.
const BLOCK: u64 = 512;

/// Log limits by service; the logs of a removed service get the default limits.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// The limits of each service.
    pub limits: BTreeMap<ServiceName, LogLimits>,
}

impl Retention {
    /// Deletes surplus and old segments of these services, and access logs likewise; empty means all. A stream keeps its newest
    /// segment.
    pub fn sweep(&self, paths: &Paths, services: &[String]) {
        let is_meant =
            |service: &&ServiceName| services.is_empty() || services.iter().any(|one| one == service.as_str());
        for (service, limits) in &self.limits {
            if is_meant(&service) {
                access::sweep(paths, service.as_str(), limits);
            }
        }
        let default = LogLimits { segment_bytes: 16 << 20, keep_segments: 8, keep_days: 0 };
        for stream in streams(paths, services) {
            let limits = self.limits.get(&stream.slot.service).unwrap_or(&default);
            let older = stream.segments.len().saturating_sub(1);
            let too_many = match limits.keep_segments {
                0 => 0,
                // Each start makes a new segment, however short, so the limit is on their total size.
                keep => surplus(&stream.segments[..older], u64::from(keep) * limits.segment_bytes),
            };
            for (number, segment) in stream.segments[..older].iter().enumerate() {
                let is_old = limits.keep_days > 0
                    && fs::metadata(&segment.path).and_then(|meta| meta.modified()).is_ok_and(|modified| {
                        let age = SystemTime::now().duration_since(modified).unwrap_or_default();
                        age > Duration::from_secs(86_400 * u64::from(limits.keep_days))
                    });
                if number < too_many || is_old {
                    let _ = fs::remove_file(&segment.path);
                    let _ = fs::remove_file(segment.index());
                }
            }
        }
    }
}

/// How many of the oldest segments to delete so that the rest takes at most `most` bytes on disk.
fn surplus(segments: &[super::store::Segment], most: u64) -> usize {
    let mut kept = 0;
    for (number, segment) in segments.iter().enumerate().rev() {
        // Count disk blocks: even a start that writes one word takes two files of a block each.
        let taken = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.blocks() * BLOCK);
        kept += taken(&segment.path) + taken(&segment.index());
        if kept > most {
            return number + 1;
        }
    }
    0
}
