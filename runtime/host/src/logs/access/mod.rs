//! The access logs of edges. An edge writes them itself, so they go on whatever becomes of core, and each instance has a file
//! of its own, so that two may write during a swap: what belongs together is joined here, in the order of time.

mod chain;
pub mod figures;
mod follow;
mod past;
mod sweep;

use core_stack::drivers::access;

pub use access::Entry;
pub use follow::Follower;
pub use past::now_ns;
pub(crate) use sweep::sweep;

use super::Selection;
use crate::paths::Paths;

/// Whether an edge of the stack has ever written a log.
pub fn is_there(paths: &Paths) -> bool {
    !chain::all(paths).is_empty()
}

/// Whether a selection has this entry, whenever it is from.
fn has(selection: &Selection, entry: &Entry) -> bool {
    selection.services.is_empty() || selection.services.contains(&entry.service)
}
