//! The interface of a driver: the pure crate that knows one kind of program.

use std::collections::BTreeMap;

use core_manifest::named::{Folders, Lists};
use core_manifest::{Diagnostic, Identifier, ServiceName, ServiceSpec};

/// What a driver makes of a service: the completed spec, and specs of further services if its kind needs them.
pub type Expansion = Result<Vec<ServiceSpec>, Vec<Diagnostic>>;

/// The context that a driver may look at.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// All services, as they were before any driver ran.
    pub services: &'a BTreeMap<ServiceName, ServiceSpec>,
    /// The value of `${edge}`: the folder of the edge's pointers.
    pub edge: &'a str,
    /// The value of `${data}`.
    pub data: &'a str,
    /// Ports that were given by name to auto ports, per slot.
    pub ports: &'a BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// Path of the `core` program, for services that a driver runs with it.
    pub core: &'a str,
    /// Files with one entry a line that manifests name.
    pub lists: &'a Lists,
    /// The files of folders that manifests name.
    pub folders: &'a Folders,
}

static NO_PORTS: BTreeMap<(ServiceName, u32, Identifier), u16> = BTreeMap::new();
static NO_LISTS: Lists = Lists::new();
static NO_FOLDERS: Folders = Folders::new();

impl<'a> Surroundings<'a> {
    /// These services, with everything else empty.
    pub fn of(services: &'a BTreeMap<ServiceName, ServiceSpec>) -> Self {
        Self { services, edge: "", data: "", ports: &NO_PORTS, core: "", lists: &NO_LISTS, folders: &NO_FOLDERS }
    }
}

/// A secret that core generates when nobody has set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRequest {
    /// The environment variable that holds it if it was set.
    pub variable: &'static str,
    /// The file in `.secrets/` that holds it otherwise.
    pub file: &'static str,
    /// The message shown once, when the secret was generated, if a person needs it. `{}` stands for the secret.
    pub announcement: Option<&'static str>,
}
