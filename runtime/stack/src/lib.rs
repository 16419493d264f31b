//! All manifests of a stack together: from texts to a topology. Pure.
//!
//! ```text
//! Sources --Drafts::read--> trees, profile applied --finish, with what was Located--> specs --drivers--> topology
//! ```
//!
//! All errors of all files are reported in one go. The host reads the texts, chooses the binaries, makes the secrets that
//! are missing, and writes what `compose` exports.

pub mod compose;
mod defaults;
mod draft;
pub mod drivers;
mod filled;
mod finish;
pub mod hidden;
mod located;
mod members;
mod origins;
mod ports;
pub mod shell;
mod sources;

use std::collections::BTreeMap;

use core_engine::Topology;
use core_engine::topology::PortRange;
use core_manifest::origin::Origin;
use core_manifest::{Identifier, ServiceName, Template};

pub use draft::{Draft, Drafts, Head};
pub use finish::finish;
pub use hidden::Hidden;
pub use located::{Located, Wanted};
pub use origins::origins;
pub use sources::{FindApps, Sources};

/// A stack that was read and is good.
#[derive(Clone, Debug)]
pub struct Stack {
    /// All services.
    pub topology: Topology,
    /// Which profile.
    pub profile: String,
    /// Folders of `.dep/` that the services use, and how each is to be made.
    pub wanted: BTreeMap<String, Wanted>,
    /// Ports given to auto ports by name, per slot.
    pub ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// Range of the ports that are given when an instance is born.
    pub range: PortRange,
    /// Edits are applied as they are saved.
    pub watch: bool,
    /// What is to be said, once: secrets that were made.
    pub announcements: Vec<String>,
    /// Where each value of each service comes from.
    pub drafts: Drafts,
    /// Values that are never shown.
    pub hidden: Hidden,
    /// What variables and secrets were.
    pub values: BTreeMap<Origin, String>,
}

impl Stack {
    /// Services whose command line holds a secret: every user of the host can read it there.
    pub fn secrets_in_command_lines(&self) -> Vec<&ServiceName> {
        let shows = |text: &Template| self.hidden.is_in(&text.inlined().to_string());
        let services = self.topology.services.values();
        services.filter(|spec| shows(&spec.command) || spec.args.iter().any(shows)).map(|spec| &spec.name).collect()
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
