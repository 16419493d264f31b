//! What a supervisor finds when it begins: shims that live, and records of what ended.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use core_engine::InstanceId;
use core_engine::event::{Found, Life};
use core_engine::exit::Exit;
use core_shim::guard;
use core_shim::place::Place;
use core_shim::record::{Ended, Invocation};
use core_shim::wire::{Report, Request};

use super::line::Line;
use super::{Note, Shims, exit_of, life_of};
use crate::descriptors;
use crate::paths::Paths;

/// How long a shim may take to say who it is. It has nothing else to do.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);

/// A shim that answered.
struct Answer {
    line: Rc<Line>,
    number: u32,
    note: String,
    life: Life,
    sockets: Vec<(String, OwnedFd)>,
    /// What it said before it had handed them out.
    early: Vec<Report>,
}

/// Looks at every run folder of the stack, and takes in the lines to shims that live.
pub async fn find(paths: &Paths, shims: &mut Shims) -> Vec<Found> {
    let entries = fs::read_dir(&paths.run).into_iter().flatten().flatten();
    let mut names: Vec<InstanceId> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    names.sort();
    // All at once: each answers by itself.
    let asked: Vec<_> = names
        .iter()
        .map(|instance| {
            let place = Place::new(&paths.run, &instance.to_string());
            tokio::task::spawn_local(
                async move { tokio::time::timeout(HELLO_PATIENCE, ask(&place)).await.ok().flatten() },
            )
        })
        .collect();
    let mut all = Vec::new();
    for (instance, asked) in names.into_iter().zip(asked) {
        match asked.await.ok().flatten() {
            Some(answer) => {
                let note: Note = serde_json::from_str(&answer.note).unwrap_or_default();
                all.push(found(&instance, answer.number, note, answer.life));
                shims.attach(instance, answer.line, answer.sockets, answer.early);
            }
            None => all.extend(recorded(paths, &instance)),
        }
    }
    all
}

async fn ask(place: &Place) -> Option<Answer> {
    let line = descriptors::with_reserve(|| Line::connect(&place.socket())).ok()?;
    let mut fds = VecDeque::new();
    let Ok(Report::Hello { number, note, life, sockets: names, .. }) = line.next(&mut fds).await else { return None };
    let (mut sockets, mut early) = (Vec::new(), Vec::new());
    if !names.is_empty() {
        line.send(Request::Sockets.encode(), Vec::new());
        // Its service may end just now; that is said first, and told once only.
        while let Ok(report) = line.next(&mut fds).await {
            if let Report::Sockets { names } = report {
                sockets = names.into_iter().zip(fds).collect();
                break;
            }
            early.push(report);
        }
    }
    Some(Answer { line, number, note, life: life_of(life, number), sockets, early })
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

/// What the records say of an instance without a shim.
fn recorded(paths: &Paths, instance: &InstanceId) -> Option<Found> {
    let place = Place::new(&paths.run, &instance.to_string());
    let Ok(record) = Invocation::read(&place.invocation()) else {
        // Nothing was ever begun in it, or its record is lost. Where something holds the lock, the instance counts as
        // there: whoever would start it is refused by that lock, and says so.
        let is_free = guard::open_lock(&place).is_ok_and(|lock| guard::try_lock(&lock).unwrap_or(false));
        if is_free {
            let _ = fs::remove_dir_all(place.folder());
            return None;
        }
        return Some(found(instance, 1, Note::default(), Life::Unattended));
    };
    let ended = Ended::read(&place.exit()).ok().filter(|ended| ended.number == record.number);
    let note: Note = serde_json::from_str(&record.note).unwrap_or_default();
    let life = match ended {
        Some(ended) if !ended.leftovers => Life::Recorded { exit: exit_of(ended.status) },
        _ if guard::is_alive(&record) || !guard::marked(&record.mark).is_empty() => Life::Unattended,
        Some(ended) => Life::Recorded { exit: exit_of(ended.status) },
        None => Life::Recorded { exit: Exit::Unknown },
    };
    Some(found(instance, record.number, note, life))
}
