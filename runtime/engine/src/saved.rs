//! What the engine writes down so that another one can go on where it was.
//!
//! Only what the world cannot tell by itself: what is wanted, and by which specs what runs was made. Everything about
//! processes is asked from the shims, and the live world wins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_manifest::{Identifier, ServiceName, ServiceSpec};
use serde::{Deserialize, Serialize};

use crate::ids::{Generation, InstanceId};
use crate::topology::PortRange;

/// The engine's memory between two lives.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    /// The newest generation.
    pub generation: Generation,
    /// The stack was being ended.
    pub down: bool,
    /// The services that were asked for by name; none is all.
    pub selected: Option<BTreeSet<ServiceName>>,
    /// All services.
    pub(crate) services: BTreeMap<ServiceName, SavedService>,
    /// Specs of instances that are on their way out.
    pub(crate) others: BTreeMap<InstanceId, Arc<ServiceSpec>>,
    /// Ports given by name, a line `service replica port number` each.
    pub(crate) ports: Vec<(ServiceName, u32, Identifier, u16)>,
    /// Range of ports given at birth.
    pub(crate) range: PortRange,
}

/// What the operator said of a service; outranks the manifest until it is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operator {
    /// Nothing.
    #[default]
    Silent,
    /// Start it, disabled or not.
    Started,
    /// Stop it.
    Stopped,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedService {
    pub(crate) spec: Arc<ServiceSpec>,
    pub(crate) born: Generation,
    pub(crate) rollout: Option<SavedRollout>,
    pub(crate) operator: Operator,
    pub(crate) scale: Option<u32>,
    pub(crate) rejected: Option<(Arc<ServiceSpec>, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedRollout {
    pub(crate) spec: Arc<ServiceSpec>,
    pub(crate) born: Generation,
    /// The edge had been told.
    pub(crate) switched: bool,
}

impl Saved {
    /// Ports given by name.
    pub fn ports(&self) -> BTreeMap<(ServiceName, u32, Identifier), u16> {
        self.ports
            .iter()
            .map(|(service, replica, name, number)| ((service.clone(), *replica, name.clone()), *number))
            .collect()
    }

    /// The last good topology.
    pub fn topology(&self) -> crate::Topology {
        crate::Topology {
            services: self.services.iter().map(|(name, service)| (name.clone(), service.spec.clone())).collect(),
        }
    }
}
