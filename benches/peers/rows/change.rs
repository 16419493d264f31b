//! One of many services is edited: how long until its new process has run its first line, and how many others were
//! begun anew for it.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{count, millis};
use crate::place::Place;
use crate::run::Run;
use crate::service::Service;
use crate::settings::Settings;
use crate::sheet::{Miss, Sheet};
use crate::tools::{Ability, Tool};

/// The time, and the number of processes that are others than before.
pub(crate) fn take(settings: &Settings, tool: &'static dyn Tool, sheet: &mut Sheet) {
    let values =
        if tool.abilities().contains(&Ability::Apply) { change(settings, tool) } else { Err(Miss::NotApplicable) };
    let many = settings.many;
    sheet.note(&format!("change of one of {many}, ms to the new process"), tool.name(), values.map(|values| values.0));
    sheet.note(&format!("change of one of {many}: processes replaced"), tool.name(), values.map(|values| values.1));
}

fn change(settings: &Settings, tool: &'static dyn Tool) -> Result<(f64, f64), Miss> {
    let place = Place::new(settings.patience).map_err(|_| Miss::Failed)?;
    let mut services = Service::idle_ones(&place, settings.many).map_err(|_| Miss::Failed)?;
    let run = Run::begin(tool, &place, &services)?;
    place.wait_for("start", services.len())?;
    sleep(Duration::from_millis(1500));
    let before: BTreeSet<i32> = run.living().iter().map(|said| said.pid).collect();
    let edited = services.len() / 2;
    services[edited].mark += 1;
    let began = Instant::now();
    tool.prepare(&place, &services).map_err(|_| Miss::Failed)?;
    tool.apply(&place).map_err(|_| Miss::Failed)?;
    let changed = loop {
        // Others may be begun anew before it.
        let said = place.wait_for("start", 1)?;
        if let Some(said) = said.iter().find(|said| said.name == services[edited].name) {
            break said.at;
        }
    };
    sleep(Duration::from_secs(3));
    let after: BTreeSet<i32> = run.living().iter().map(|said| said.pid).collect();
    let replaced = before.difference(&after).count();
    let _ = run.stop();
    Ok((millis(changed.saturating_duration_since(began)), count(replaced)))
}
