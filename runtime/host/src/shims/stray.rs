//! What remains of an instance without a connection: a shim that does not answer, and processes without a shim.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use core_engine::InstanceId;
use core_shim::handle::Handle;
use core_shim::place::Place;
use core_shim::record::Invocation;
use core_shim::{cgroup, guard, sys, tree};
use nix::libc;

use crate::ended;
use crate::keeper::Keeper;
use crate::paths::Paths;

/// How long a dying shim may take to exit.
const DYING: Duration = Duration::from_millis(500);
/// The pause between two looks at a dying shim.
const LOOK_AT_DYING: Duration = Duration::from_millis(2);
/// The pause before looking again for newly forked processes.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A handle on the shim of an instance, found by the lock that it holds; or by its known PID, since the first releases
/// had no lock; or by its name among the children of our keeper.
fn shim_of(run: &Path, instance: &InstanceId, known: Option<u32>) -> Option<Handle> {
    let name = instance.to_string();
    let place = Place::new(run, &name);
    let text = fs::read_to_string(place.shim_lock()).unwrap_or_default();
    let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
    let locked = field("pid").and_then(|pid| u32::try_from(pid).ok()).and_then(|pid| {
        let handle = Handle::of(pid)?;
        let stat = sys::Stat::of(pid)?;
        (Some(stat.start_ticks) == field("start_ticks") && stat.state != b'Z').then_some(handle)
    });
    let by_number = |pid: u32| {
        let handle = Handle::of(pid)?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let title = line.split(|byte| *byte == 0).next().unwrap_or_default();
        // A shim that was just forked still has the name of its keeper.
        let is_it = title == format!("core-shim {name}").as_bytes() || title == core_shim::NAME.as_bytes();
        is_it.then_some(handle)
    };
    locked.or_else(|| known.and_then(by_number)).or_else(|| {
        // Other stacks have instances of the same names, so only children of our keeper are considered.
        let keeper = nix::unistd::getppid().as_raw().unsigned_abs();
        Keeper::read(run).filter(|ours| ours.pid == keeper)?;
        let titled = |pid: &u32| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with(format!("core-shim {name}\0").as_bytes()))
        };
        tree::descendants(keeper).into_iter().find(titled).and_then(by_number)
    })
}

/// Whether an instance has a living shim although its socket does not answer. A dying shim gets time to exit.
pub(super) async fn shim_lives(run: &Path, instance: &InstanceId, known: Option<u32>) -> bool {
    let Some(handle) = shim_of(run, instance, known) else { return false };
    let until = tokio::time::Instant::now() + DYING;
    while handle.lives() && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK_AT_DYING).await;
    }
    handle.lives()
}

/// Kills the shim of an instance. Its processes keep running.
pub(crate) fn kill_shim(run: &Path, instance: &InstanceId, known: Option<u32>) {
    if let Some(handle) = shim_of(run, instance, known) {
        tracing::warn!(%instance, "its shim does not answer and is killed");
        let _ = handle.send(libc::SIGKILL);
    }
}

/// The cgroup of an instance, if its keeper made one.
fn cgroup_of(paths: &Paths, instance: &str) -> Option<PathBuf> {
    let recorded = Keeper::read(&paths.run).and_then(|keeper| keeper.cgroup);
    let base = recorded.or_else(|| cgroup::base().map(|base| base.join(paths.cgroup())))?;
    Some(base.join(instance)).filter(|folder| folder.is_dir())
}

/// Kills all processes of an instance without its shim, for up to `patience`. With `number`, stops if the instance has
/// another invocation by now. Returns whether nothing is left.
pub(crate) fn kill(paths: &Paths, instance: &str, number: Option<u32>, patience: Duration) -> bool {
    let place = Place::new(&paths.run, instance);
    let cgroup = cgroup_of(paths, instance);
    let until = Instant::now() + patience;
    loop {
        if number.is_some_and(|number| is_another(&place, number)) {
            return false;
        }
        let survivors = guard::survivors(&place, cgroup.as_deref());
        if survivors.is_empty() && !guard::is_held(&place) {
            return true;
        }
        // Not while a shim is alive, which must know that it was core that killed.
        if let Some(cgroup) = cgroup.as_ref().filter(|_| !guard::is_held_at(&place.shim_lock())) {
            let _ = fs::write(cgroup.join("cgroup.kill"), "1");
        }
        // Look again after opening the handles, so that no reused PID is killed.
        let handles: Vec<(u32, Handle)> =
            survivors.into_iter().filter_map(|pid| Some((pid, Handle::of(pid)?))).collect();
        let still = guard::survivors(&place, cgroup.as_deref());
        if number.is_some_and(|number| is_another(&place, number)) {
            return false;
        }
        for (_, handle) in handles.iter().filter(|(pid, _)| still.contains(pid)) {
            let _ = handle.send(libc::SIGKILL);
        }
        if Instant::now() > until {
            return false;
        }
        // The handles report exits; processes known only by the lock are seen at the next look.
        ended::any_within(&handles.iter().map(|(_, handle)| handle).collect::<Vec<_>>(), LOOK_AGAIN);
    }
}

/// Whether the record is about another invocation by now.
fn is_another(place: &Place, number: u32) -> bool {
    Invocation::read(&place.invocation()).is_ok_and(|record| record.number != number)
}

/// Removes the run folder of an instance, unless a living process holds its lock. Returns whether it was removed.
pub(crate) fn take_away(folder: &Path) -> bool {
    let (Some(run), Some(name)) = (folder.parent(), folder.file_name()) else { return false };
    let place = Place::new(run, &name.to_string_lossy());
    if guard::is_held(&place) {
        tracing::warn!("{} is kept: a process that was started there lives", folder.display());
        return false;
    }
    place.remove();
    true
}
