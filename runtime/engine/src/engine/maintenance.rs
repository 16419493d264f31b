//! Maintenance: the edge answers in the place of a service, whatever state that is in, until a person ends it.

use std::collections::BTreeSet;

use core_manifest::ServiceName;

use super::Engine;
use super::operation::{Goal, Operation};
use crate::maintenance::Maintenance;

impl Engine {
    /// Begins or ends the maintenance of these services, or of all that the edge sends requests to.
    pub(super) fn maintain(&mut self, services: &[ServiceName], how: Option<&Maintenance>) -> Operation {
        if let Some(unknown) = services.iter().find(|name| !self.services.contains_key(*name)) {
            return Operation::failed(self.no_such_service(unknown));
        }
        let has_route = |name: &ServiceName| self.services[name].spec.route.is_some() && !name.is_trial();
        if let Some(other) = services.iter().find(|name| !has_route(name)) {
            return Operation::failed(format!("{other} has not a route: the edge sends it no requests"));
        }
        let all: BTreeSet<ServiceName> = if services.is_empty() {
            self.services.keys().filter(|name| has_route(name)).cloned().collect()
        } else {
            services.iter().cloned().collect()
        };
        if all.is_empty() {
            return Operation::failed("the edge sends requests to none of the services".into());
        }
        for name in &all {
            if let Some(service) = self.services.get_mut(name) {
                service.maintenance = how.cloned();
            }
        }
        self.save = true;
        self.changed.extend(all.iter().cloned());
        Operation::new(Goal::Maintained, all, self.now, None)
    }

    /// The services in maintenance.
    pub fn maintained(&self) -> impl Iterator<Item = (&ServiceName, &Maintenance)> {
        self.services.iter().filter_map(|(name, service)| Some((name, service.maintenance.as_ref()?)))
    }

    /// The maintenance of a service.
    pub(super) fn maintenance(&self, name: &ServiceName) -> Option<&Maintenance> {
        self.services.get(name)?.maintenance.as_ref()
    }
}
