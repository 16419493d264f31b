//! One service that writes as fast as its pipe takes it, in lines of a hundred bytes: how much arrives in files in a
//! second, and how many lines do not arrive at all.

use std::time::{Duration, Instant};

use crate::lines::{Found, LENGTH};
use crate::place::Place;
use crate::run::Run;
use crate::service::Service;
use crate::settings::Settings;
use crate::sheet::{Miss, Sheet};
use crate::tools::{Ability, Tool};

/// How long nothing must have arrived before the rest counts as lost.
const QUIET: Duration = Duration::from_secs(2);

/// Blocks of a line, of 4 KiB and of 64 KiB.
pub(crate) fn take(settings: &Settings, tool: &'static dyn Tool, sheet: &mut Sheet) {
    for (words, block) in [("lines", LENGTH), ("4 KiB", 4096), ("64 KiB", 65536)] {
        let values = if tool.abilities().contains(&Ability::Log) {
            write(settings, tool, block)
        } else {
            Err(Miss::NotApplicable)
        };
        sheet.note(&format!("logs in {words}, MB/s"), tool.name(), values.map(|values| values.0));
        sheet.note(&format!("logs in {words}: lines lost"), tool.name(), values.map(|values| values.1));
    }
}

/// Megabytes a second, lines lost.
#[allow(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
fn write(settings: &Settings, tool: &'static dyn Tool, block: usize) -> Result<(f64, f64), Miss> {
    // Ten megabytes a second is what the slowest must do.
    let patience = settings.patience + Duration::from_secs(settings.log_bytes / 10_000_000);
    let place = Place::new(patience).map_err(|_| Miss::Failed)?;
    let bytes = settings.log_bytes;
    let mut service = Service::acting(&place, "writer", &format!("write {bytes} {block}")).map_err(|_| Miss::Failed)?;
    service.logged = true;
    let run = Run::begin(tool, &place, std::slice::from_ref(&service))?;
    let began = place.wait_for("start", 1)?.last().map_or(run.began, |said| said.at);
    place.wait_for("written", 1)?;
    let deadline = Instant::now() + patience;
    let (mut size, mut arrived) = (0, Instant::now());
    while arrived.elapsed() < QUIET && Instant::now() < deadline {
        let files = tool.log_files(&place, "writer");
        let now: u64 = files.iter().filter_map(|path| path.metadata().ok()).map(|about| about.len()).sum();
        if now != size {
            (size, arrived) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // What a tool holds back until its end is not lost.
    let _ = run.stop();
    let found = Found::read(&tool.log_files(&place, "writer")).map_err(|_| Miss::Failed)?.of(1);
    let written = bytes / LENGTH as u64;
    if found == 0 {
        return Err(Miss::Failed);
    }
    let seconds = arrived.duration_since(began).as_secs_f64();
    Ok(((found * LENGTH as u64) as f64 / 1e6 / seconds, written.saturating_sub(found) as f64))
}
