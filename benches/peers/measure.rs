//! What is measured.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::place::Place;
use crate::tool::{Running, Tool};

/// Starts the tool with its services, and waits for the last of them.
pub(crate) fn start(tool: Tool, place: &Place) -> (Running, Duration) {
    tool.prepare(place);
    let began = Instant::now();
    let mut running = tool.start(place);
    running.services = place.wait_for(place.count);
    (running, began.elapsed())
}

/// Kills the one service, and waits for the next.
pub(crate) fn crash_to_restarted(place: &Place) -> Duration {
    // Whoever has begun first is waited for to have settled: some tools look a second time.
    std::thread::sleep(Duration::from_millis(1500));
    let pids = service_pids(place);
    let began = Instant::now();
    for pid in pids {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    place.wait_for(1);
    began.elapsed()
}

/// The processes that hold the pipe of a place.
fn service_pids(place: &Place) -> Vec<i32> {
    let held = place.path("held");
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| fs::read_link(format!("/proc/{pid}/fd/9")).is_ok_and(|path| path == held)).collect()
}

/// Proportional set size of everything below the tool that is no service, in MiB.
pub(crate) fn memory(running: &Running) -> f64 {
    let mut kib = 0;
    for pid in running.own_processes() {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        kib += line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    }
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
