//! Many services, each asked over HTTP every ten seconds: what the asking costs. The answers are this program's, so that
//! the services cost nothing.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::count;
use super::sizes::idle;
use crate::acting;
use crate::place::Place;
use crate::processes;
use crate::run::Run;
use crate::service::{Ready, Service};
use crate::settings::Settings;
use crate::sheet::{Miss, Sheet};
use crate::tools::{Ability, Tool};

const PERIOD: u32 = 10;

/// Processor time, memory, and how many questions there were.
pub(crate) fn take(settings: &Settings, tool: &'static dyn Tool, sheet: &mut Sheet) {
    let rows = ["ms of CPU a minute", "MiB", "questions a minute"]
        .map(|unit| format!("probes of {}, each every {PERIOD} s: {unit}", settings.many));
    let values =
        if tool.abilities().contains(&Ability::Probe) { probes(settings, tool) } else { Err(Miss::NotApplicable) };
    for (index, row) in rows.iter().enumerate() {
        sheet.note(row, tool.name(), values.map(|values| values[index]));
    }
}

fn probes(settings: &Settings, tool: &'static dyn Tool) -> Result<[f64; 3], Miss> {
    let place = Place::new(settings.patience).map_err(|_| Miss::Failed)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|_| Miss::Failed)?;
    let port = listener.local_addr().map_err(|_| Miss::Failed)?.port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    // Ends with this program; until then it answers nobody.
    std::thread::spawn(move || {
        let _ = acting::serve(&listener, || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
    });
    let mut services = Service::idle_ones(&place, settings.many).map_err(|_| Miss::Failed)?;
    for service in &mut services {
        service.ready = Ready::Answers(port, PERIOD);
    }
    let run = Run::begin(tool, &place, &services)?;
    place.wait_for("start", settings.many)?;
    // Until all have been asked once.
    sleep(Duration::from_secs(u64::from(PERIOD) + 2));
    let before = asked.load(Ordering::Relaxed);
    let used = idle(&run, settings.idle);
    let questions = count(asked.load(Ordering::Relaxed) - before) * 60.0 / settings.idle.as_secs_f64();
    let memory = processes::memory(&run.own());
    let _ = run.stop();
    Ok([used, memory, questions])
}
