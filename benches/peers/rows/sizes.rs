//! So many services that do nothing: how long they take to start, to stop, to come back; what they cost meanwhile.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::millis;
use crate::place::Place;
use crate::processes::{self, Times};
use crate::run::Run;
use crate::service::Service;
use crate::settings::Settings;
use crate::sheet::{Miss, Sheet, Value};
use crate::tools::{Ability, Tool};

/// One run with so many: `start`, `restart` (with one), `stop`, `memory` and `idle` (from 50 on).
pub(crate) fn take(settings: &Settings, tool: &'static dyn Tool, size: usize, long: bool, sheet: &mut Sheet) {
    let many = size >= 50;
    // A tool has to work hard for a thousand; that it takes longer is a result, not a fault.
    let patience = settings.patience.max(Duration::from_millis(120 * size as u64));
    let Ok(place) = Place::new(patience) else { return };
    let supervises = tool.abilities().contains(&Ability::Supervise);
    let mut note = |row: &str, unit: &str, value: Value| {
        if settings.wants(row) {
            sheet.note(&format!("{row} of {size}, {unit}"), tool.name(), value);
        }
    };
    let begun = Service::idle_ones(&place, size).map_err(|_| Miss::Failed);
    let begun = begun.and_then(|services| Run::begin(tool, &place, &services));
    let begun = begun.and_then(|run| place.wait_for("start", size).map(|said| (run, said)));
    let (run, said) = match begun {
        Ok(begun) => begun,
        Err(miss) => return note("start", "ms", Err(miss)),
    };
    let last = said.last().map_or(run.began, |said| said.at);
    note("start", "ms", Ok(millis(last.duration_since(run.began))));

    if size == 1 && settings.wants("restart") {
        note("restart", "ms from its death", restart(&run));
    }
    if many && (settings.wants("memory") || (long && settings.wants("idle"))) {
        if supervises {
            // What begins it may need a while to be done with beginning: some look at all again for a second or two.
            sleep(Duration::from_secs(3));
            if long && settings.wants("idle") {
                note("idle", "ms of CPU a minute", Ok(idle(&run, settings.idle)));
            }
            note("memory", "MiB", Ok(processes::memory(&run.own())));
        } else {
            note("memory", "MiB", Err(Miss::NotApplicable));
        }
    }
    if many && settings.wants("stop") {
        note("stop", "ms", run.stop().map(millis));
    } else {
        // It may tidy up.
        let _ = run.stop();
    }
}

/// Kills the one service, and waits for the next.
fn restart(run: &Run<'_>) -> Value {
    if !run.tool.abilities().contains(&Ability::Restart) {
        return Err(Miss::NotApplicable);
    }
    // What was begun first is waited for to have settled: some tools look a second time.
    sleep(Duration::from_millis(1500));
    let began = Instant::now();
    for said in run.living() {
        let _ = kill(Pid::from_raw(said.pid), Signal::SIGKILL);
    }
    let said = run.place.wait_for("start", 1)?;
    Ok(said.last().map_or(0.0, |said| millis(said.at.saturating_duration_since(began))))
}

/// Processor time of the tool's own processes while nothing happens, told for a minute.
pub(super) fn idle(run: &Run<'_>, span: Duration) -> f64 {
    let began = Instant::now();
    let before = Times::now(&run.own());
    sleep(span);
    let after = Times::now(&run.own());
    before.used_until(&after) * 60.0 / began.elapsed().as_secs_f64()
}
