//! Logs: what the shims wrote, read. One byte stream per invocation and stream; segments are cut at any byte and joined
//! here; a line's time is that of the last index record at or before its first byte.

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
    /// When its first byte was seen: RFC 3339, UTC.
    pub time: String,
    /// The service.
    pub service: String,
    /// The slot: `web-0`.
    pub slot: String,
    /// The invocation: `web-0@7.3`.
    pub invocation: String,
    /// `out` or `err`.
    pub stream: String,
    /// The line without its end. Bytes that are not UTF-8 are replaced.
    pub line: String,
    /// The same time in nanoseconds since 1970, for sorting.
    #[serde(skip)]
    #[schemars(skip)]
    pub wall_ns: u64,
}

/// Which lines.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Services; none is all.
    pub services: Vec<String>,
    /// At most this many, the last ones; `None` is all.
    pub last: Option<usize>,
    /// Not before this, in nanoseconds since 1970.
    pub since_ns: Option<u64>,
}

/// The path of a segment, or of its index (`idx`).
pub fn segment_path(paths: &Paths, invocation: &InvocationId, stream: Stream, segment: u32, ending: &str) -> PathBuf {
    let instance = &invocation.instance;
    let name = format!("{}.{}.{}.{segment}.{ending}", instance.generation, invocation.number, stream.word());
    paths.logs().join(instance.service().as_str()).join(instance.slot.to_string()).join(name)
}
