//! KILL to the supervisor, and to all of the tool's own processes, over ten quiet services and one that writes a line
//! each millisecond; then the tool is begun again. Who lived through it, of whom there are two now, which lines are
//! nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::count;
use crate::lines::Found;
use crate::place::Place;
use crate::run::Run;
use crate::service::Service;
use crate::settings::Settings;
use crate::sheet::{Miss, Sheet};
use crate::tools::{Ability, Tool};

const QUIET_ONES: usize = 10;
/// How long the tool is gone, and how long it is left alone at either end.
const WHILE: Duration = Duration::from_secs(2);
/// How long a tool that was begun again may take to come to rest.
const REST: Duration = Duration::from_secs(5);

/// How long a tool may take to begin and to end eleven services.
const STOP: Duration = Duration::from_secs(15);

/// Both kills.
pub(crate) fn take(settings: &Settings, tool: &'static dyn Tool, sheet: &mut Sheet) {
    for (words, all) in [("supervisor", false), ("whole tool", true)] {
        let units = [
            format!("kill of {words}: alive before it is begun again, of {}", QUIET_ONES + 1),
            format!("kill of {words}: alive after, same process, of {}", QUIET_ONES + 1),
            format!("kill of {words}: twins"),
            format!("kill of {words}: services missing"),
            format!("kill of {words}: lines lost"),
        ];
        let values = if tool.abilities().contains(&Ability::Supervise) {
            killed(settings, tool, all)
        } else {
            Err(Miss::NotApplicable)
        };
        for (index, row) in units.iter().enumerate() {
            sheet.note(row, tool.name(), values.and_then(|values| values[index].ok_or(Miss::NotApplicable)));
        }
    }
}

fn killed(settings: &Settings, tool: &'static dyn Tool, all: bool) -> Result<[Option<f64>; 5], Miss> {
    // Whoever outlives its tool does not end with it either; that is not waited for long.
    let place = Place::new(settings.patience.min(STOP)).map_err(|_| Miss::Failed)?;
    let mut services = Service::idle_ones(&place, QUIET_ONES).map_err(|_| Miss::Failed)?;
    let mut chatty = Service::acting(&place, "chatty", "chat").map_err(|_| Miss::Failed)?;
    chatty.logged = true;
    services.push(chatty);
    let mut run = Run::begin(tool, &place, &services)?;
    let first = place.wait_for("start", services.len())?;
    sleep(WHILE);
    let first: BTreeSet<i32> = first.iter().map(|said| said.pid).collect();

    if all {
        run.kill_own();
    } else {
        let supervisor = tool.supervisor(run.main, &run.own());
        kill(Pid::from_raw(supervisor), Signal::SIGKILL).map_err(|_| Miss::Failed)?;
    }
    sleep(WHILE);
    let same = |run: &Run<'_>| run.living().iter().filter(|said| first.contains(&said.pid)).count();
    let between = same(&run);
    run.begin_again(&services)?;
    // It is given a while to see what there is and to begin what is not.
    let deadline = Instant::now() + REST * 2;
    while names(&run).len() < services.len() && Instant::now() < deadline {
        sleep(Duration::from_millis(20));
    }
    sleep(REST);
    let after = same(&run);
    let names = names(&run);
    let twins: usize = names.values().map(|number| number - 1).sum();
    let missing = services.len() - names.len();

    // What still writes must have ended before its lines are counted.
    let _ = run.stop();
    for said in run.living() {
        let _ = kill(Pid::from_raw(said.pid), Signal::SIGTERM);
    }
    sleep(Duration::from_secs(1));
    let lost = if tool.abilities().contains(&Ability::Log) { Some(lines_lost(&run)?) } else { None };
    Ok([Some(count(between)), Some(count(after)), Some(count(twins)), Some(count(missing)), lost])
}

/// How many live, by name.
fn names(run: &Run<'_>) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for said in run.living() {
        *names.entry(said.name).or_default() += 1;
    }
    names
}

/// Lines that were written, as those say who wrote them, and are in no file.
#[allow(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
fn lines_lost(run: &Run<'_>) -> Result<f64, Miss> {
    let found = Found::read(&run.tool.log_files(run.place, "chatty")).map_err(|_| Miss::Failed)?;
    let (mut lost, mut there) = (0, 0);
    for said in run.place.heard().iter().filter(|said| said.what == "start" && said.name == "chatty") {
        let text = std::fs::read_to_string(run.place.path(&format!("wrote.{}", said.pid))).unwrap_or_default();
        let written: u64 = text.trim().parse().unwrap_or(0);
        let found = found.of(u64::from(said.pid.unsigned_abs()));
        there += found;
        lost += written.saturating_sub(found);
    }
    if there == 0 {
        // Not one: then it was looked for in the wrong place.
        return Err(Miss::Failed);
    }
    Ok(lost as f64)
}
