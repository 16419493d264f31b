//! Probes answered by what the service said of itself (`sd_notify`); its shim has written that down.

use std::time::Duration;

use core_engine::InvocationId;
use core_engine::event::ProbeKind;
use core_shim::place::Place;
use core_shim::record::Notified;
use core_shim::sys;

use crate::paths::Paths;

/// What an invocation has said; `None` before it said anything.
pub fn said(paths: &Paths, invocation: &InvocationId) -> Option<Notified> {
    let place = Place::new(&paths.run, &invocation.instance.to_string());
    Notified::read(&place.notified()).ok().filter(|said| said.number == invocation.number)
}

/// Whether it said what the probe wants to hear.
pub(super) fn look(paths: &Paths, invocation: &InvocationId, kind: ProbeKind, period: Duration) -> Result<(), String> {
    let said = said(paths, invocation).unwrap_or_default();
    match kind {
        ProbeKind::Readiness if said.stopping => Err("it has said STOPPING=1".into()),
        ProbeKind::Readiness if said.ready => Ok(()),
        ProbeKind::Readiness => Err("it has not said READY=1".into()),
        ProbeKind::Liveness => {
            let silent = Duration::from_nanos(sys::monotonic_ns().saturating_sub(said.beat_ns));
            // Its time runs from the first word on: one whose readiness is asked for otherwise may take its time.
            if said.beat_ns == 0 || silent <= period {
                Ok(())
            } else {
                Err(format!("it has not said WATCHDOG=1 for more than {} s", period.as_secs_f64()))
            }
        }
    }
}
