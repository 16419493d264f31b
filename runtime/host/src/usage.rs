//! CPU time and memory of each instance's process tree, read on request in one pass over `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use core_engine::InstanceId;
use core_shim::sys::Stat;

/// The resource usage of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time of its living processes since their start, in seconds.
    pub cpu_seconds: f64,
    /// CPU time since an earlier reading at least a second ago, or since its start, in percent of one CPU.
    pub cpu_percent: f64,
    /// Resident memory of all its processes, in bytes.
    pub memory_bytes: u64,
}

/// The minimum age of a sample from which rates are computed.
const WINDOW: Duration = Duration::from_secs(1);

/// Earlier samples of process trees, for rates. A reading does not change what the next reading within the window gets.
#[derive(Default)]
pub struct Counters {
    samples: HashMap<(InstanceId, u32), Samples>,
}

/// The CPU time of a tree at two moments, in clock ticks.
#[derive(Clone, Copy)]
struct Samples {
    /// The sample from which rates are computed.
    older: (Instant, u64),
    /// Replaces `older` once it is old enough.
    newer: (Instant, u64),
}

/// The process tree of an instance.
pub struct Tree {
    /// The instance that it belongs to.
    pub instance: InstanceId,
    /// PID of its shim.
    pub shim: u32,
    /// PID of its first process.
    pub leader: u32,
}

impl Counters {
    /// Reads the resource usage of these trees.
    pub fn read(&mut self, trees: &[Tree]) -> HashMap<InstanceId, Usage> {
        let now = Instant::now();
        let ticks_per_second = f64::from(
            u32::try_from(nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100))
                .unwrap_or(100),
        );
        let page =
            u64::try_from(nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096))
                .unwrap_or(4096);
        let processes = Processes::read();
        let mut all = HashMap::new();
        let mut seen = HashMap::new();
        for tree in trees {
            let (ticks, pages) = processes.sum_below(tree);
            let key = (tree.instance.clone(), tree.leader);
            let sample = (now, ticks);
            let samples = match self.samples.get(&key) {
                Some(before) if now.duration_since(before.newer.0) >= WINDOW => {
                    Samples { older: before.newer, newer: sample }
                }
                Some(before) => *before,
                None => {
                    let age = Duration::from_secs_f64(processes.age_of(tree.leader, ticks_per_second));
                    Samples { older: (now.checked_sub(age).unwrap_or(now), 0), newer: sample }
                }
            };
            let seconds = |ticks: u64| f64::from(u32::try_from(ticks).unwrap_or(u32::MAX)) / ticks_per_second;
            let since = now.duration_since(samples.older.0).as_secs_f64();
            let used = seconds(ticks.saturating_sub(samples.older.1));
            let cpu_percent = if since > 0.0 { 100.0 * used / since } else { 0.0 };
            let usage = Usage { cpu_seconds: seconds(ticks), cpu_percent, memory_bytes: pages * page };
            all.insert(tree.instance.clone(), usage);
            seen.insert(key, samples);
        }
        self.samples = seen;
        all
    }
}

/// All processes of the host, by parent.
struct Processes {
    children: HashMap<u32, Vec<u32>>,
    stats: HashMap<u32, Stat>,
}

impl Processes {
    fn read() -> Self {
        let mut all = Self { children: HashMap::new(), stats: HashMap::new() };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            if let Some(stat) = Stat::of(pid) {
                all.children.entry(stat.parent).or_default().push(pid);
                all.stats.insert(pid, stat);
            }
        }
        all
    }

    /// Clock ticks and resident pages of a whole tree. A process that a shim took over is not its descendant.
    fn sum_below(&self, tree: &Tree) -> (u64, u64) {
        let mut open: Vec<u32> = self.children.get(&tree.shim).cloned().unwrap_or_default();
        if self.stats.get(&tree.leader).is_some_and(|leader| leader.parent != tree.shim) && open.is_empty() {
            open.push(tree.leader);
        }
        let (mut ticks, mut pages) = (0, 0);
        while let Some(pid) = open.pop() {
            if let Some(stat) = self.stats.get(&pid) {
                ticks += stat.user_ticks + stat.system_ticks;
                pages += stat.resident_pages;
            }
            open.extend(self.children.get(&pid).into_iter().flatten());
        }
        (ticks, pages)
    }

    /// Seconds since a process was started.
    fn age_of(&self, pid: u32, ticks_per_second: f64) -> f64 {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let uptime: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
        self.stats.get(&pid).map_or(0.0, |stat| {
            let started = f64::from(u32::try_from(stat.start_ticks).unwrap_or(u32::MAX)) / ticks_per_second;
            (uptime - started).max(0.01)
        })
    }
}
