//! What is done now and then.

use std::collections::BTreeSet;

use core_engine::event::Event;
use core_manifest::ServiceName;

use super::Supervisor;
use crate::{edge, pressure};

impl Supervisor {
    /// What is warm ends where memory is short.
    pub(super) fn look(&mut self) {
        if pressure::is_short() {
            self.give(&Event::MemoryShort);
        }
    }

    /// Removes pointers of services that no longer exist; called after each reading and periodically.
    pub(super) fn sweep(&self) {
        let known: BTreeSet<ServiceName> = self.engine.instances().map(|(id, ..)| id.service().parent()).collect();
        let (edge, trials) = (self.paths.edge(), self.engine.trials());
        edge::forget(&edge, |service| known.contains(service));
        edge::close_unknown(&edge, |name| trials.contains_key(name));
    }

    /// What is done now and then, whatever happens.
    pub(super) fn sweep_all(&mut self) {
        self.sweep();
        self.end_old_trials();
    }
}
