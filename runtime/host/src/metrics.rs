//! Processor time and memory of each instance's whole tree, read when somebody asks: in one pass over `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use core_engine::InstanceId;
use core_shim::sys::Stat;

/// What an instance uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Share of one processor since the last question, or since its start, in percent.
    pub cpu_percent: f64,
    /// Resident memory of all its processes, in bytes.
    pub memory_bytes: u64,
}

/// Remembers the last answer, for rates.
#[derive(Default)]
pub struct Metrics {
    last: HashMap<(InstanceId, u32), (Instant, u64)>,
}

/// One tree that is asked about.
pub struct Tree {
    /// The instance.
    pub instance: InstanceId,
    /// Its shim.
    pub shim: u32,
    /// Its first process.
    pub leader: u32,
}

impl Metrics {
    /// What these instances use.
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
            let (since, before) = match self.last.get(&key) {
                Some((at, before)) => (now.duration_since(*at).as_secs_f64(), *before),
                None => (processes.age_of(tree.leader, ticks_per_second), 0),
            };
            let used = f64::from(u32::try_from(ticks.saturating_sub(before)).unwrap_or(u32::MAX)) / ticks_per_second;
            let cpu_percent = if since > 0.0 { 100.0 * used / since } else { 0.0 };
            all.insert(tree.instance.clone(), Usage { cpu_percent, memory_bytes: pages * page });
            // Questions that follow close upon each other would only measure the clock's grain.
            let keep = self.last.get(&key).copied().filter(|_| since < 0.5);
            seen.insert(key, keep.unwrap_or((now, ticks)));
        }
        self.last = seen;
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

    /// Clock ticks and resident pages of a whole tree. What a shim took over does not descend from it.
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
