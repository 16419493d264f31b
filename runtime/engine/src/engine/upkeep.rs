//! What the host keeps for services apart from their processes: held sockets, and logs up to a limit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_manifest::spec::LogLimits;
use core_manifest::{Identifier, ServiceName, ServiceSpec};

use super::{Basis, Engine, mutated};
use crate::action::Action;

/// What the host was told to keep.
#[derive(Clone, Debug, Default)]
pub(super) struct Upkeep {
    /// Held ports by service, without empty entries. `None`: the host was not told yet, and keeps what it has.
    held: Option<BTreeMap<ServiceName, BTreeSet<Identifier>>>,
    /// Log limits by service.
    logs: Option<BTreeMap<ServiceName, LogLimits>>,
}

impl Engine {
    /// Tells the host which sockets to keep open, if that has changed. Until the manifests were read, valid or not, it
    /// is not known which are still needed.
    pub(super) fn settle_held(&mut self) {
        if self.basis != Basis::Manifests {
            return;
        }
        let is_first = self.upkeep.held.is_none();
        let names: Vec<ServiceName> = if is_first {
            self.services.keys().chain(self.instances.keys().map(crate::InstanceId::service)).cloned().collect()
        } else {
            self.changed.iter().cloned().collect()
        };
        let mut held = self.upkeep.held.take().unwrap_or_default();
        let mut is_other = is_first;
        for name in names {
            let ports = self.held_of(&name);
            if held.get(&name).map_or(ports.is_empty(), |before| *before == ports) {
                continue;
            }
            is_other = true;
            if ports.is_empty() {
                held.remove(&name);
            } else {
                held.insert(name, ports);
            }
        }
        if is_other {
            let ports = held.iter().flat_map(|(name, ports)| ports.iter().map(|port| (name.clone(), port.clone())));
            self.actions.push(Action::Hold { ports: ports.collect() });
        }
        self.upkeep.held = Some(held);
    }

    /// The held ports of a service from every spec that counts: a serving instance may be started again.
    fn held_of(&self, name: &ServiceName) -> BTreeSet<Identifier> {
        let service = self.services.get(name);
        let wanted = service.map(|service| &service.spec);
        let serving = service.and_then(|service| service.rollout.as_ref()).map(|rollout| &rollout.spec);
        let living = self.instances_of(name).filter(|one| one.phase.is_live()).map(|one| &one.spec);
        let ports_of = |spec: &Arc<ServiceSpec>| spec.held_ports().map(|(port, _)| port.clone()).collect::<Vec<_>>();
        if mutated!(self, CloseHeldOfOld) {
            return wanted.into_iter().flat_map(ports_of).collect();
        }
        wanted.into_iter().chain(serving).chain(living).flat_map(ports_of).collect()
    }

    /// Tells the host how much of each log to keep, if that has changed.
    pub(super) fn settle_logs(&mut self) {
        let limits: BTreeMap<ServiceName, LogLimits> =
            self.services.iter().map(|(name, service)| (name.clone(), service.spec.log.clone())).collect();
        if self.basis == Basis::Manifests && self.upkeep.logs.as_ref() != Some(&limits) {
            self.actions.push(Action::KeepLogs { limits: limits.clone() });
            self.upkeep.logs = Some(limits);
        }
    }
}
