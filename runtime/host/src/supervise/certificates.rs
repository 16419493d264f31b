//! Certificates in files that are replaced while the stack runs: whoever renews them need not tell core. The edge is swapped,
//! with the manifests that are carried out, whether or not edits are followed.

use std::time::Duration;

use core_engine::Topology;
use core_engine::command::{Cause, Command};
use core_manifest::ServiceName;
use tokio::sync::{mpsc, watch};

use super::Supervisor;
use crate::paths::Paths;
use crate::{certificates, identity};

/// How often files are looked at. They may be links, on any file system, in folders that come and go.
const PAUSE: Duration = Duration::from_secs(3);

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    edge: Option<ServiceName>,
    written: Vec<String>,
    /// The user as whom the edge runs, if that is another one.
    reader: Option<u32>,
}

impl Asked {
    fn of(topology: &Topology) -> Self {
        let Some(edge) = topology.edge().filter(|edge| !edge.edge.certificate_files.is_empty()) else {
            return Self::default();
        };
        let written = edge.edge.certificate_files.clone();
        Self { edge: Some(edge.name.clone()), written, reader: identity::edge_user(topology) }
    }
}

/// Looks until the receiver of the answers, or who asks, is gone. If the system has no thread left, new files wait for the
/// next start.
pub(super) fn begin(paths: Paths, answers: mpsc::UnboundedSender<ServiceName>) -> watch::Sender<Asked> {
    let (sender, asked) = watch::channel(Asked::default());
    let look = move || {
        while asked.has_changed().is_ok() {
            std::thread::sleep(PAUSE);
            let Asked { edge: Some(edge), written, reader } = asked.borrow().clone() else { continue };
            match certificates::refresh(&paths, &written, reader) {
                Ok(false) => {}
                Ok(true) if answers.send(edge).is_err() => return,
                Ok(true) => tracing::info!("there are new certificates"),
                Err(error) => tracing::warn!("new certificates are not used: {error}"),
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("certificates".into()).spawn(look) {
        tracing::warn!("certificates are not followed: {error}");
    }
    sender
}

impl Supervisor {
    /// The files that are followed are those of this topology from now on.
    pub(super) fn follow_certificates(&self) {
        self.certificates.send_replace(Asked::of(&self.engine.topology()));
    }

    /// There are new ones for an edge.
    pub(super) fn renew(&mut self, edge: ServiceName) {
        self.operate(Command::Renew { service: edge }, Cause::Certificate, None);
    }
}
