//! Processes as `/proc` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Everything below a process that has not ended, without what is below one of `without`.
pub(crate) fn below_without(root: i32, without: &BTreeSet<i32>) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Some(fields) = stat(pid) else { continue };
        // An ended one is kept as a parent of none: its children are already somebody else's.
        let (Some(state), Some(parent)) = (fields.first(), fields.get(1).and_then(|text| text.parse().ok())) else {
            continue;
        };
        if state != "Z" && state != "X" {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = Vec::new();
    let mut open: Vec<i32> = children.get(&root).cloned().unwrap_or_default();
    while let Some(pid) = open.pop() {
        if !without.contains(&pid) {
            all.push(pid);
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    all
}

/// Everything below a process that has not ended.
pub(crate) fn below(root: i32) -> Vec<i32> {
    below_without(root, &BTreeSet::new())
}

/// Whether it runs: a zombie does not.
pub(crate) fn lives(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z" && state != "X"))
}

/// Its command line, words parted by spaces.
pub(crate) fn command_line(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

/// The fields of `stat` from the state on.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split_whitespace().map(str::to_owned).collect())
}

/// Proportional set size of all of them, in MiB.
pub(crate) fn memory(pids: &[i32]) -> f64 {
    let kib: f64 = pids
        .iter()
        .filter_map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            text.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse::<f64>().ok()
        })
        .sum();
    kib / 1024.0
}

/// Processor time of one, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Time {
    /// Of the threads it has, to the nanosecond.
    fine: f64,
    /// Of all it ever had and of its children that were waited for, in ticks.
    coarse: f64,
}

/// Processor time of several, at one moment.
pub(crate) struct Times(BTreeMap<i32, Time>);

impl Times {
    /// As it is now.
    pub(crate) fn now(pids: &[i32]) -> Self {
        Self(pids.iter().map(|pid| (*pid, time(*pid))).collect())
    }

    /// What was used from then until now, in milliseconds. One that began in between counts in full.
    ///
    /// Per process the larger of two: what its threads used (fine, but without those that ended), and what the kernel
    /// counts in ticks (with those, and with children that have come and gone).
    pub(crate) fn used_until(&self, later: &Self) -> f64 {
        let used = later.0.iter().map(|(pid, now)| {
            let then = self.0.get(pid).copied().unwrap_or_default();
            (now.fine - then.fine).max(now.coarse - then.coarse).max(0.0)
        });
        used.sum()
    }
}

fn time(pid: i32) -> Time {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let fine = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    let fields = stat(pid).unwrap_or_default();
    // User, system, and both of the children.
    let ticks: f64 = fields.iter().skip(11).take(4).filter_map(|text| text.parse::<f64>().ok()).sum();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    #[allow(clippy::cast_precision_loss, reason = "a hundred")]
    Time { fine: fine.sum::<f64>() / 1e6, coarse: ticks * 1000.0 / per_second as f64 }
}
