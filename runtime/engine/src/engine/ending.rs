//! How long it may take to stop the stack, from the timeouts of its services.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_manifest::ServiceName;

use super::Engine;

/// Extra time per service: open connections are counted twice, and a killed process takes a moment to exit.
const MARGIN: Duration = Duration::from_secs(2);

impl Engine {
    /// The longest time until no process of the stack is alive, if it is stopped now: the longest chain of services
    /// that wait for each other to stop.
    pub fn longest_end(&self, kill: bool) -> Duration {
        let edges: Vec<&ServiceName> = self.services.keys().filter(|name| self.is_edge(name)).collect();
        let mut known = BTreeMap::new();
        let all: BTreeSet<&ServiceName> = self.instances.values().map(|instance| instance.id.service()).collect();
        let all = all.into_iter().map(|name| self.end_of(name, kill, &edges, &mut known));
        all.max().unwrap_or_default() + MARGIN
    }

    /// The time until the instances of a service, and those that must stop before them, have stopped.
    fn end_of<'a>(
        &'a self,
        name: &'a ServiceName,
        kill: bool,
        edges: &[&'a ServiceName],
        known: &mut BTreeMap<&'a ServiceName, Duration>,
    ) -> Duration {
        if let Some(end) = known.get(name) {
            return *end;
        }
        // Specs of several generations may form a cycle; it is followed only once.
        known.insert(name, Duration::ZERO);
        let mut own = Duration::ZERO;
        let mut has_route = false;
        for instance in self.instances_of(name).filter(|instance| instance.phase.is_live()) {
            let spec = &instance.spec;
            has_route |= spec.route.is_some();
            let drain = if spec.route.is_some() { spec.update.drain } else { Duration::ZERO };
            let time = if kill { Duration::ZERO } else { drain + spec.shutdown.timeout };
            own = own.max(time + MARGIN);
        }
        let fronts = edges.iter().filter(|edge| has_route && **edge != name).copied();
        let before: BTreeSet<&ServiceName> = self.dependents.get(name).into_iter().flatten().chain(fronts).collect();
        let before = before.into_iter().map(|other| self.end_of(other, kill, edges, known)).max().unwrap_or_default();
        known.insert(name, own + before);
        own + before
    }
}
