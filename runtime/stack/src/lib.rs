//! All manifests of a stack together: from texts to a topology. Pure.
//!
//! ```text
//! Sources --Drafts::read--> trees, profile applied --finish, with what was Located--> specs --drivers--> topology
//! ```
//!
//! All errors of all files are reported at once. The host reads the texts, chooses the binaries, generates missing
//! secrets, and writes what `compose` exports.

mod building;
pub mod compose;
mod defaults;
mod draft;
pub mod drivers;
mod edge_port;
mod filled;
mod finish;
mod guards;
pub mod hidden;
pub mod init;
mod located;
mod members;
mod origins;
mod ports;
pub mod shell;
mod sources;
mod trials;

use std::collections::BTreeMap;

use core_engine::Topology;
use core_engine::topology::PortRange;
use core_manifest::origin::Origin;
use core_manifest::{Identifier, ServiceName, ServiceSpec, Template};

pub use building::Building;
pub use draft::{Draft, Drafts, Head};
pub use finish::finish;
pub use hidden::Hidden;
pub use located::{Located, Wanted};
pub use origins::origins;
pub use sources::{Apps, Sources};

/// A stack that was read and is valid.
#[derive(Clone, Debug)]
pub struct Stack {
    /// All services.
    pub topology: Topology,
    /// Name of the profile.
    pub profile: String,
    /// Folders in `.dep/` that the services use, and how each is made.
    pub wanted: BTreeMap<String, Wanted>,
    /// Ports given to auto ports by name, per slot.
    pub ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// The range that ports are taken from when an instance is created.
    pub range: PortRange,
    /// Whether edits are applied as they are saved.
    pub watch: bool,
    /// Messages to show once: secrets that were generated.
    pub announcements: Vec<String>,
    /// The manifests, for showing where each value of a service comes from.
    pub drafts: Drafts,
    /// Values that are never shown.
    pub hidden: Hidden,
    /// The values of variables and secrets when the stack was read.
    pub values: BTreeMap<Origin, String>,
}

impl Stack {
    /// How releases of a service are made, if it has any.
    pub fn app_of(&self, spec: &ServiceSpec) -> Option<&Wanted> {
        let mut folders = spec.binaries.values().filter_map(|binary| binary.folder.as_ref());
        folders.find_map(|folder| self.wanted.get(folder).filter(|wanted| wanted.source.is_release()))
    }

    /// Services with a secret in their command line, where every user of the host can read it.
    pub fn secrets_in_command_lines(&self) -> Vec<&ServiceName> {
        let shows = |text: &Template| self.hidden.is_in(&text.inlined().to_string());
        let services = self.topology.services.values();
        services.filter(|spec| shows(&spec.command) || spec.args.iter().any(shows)).map(|spec| &spec.name).collect()
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
