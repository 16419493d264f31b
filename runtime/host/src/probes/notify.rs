//! Probes that are answered by the service itself (`sd_notify`); its shim has recorded its messages.

use std::io;
use std::time::Duration;

use core_engine::InvocationId;
use core_engine::event::ProbeKind;
use core_shim::place::Place;
use core_shim::record::Notified;
use core_shim::sys;

use super::NotGood;
use super::answer::{is_lack, plain};
use crate::paths::Paths;

/// What an invocation has reported; `None` if nothing yet.
pub fn said(paths: &Paths, invocation: &InvocationId) -> Option<Notified> {
    read(paths, invocation).ok().flatten()
}

/// # Errors
/// What core lacks to read it.
fn read(paths: &Paths, invocation: &InvocationId) -> io::Result<Option<Notified>> {
    let place = Place::new(&paths.run, &invocation.instance.to_string());
    match Notified::read(&place.notified()) {
        Err(error) if is_lack(&error) => Err(error),
        said => Ok(said.ok().filter(|said| said.number == invocation.number)),
    }
}

/// Checks that it reported what the probe expects.
pub(super) fn look(paths: &Paths, invocation: &InvocationId, kind: ProbeKind, period: Duration) -> Result<(), NotGood> {
    let said = read(paths, invocation).map_err(|error| NotGood::Unasked(plain(&error)))?.unwrap_or_default();
    let bad = |why: String| Err(NotGood::Bad(why));
    match kind {
        ProbeKind::Readiness if said.stopping => bad("it has said STOPPING=1".into()),
        ProbeKind::Readiness if said.ready => Ok(()),
        ProbeKind::Readiness => bad("it has not said READY=1".into()),
        ProbeKind::Liveness => {
            let silent = Duration::from_nanos(sys::monotonic_ns().saturating_sub(said.beat_ns));
            // The period counts from its first message: if another probe decides readiness, it may start slowly.
            if said.beat_ns == 0 || silent <= period {
                Ok(())
            } else {
                bad(format!("it has not said WATCHDOG=1 for more than {} s", period.as_secs_f64()))
            }
        }
    }
}
