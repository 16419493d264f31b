//! Handles on the first processes of instances whose shim is not a child of our keeper: if both die, another process
//! reaps them, and only a handle opened before tells the exit status (Linux 6.15 and later).

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use core_engine::InstanceId;
use core_engine::event::Life;
use core_shim::sys;

/// The handles, with PIDs, by instance.
#[derive(Debug, Default)]
pub(super) struct Leaders(HashMap<InstanceId, (u32, OwnedFd)>);

impl Leaders {
    /// Opens a handle for an instance that was found or taken over.
    pub(super) fn found(&mut self, instance: &InstanceId, life: &Life) {
        if let Life::Running { pid } = life {
            self.hold(instance, *pid);
        }
    }

    /// The first process is a new one. If our keeper would reap it, no handle is needed.
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

    /// A copy of the handle on the first process of an instance, with its PID.
    pub(super) fn of(&self, instance: &InstanceId) -> Option<(u32, OwnedFd)> {
        let (pid, handle) = self.0.get(instance)?;
        Some((*pid, handle.try_clone().ok()?))
    }

    /// Closes the handle of an instance that was released.
    pub(super) fn forget(&mut self, instance: &InstanceId) {
        self.0.remove(instance);
    }
}
