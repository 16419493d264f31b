//! Where each binary is, or will be once it was fetched or built: chosen by the host, named by `${dep.NAME}`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use core_manifest::manifest::Source;
use core_manifest::spec::BinaryRef;
use core_manifest::{Identifier, ServiceName};

/// Where everything is or will be.
#[derive(Clone, Debug, Default)]
pub struct Located {
    /// The binaries of each service, by their names.
    pub binaries: BTreeMap<ServiceName, BTreeMap<Identifier, BinaryRef>>,
    /// How each folder of `.dep/` is to be made.
    pub wanted: BTreeMap<String, Wanted>,
    /// Releases of services that have one.
    pub releases: BTreeMap<ServiceName, String>,
}

/// How a folder of `.dep/` is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Name of the binary.
    pub binary: String,
    /// The source that gives it.
    pub source: Source,
    /// Which of the binary's sources that is, from 0.
    pub index: usize,
    /// How many sources the binary has.
    pub sources: usize,
    /// Why the sources before it do not give it.
    pub earlier: Vec<String>,
    /// The version, or the hash.
    pub version: String,
    /// The program it is made with, and the folder of `.dep/` that must have landed first.
    pub tool: Option<(PathBuf, Option<String>)>,
    /// Program inside the folder, relative to it; `None` for a build that is a folder.
    pub program: Option<String>,
}

impl Located {
    /// What `${dep.NAME}` stands for in a service.
    pub fn paths(&self, service: &ServiceName) -> BTreeMap<String, String> {
        self.of(service).into_iter().map(|(name, binary)| (name.to_string(), binary.path)).collect()
    }

    /// The binaries of a service.
    pub fn of(&self, service: &ServiceName) -> BTreeMap<Identifier, BinaryRef> {
        self.binaries.get(service).cloned().unwrap_or_default()
    }
}
