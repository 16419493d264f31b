//! The places of binaries, now or after a download or build: chosen by the host, referred to by `${dep.NAME}`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use core_manifest::manifest::Source;
use core_manifest::spec::BinaryRef;
use core_manifest::{Identifier, ServiceName};

use crate::building::Building;

/// The places of all binaries of a stack.
#[derive(Clone, Debug, Default)]
pub struct Located {
    /// The binaries of each service, by name.
    pub binaries: BTreeMap<ServiceName, BTreeMap<Identifier, BinaryRef>>,
    /// How each folder in `.dep/` is made.
    pub wanted: BTreeMap<String, Wanted>,
    /// Releases of services that have one.
    pub releases: BTreeMap<ServiceName, String>,
}

/// How a folder in `.dep/` is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Name of the binary.
    pub binary: String,
    /// The source that provides it.
    pub source: Source,
    /// Index of the source in the binary's list, from 0.
    pub index: usize,
    /// Number of sources in that list.
    pub sources: usize,
    /// Why the earlier sources do not provide it.
    pub earlier: Vec<String>,
    /// The version, or the hash.
    pub version: String,
    /// The program that makes it, and the folder in `.dep/` that has to exist first.
    pub tool: Option<(PathBuf, Option<String>)>,
    /// The version of that program; for node only its first number.
    pub tool_version: String,
    /// Path of the program inside the folder; `None` for a build that is a folder.
    pub program: Option<String>,
    /// How it is built, if it is an app.
    pub building: Building,
}

impl Wanted {
    /// Of nothing, to be filled in.
    pub fn none() -> Self {
        Self {
            binary: String::new(),
            source: Source::Path { program: None, version: None },
            index: 0,
            sources: 1,
            earlier: Vec::new(),
            version: String::new(),
            tool: None,
            tool_version: String::new(),
            program: None,
            building: Building::default(),
        }
    }
}

impl Located {
    /// The values of `${dep.NAME}` in a service.
    pub fn paths(&self, service: &ServiceName) -> BTreeMap<String, String> {
        self.of(service).into_iter().map(|(name, binary)| (name.to_string(), binary.path)).collect()
    }

    /// The binaries of a service.
    pub fn of(&self, service: &ServiceName) -> BTreeMap<Identifier, BinaryRef> {
        self.binaries.get(service).cloned().unwrap_or_default()
    }
}
