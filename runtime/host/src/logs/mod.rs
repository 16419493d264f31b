//! Reads the logs that the shims wrote: one byte stream per invocation and stream. Segments may be cut at any byte and
//! are joined here; the time of a line is that of the last index record at or before its first byte.

pub mod access;
mod follow;
mod merge;
mod reader;
mod retain;
mod store;
mod sweeper;

use std::path::PathBuf;

use core_engine::InvocationId;
use core_shim::place::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;
pub use follow::Follower;
pub use merge::last;
pub use retain::Retention;
pub use store::{SlotStream, streams};
pub(crate) use sweeper::Sweeper;

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// When its first byte was read: RFC 3339, UTC.
    pub time: String,
    /// Name of the service.
    pub service: String,
    /// Name of the slot: `web-0`.
    pub slot: String,
    /// Name of the invocation: `web-0@7.3`.
    pub invocation: String,
    /// `out` or `err`.
    pub stream: String,
    /// The line without its line end. Bytes that are not UTF-8 are replaced.
    pub line: String,
    /// `time` in nanoseconds since 1970, for sorting.
    #[serde(skip)]
    #[schemars(skip)]
    pub wall_ns: u64,
}

/// Which lines to read.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Services; empty means all.
    pub services: Vec<String>,
    /// At most this many of the last lines; `None` means all.
    pub last: Option<usize>,
    /// Only lines at or after this time, in nanoseconds since 1970.
    pub since_ns: Option<u64>,
}

/// The path of a segment, or of its index (`ending` is `idx`).
pub fn segment_path(paths: &Paths, invocation: &InvocationId, stream: Stream, segment: u32, ending: &str) -> PathBuf {
    let instance = &invocation.instance;
    let name = format!("{}.{}.{}.{segment}.{ending}", instance.generation, invocation.number, stream.word());
    paths.logs().join(instance.service().as_str()).join(instance.slot.to_string()).join(name)
}
