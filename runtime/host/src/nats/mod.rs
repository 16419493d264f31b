//! What core does for NATS servers: they join a cluster with their streams, and leave it without them.
//!
//! `core_nats::streams` decides which requests to send, and what the answers mean.

mod api;
mod join;
mod leave;

use std::path::{Path, PathBuf};

pub use join::{Joining, join};
pub use leave::{Leaving, Place, leave};

/// The folder in which a server stores the cluster's metadata log and the logs of replicated streams.
fn cluster_folder(store: &Path) -> PathBuf {
    store.join("jetstream/$SYS/_js_")
}

/// Deletes the stored cluster state. A server that came back with an old log could outvote those that stayed.
fn forget_cluster(store: &Path) -> Result<(), String> {
    let folder = cluster_folder(store);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}
