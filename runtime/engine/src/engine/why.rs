//! Follows a service that is not ready to the root cause.

use std::collections::BTreeSet;

use core_manifest::ServiceName;

use super::Engine;
use super::view::InstanceView;
use crate::ids::InstanceId;

/// One instance on the way to the root cause.
#[derive(Clone, Debug)]
pub struct WhyStep {
    /// Number of instances that lead to it: 0 for an instance of the service that was asked about.
    pub depth: usize,
    /// The instance at this step.
    pub instance: InstanceView,
    /// Whether nothing else keeps it waiting, so that the cause is in itself.
    pub is_root: bool,
}

impl Engine {
    /// What keeps a service from being ready: each of its instances, and below it, depth first, what that waits for.
    /// Each instance is listed once.
    ///
    /// # Errors
    /// The message that there is no such service.
    pub fn why(&self, service: &ServiceName) -> Result<Vec<WhyStep>, String> {
        let mut steps = Vec::new();
        let mut seen = BTreeSet::new();
        for instance in self.instances_of(service) {
            self.follow(&instance.id, 0, &mut seen, &mut steps);
        }
        let is_known = self.services.contains_key(service) || !steps.is_empty();
        if is_known { Ok(steps) } else { Err(self.no_such_service(service)) }
    }

    fn follow(&self, id: &InstanceId, depth: usize, seen: &mut BTreeSet<InstanceId>, steps: &mut Vec<WhyStep>) {
        if !seen.insert(id.clone()) {
            return;
        }
        let Some(instance) = self.instances.get(id) else { return };
        let view = self.view_of(instance);
        let others: BTreeSet<ServiceName> = view.waiting_on.iter().filter_map(|one| one.service.clone()).collect();
        // If it waits for an exit, instances that have not exited are the cause; else those that are not ready.
        let ends = |other: &InstanceId| {
            view.waiting_on.iter().any(|one| one.condition.is_none() && one.service.as_ref() == Some(other.service()))
        };
        let causes: Vec<InstanceId> = others
            .iter()
            .flat_map(|other| self.instances_of(other))
            .filter(|other| other.id != *id && (!other.is_ready() || ends(&other.id)))
            .map(|other| other.id.clone())
            .collect();
        steps.push(WhyStep { depth, instance: view, is_root: causes.is_empty() });
        for cause in causes {
            self.follow(&cause, depth + 1, seen, steps);
        }
    }
}
