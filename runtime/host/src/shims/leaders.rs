//! Handles on the first processes of instances whose shim is no child of our keeper's: when that shim dies, and then they,
//! somebody else reaps them, and only a handle from before tells how they ended (Linux 6.15 and later).

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use core_engine::InstanceId;
use core_engine::event::Life;
use core_shim::sys;

/// The handles, by instance.
#[derive(Debug, Default)]
pub(super) struct Leaders(HashMap<InstanceId, (u32, OwnedFd)>);

impl Leaders {
    /// An instance was found, or taken over.
    pub(super) fn found(&mut self, instance: &InstanceId, life: &Life) {
        if let Life::Running { pid } = life {
            self.hold(instance, *pid);
        }
    }

    /// Another process is the first one now. Of those that our keeper would reap it is not held.
    pub(super) fn started(&mut self, instance: &InstanceId, pid: u32) {
        if self.0.contains_key(instance) {
            self.hold(instance, pid);
        }
    }

    fn hold(&mut self, instance: &InstanceId, pid: u32) {
        if self.0.get(instance).is_some_and(|(held, _)| *held == pid) {
            return;
        }
        if let Ok(handle) = sys::pidfd(pid) {
            self.0.insert(instance.clone(), (pid, handle));
        }
    }

    /// A copy of the handle on the first process of an instance.
    pub(super) fn of(&self, instance: &InstanceId) -> Option<(u32, OwnedFd)> {
        let (pid, handle) = self.0.get(instance)?;
        Some((*pid, handle.try_clone().ok()?))
    }

    /// Nobody will ask after the instance again.
    pub(super) fn forget(&mut self, instance: &InstanceId) {
        self.0.remove(instance);
    }
}
