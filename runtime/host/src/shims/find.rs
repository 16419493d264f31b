//! What a new supervisor finds: living shims, and records of what has ended.

use std::time::Duration;

use core_engine::InstanceId;
use core_engine::event::{Found, Life};
use core_engine::exit::Exit;
use core_shim::guard;
use core_shim::place::Place;
use core_shim::record::{Ended, Invocation};
use tokio::sync::oneshot;

use super::listen::Introduction;
use super::{Note, Shims, exit_of, stray};
use crate::paths::Paths;

/// How long all shims together may take to report their state. The loop waits for later ones while it runs.
const PATIENCE: Duration = Duration::from_millis(300);

/// Examines every run folder of the stack, and connects to living shims.
pub async fn find(paths: &Paths, shims: &mut Shims) -> Vec<Found> {
    let names = crate::run_folder::instances(&paths.run);
    // All in parallel, since the shims answer independently.
    let asked: Vec<_> = names
        .iter()
        .map(|instance| {
            let (first, answer) = oneshot::channel();
            (shims.open(instance, 0, Some(first)).is_ok(), answer)
        })
        .collect();
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut all = Vec::new();
    for (instance, (is_there, answer)) in names.into_iter().zip(asked) {
        let answer = if is_there { tokio::time::timeout_at(until, answer).await.ok() } else { None };
        all.extend(match answer {
            Some(Ok(introduction)) => Some(introduced(&instance, introduction)),
            // The shim exists but does not answer; or it exited meanwhile.
            None | Some(Err(_)) => recorded(paths, shims, &instance, is_there),
        });
    }
    all
}

fn introduced(instance: &InstanceId, introduction: Introduction) -> Found {
    let note: Note = serde_json::from_str(&introduction.note).unwrap_or_default();
    found(instance, introduction.number, note, introduction.life)
}

fn found(instance: &InstanceId, invocation: u32, note: Note, life: Life) -> Found {
    Found {
        instance: instance.clone(),
        invocation,
        ports: note.ports,
        restarts: note.restarts,
        failures: note.failures,
        life,
    }
}

/// The recorded state of an instance whose shim did not report. If it has a shim, the records do not decide.
fn recorded(paths: &Paths, shims: &Shims, instance: &InstanceId, has_shim: bool) -> Option<Found> {
    let place = Place::new(&paths.run, &instance.to_string());
    let Ok(record) = Invocation::read(&place.invocation()) else {
        // Nothing was ever started in it, or its record is lost. If a process holds the lock, the instance counts as
        // existing: the shim that takes over finds out what it is.
        if !has_shim && !guard::is_held(&place) && stray::take_away(place.folder()) {
            return None;
        }
        return Some(found(instance, 1, Note::default(), Life::Unattended));
    };
    if guard::is_alive(&record) {
        shims.leaders.borrow_mut().found(instance, &Life::Running { pid: record.pid });
    }
    let ended = Ended::read(&place.exit()).ok().filter(|ended| ended.number == record.number);
    let note: Note = serde_json::from_str(&record.note).unwrap_or_default();
    let life = match ended {
        _ if has_shim => Life::Unattended,
        Some(ended) if !ended.leftovers => Life::Recorded { exit: exit_of(ended.status) },
        // Only another shim can find out how it ended: the keeper may have seen it.
        None if record.boot == core_shim::sys::boot_id() => Life::Unattended,
        Some(_) if !guard::survivors(&place, None).is_empty() => Life::Unattended,
        Some(ended) => Life::Recorded { exit: exit_of(ended.status) },
        None => Life::Recorded { exit: Exit::Unknown },
    };
    Some(found(instance, record.number, note, life))
}
