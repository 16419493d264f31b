//! The slots of the file: their names, and the values for their texts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use core_engine::Topology;
use core_engine::topology::PortRange;
use core_manifest::template::Fill;
use core_manifest::{Identifier, ServiceName, ServiceSpec};

/// Ports by service, replica and name.
pub(super) type Ports = BTreeMap<(ServiceName, u32, Identifier), u16>;

/// One slot.
#[derive(Clone, Debug)]
pub(super) struct Slot<'a> {
    pub(super) spec: &'a ServiceSpec,
    pub(super) replica: u32,
    run: PathBuf,
    files: PathBuf,
    ports: &'a Ports,
}

impl<'a> Slot<'a> {
    pub(super) fn new(spec: &'a ServiceSpec, replica: u32, state: &Path, ports: &'a Ports) -> Self {
        let name = format!("{}-{replica}", spec.name);
        let (run, files) = (state.join("compose-run").join(&name), state.join("compose-files").join(name));
        Self { spec, replica, run, files, ports }
    }

    /// The run folder of the slot.
    pub(super) fn run_folder(&self) -> &Path {
        &self.run
    }

    /// The folder of its generated files, which are copied into the run folder before each start.
    pub(super) fn files_folder(&self) -> &Path {
        &self.files
    }

    /// The number of one of its ports, auto or not.
    pub(super) fn port_number(&self, name: &Identifier) -> Option<u16> {
        self.spec.ports.get(name)?.number.or_else(|| self.port(name))
    }
}

impl Fill for Slot<'_> {
    fn run(&self) -> String {
        self.run.display().to_string()
    }

    fn instance(&self) -> String {
        format!("{}-{}", self.spec.name, self.replica)
    }

    fn replica(&self) -> u32 {
        self.replica
    }

    fn port(&self, name: &Identifier) -> Option<u16> {
        self.ports.get(&(self.spec.name.clone(), self.replica, name.clone())).copied()
    }
}

/// Numbers for all auto ports: those given by name, and fixed ones for the others. They are taken from the end of the
/// range, which core uses last.
pub(super) fn ports(topology: &Topology, given: &Ports, range: &PortRange) -> Ports {
    let fixed = topology.services.values().flat_map(|spec| spec.ports.values().filter_map(|port| port.number));
    let taken: BTreeSet<u16> = fixed.chain(given.values().copied()).collect();
    let mut free = range.all().rev().filter(|number| !taken.contains(number));
    let mut all = Ports::new();
    for spec in topology.services.values() {
        for (name, _) in spec.ports.iter().filter(|(_, port)| port.number.is_none()) {
            for replica in 0..spec.replicas {
                let key = (spec.name.clone(), replica, name.clone());
                if let Some(number) = given.get(&key).copied().or_else(|| free.next()) {
                    all.insert(key, number);
                }
            }
        }
    }
    all
}
