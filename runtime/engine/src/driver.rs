//! What a driver is: the pure crate that knows one kind of program.

use std::collections::BTreeMap;

use core_manifest::{Diagnostic, Identifier, ServiceName, ServiceSpec};

/// What a driver makes of a service: the service itself, completed, and more services where its kind has them.
pub type Expansion = Result<Vec<ServiceSpec>, Vec<Diagnostic>>;

/// What a driver may look at.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// All services, as they were before any driver.
    pub services: &'a BTreeMap<ServiceName, ServiceSpec>,
    /// `${edge}`: where the edge's pointers are.
    pub edge: &'a str,
    /// `${data}`.
    pub data: &'a str,
    /// Ports that were given by name to auto ports, per slot.
    pub ports: &'a BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// Path of the program `core`, for what a driver has it do.
    pub core: &'a str,
}

static NO_PORTS: BTreeMap<(ServiceName, u32, Identifier), u16> = BTreeMap::new();

impl<'a> Surroundings<'a> {
    /// These services, and nothing else.
    pub fn of(services: &'a BTreeMap<ServiceName, ServiceSpec>) -> Self {
        Self { services, edge: "", data: "", ports: &NO_PORTS, core: "" }
    }
}

/// A secret that core makes when nobody has set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRequest {
    /// The environment variable that holds it when somebody has set it.
    pub variable: &'static str,
    /// The file in `.secrets/` that holds it otherwise.
    pub file: &'static str,
    /// What is said, once, when it was made, where a person needs it. `{}` stands for the secret.
    pub announcement: Option<&'static str>,
}
