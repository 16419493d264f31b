//! Reports of the keeper about the shims that it forked.

use std::io;

use core_engine::InstanceId;
use core_engine::event::{Event, Unreached};
use core_shim::wire::KeeperReport;

use super::Shims;

impl Shims {
    pub(super) fn not_forked(&mut self, instance: &InstanceId, why: &str) {
        if let Some(known) = self.lines.remove(instance) {
            known.line.close();
            let (instance, line, why) = (instance.clone(), known.line.number(), Unreached::Failed(why.to_owned()));
            let _ = self.inbox.send(Event::Unreached { instance, line, why });
        }
    }

    /// Handles a report of the keeper.
    pub fn heard(&mut self, report: KeeperReport) {
        match report {
            KeeperReport::ForkFailed { instance, errno } => {
                let error = io::Error::from_raw_os_error(errno);
                if let Ok(instance) = instance.parse() {
                    self.not_forked(&instance, &format!("no process can be made for its shim: {error}"));
                }
            }
            KeeperReport::Forked { shims } => {
                for (instance, pid) in shims {
                    let instance = instance.parse::<InstanceId>().ok();
                    if let Some(known) = instance.and_then(|instance| self.lines.get(&instance)) {
                        known.line.set_shim(pid);
                    }
                }
            }
            KeeperReport::ShimDied { instance, pid, .. } => {
                let Ok(instance) = instance.parse::<InstanceId>() else { return };
                // The death of a shim that was already replaced does not matter.
                let known = self.lines.get(&instance).filter(|known| known.line.shim_pid() == Some(pid));
                if let Some(line) = known.map(|known| known.line.number()) {
                    let _ = self.inbox.send(Event::Unreached { instance, line, why: Unreached::Dead });
                }
            }
            KeeperReport::ShimStopped { instance, pid } => {
                let Ok(instance) = instance.parse::<InstanceId>() else { return };
                if self.shim_pid(&instance) == Some(pid) {
                    let _ = self.inbox.send(Event::ShimStopped { instance });
                }
            }
            KeeperReport::Look => self.keeper.here(),
            KeeperReport::OrphanDied { .. } => {}
        }
    }
}
