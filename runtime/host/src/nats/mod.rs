//! What core does for NATS servers: they join a cluster with the streams they have, and leave it without them.
//!
//! Which requests these are, and what answers mean, `core_nats::streams` decides.

mod api;
mod join;
mod leave;

use std::path::{Path, PathBuf};

pub use join::{Joining, join};
pub use leave::{Leaving, Place, leave};

/// Folder with what a server knows of its cluster: the log of its metadata, those of streams with several copies.
fn cluster_folder(store: &Path) -> PathBuf {
    store.join("jetstream/$SYS/_js_")
}

/// Forgets the cluster. A server that comes back with an old log could outvote those that stayed.
fn forget_cluster(store: &Path) -> Result<(), String> {
    let folder = cluster_folder(store);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}
