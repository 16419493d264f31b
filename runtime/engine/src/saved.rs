//! The state that the engine saves, so that the next one can continue where it was.
//!
//! It holds only what the running processes cannot tell: what is wanted, and the specs that they were made from.
//! Everything about processes is asked from the shims, and what they report wins over this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_manifest::{Identifier, ServiceName, ServiceSpec};
use serde::{Deserialize, Serialize};

use crate::ids::{Generation, InstanceId};
use crate::maintenance::Maintenance;
use crate::topology::PortRange;
use crate::trail::Trail;
use crate::trial::{Stage, Trial};

/// What the engine remembers from one supervisor to the next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    /// The newest generation.
    pub generation: Generation,
    /// Whether the stack was being stopped.
    pub down: bool,
    /// The services that were asked for by name; `None` means all.
    pub selected: Option<BTreeSet<ServiceName>>,
    /// All services, with what is wanted of each.
    pub(crate) services: BTreeMap<ServiceName, SavedService>,
    /// Specs of instances that are on their way out.
    pub(crate) others: BTreeMap<InstanceId, Arc<ServiceSpec>>,
    /// Ports given by name, one `service replica port number` each.
    pub(crate) ports: Vec<(ServiceName, u32, Identifier, u16)>,
    /// The range that ports are taken from when an instance is created.
    pub(crate) range: PortRange,
    /// The wanted releases, by service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) releases: BTreeMap<ServiceName, String>,
    /// The releases that served well, by service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) trails: BTreeMap<ServiceName, Trail>,
    /// Releases that run beside live ones, by the services that run them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) trials: BTreeMap<ServiceName, (Trial, Stage)>,
}

/// What the operator ordered for a service; overrides the manifest until it is withdrawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operator {
    /// No order.
    #[default]
    Silent,
    /// Start it, even if it is disabled.
    Started,
    /// Stop it.
    Stopped,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedService {
    pub(crate) spec: Arc<ServiceSpec>,
    pub(crate) born: Generation,
    pub(crate) rollout: Option<SavedRollout>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warm: Option<SavedWarm>,
    pub(crate) operator: Operator,
    pub(crate) scale: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) maintenance: Option<Maintenance>,
    pub(crate) rejected: Option<(Arc<ServiceSpec>, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedRollout {
    pub(crate) spec: Arc<ServiceSpec>,
    pub(crate) born: Generation,
    /// Whether the edge had already been switched to the new instances.
    pub(crate) switched: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedWarm {
    pub(crate) spec: Arc<ServiceSpec>,
    pub(crate) born: Generation,
}

impl Saved {
    /// Ports given by name, as a map.
    pub fn ports(&self) -> BTreeMap<(ServiceName, u32, Identifier), u16> {
        self.ports
            .iter()
            .map(|(service, replica, name, number)| ((service.clone(), *replica, name.clone()), *number))
            .collect()
    }

    /// The releases of a service that run, are wanted, or are the ones to go back to: none of them may be deleted.
    pub fn releases_needed(&self, service: &str) -> BTreeSet<String> {
        let of_service = self.services.iter().filter(|(name, _)| name.parent().as_str() == service).map(|(_, one)| one);
        let specs = of_service.flat_map(|one| {
            let kept = one.warm.as_ref().map(|warm| &warm.spec);
            [Some(&one.spec), one.rollout.as_ref().map(|rollout| &rollout.spec), kept]
        });
        let of_id = |id: &InstanceId| id.service().parent().as_str() == service;
        let others = self.others.iter().filter(|(id, _)| of_id(id)).map(|(_, spec)| spec);
        let of_specs = specs.flatten().chain(others).filter_map(|spec| spec.release.clone());
        let wanted = self.releases.iter().filter(|(name, _)| name.parent().as_str() == service);
        let wanted = wanted.map(|(_, id)| id.clone());
        of_specs.chain(wanted).chain(self.release_before(service)).collect()
    }

    /// The wanted release of a service.
    pub fn release_wanted(&self, service: &str) -> Option<&str> {
        let wanted = self.releases.iter().find(|(name, _)| name.as_str() == service).map(|(_, id)| id.as_str());
        let of_spec = || {
            let (_, one) = self.services.iter().find(|(name, _)| name.as_str() == service)?;
            one.spec.release.as_deref()
        };
        wanted.or_else(of_spec)
    }

    /// The release that a service would go back to.
    pub fn release_before(&self, service: &str) -> Option<String> {
        let (_, trail) = self.trails.iter().find(|(name, _)| name.as_str() == service)?;
        Some(trail.before(self.release_wanted(service)?)?.to_owned())
    }

    /// The last good topology, from the saved specs.
    pub fn topology(&self) -> crate::Topology {
        crate::Topology {
            services: self.services.iter().map(|(name, service)| (name.clone(), service.spec.clone())).collect(),
        }
    }
}
