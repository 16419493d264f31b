//! Which segments are kept. The shims only write; what is too much or too old goes from here.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use core_manifest::ServiceName;
use core_manifest::spec::LogLimits;

use super::store::streams;
use crate::paths::Paths;

/// What `stat` counts a file's room in, in bytes.
const BLOCK: u64 = 512;

/// Limits by service; a service that is gone keeps its logs by the default ones.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// Limits by service.
    pub limits: BTreeMap<ServiceName, LogLimits>,
}

impl Retention {
    /// Deletes what is too much or too old of these services; none is all. The newest segment of a stream always stays.
    pub fn sweep(&self, paths: &Paths, services: &[String]) {
        let default = LogLimits { segment_bytes: 16 << 20, keep_segments: 8, keep_days: 0 };
        for stream in streams(paths, services) {
            let limits = self.limits.get(&stream.slot.service).unwrap_or(&default);
            let older = stream.segments.len().saturating_sub(1);
            let too_many = match limits.keep_segments {
                0 => 0,
                // A start makes a segment of its own, however short: what counts is how much there is.
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

/// How many of the oldest segments must go so that the rest is no more than `most` bytes.
fn surplus(segments: &[super::store::Segment], most: u64) -> usize {
    let mut kept = 0;
    for (number, segment) in segments.iter().enumerate().rev() {
        // What the disk counts: a start that says a word takes two files of a block each.
        let taken = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.blocks() * BLOCK);
        kept += taken(&segment.path) + taken(&segment.index());
        if kept > most {
            return number + 1;
        }
    }
    0
}
