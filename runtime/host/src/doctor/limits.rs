//! Limits of the host: open files, watches, process numbers, ports.

use std::fs;
use std::ops::RangeInclusive;

use core_engine::topology::PortRange;
use nix::sys::resource::{Resource, getrlimit};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::Finding;
use crate::machine;

/// With a lower limit, warn: each service costs the supervisor a few open files, and services inherit the limit.
const FEW_FILES: u64 = 1024;
/// With a lower limit, warn: each watch is one folder.
const FEW_WATCHES: u64 = 8192;
/// The memory that a build of a small app takes, in bytes.
const LITTLE_MEMORY: u64 = 512 << 20;
/// The default of Linux on small machines.
const FEW_PIDS: u64 = 32_768;

pub(super) fn open_files() -> Finding {
    let name = "open-files";
    let without = "many services at once, or one with many connections, run out of them";
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Finding::weaker(name, "the limit cannot be read", without);
    };
    let found = format!("{soft}, and up to {hard} where a service asks for it (nofile)");
    if soft < FEW_FILES { Finding::weaker(name, found, without) } else { Finding::ok(name, found) }
}

pub(super) fn inotify() -> Finding {
    let name = "inotify";
    let without = "edits are looked for once a second where no watch can be had; `core apply` always reads everything";
    if let Err(error) = try_watch() {
        return Finding::missing(name, error, without);
    }
    match number("/proc/sys/fs/inotify/max_user_watches") {
        Some(watches) if watches < FEW_WATCHES => Finding::weaker(name, format!("{watches} watches"), without),
        Some(watches) => Finding::ok(name, format!("{watches} watches")),
        None => Finding::weaker(name, "how many watches there may be cannot be read", without),
    }
}

/// Tries to watch a folder as for edits.
fn try_watch() -> Result<(), String> {
    let said = |call: &'static str| move |error: rustix::io::Errno| format!("{call}: {error}");
    let events = inotify::init(CreateFlags::CLOEXEC).map_err(said("inotify_init1"))?;
    inotify::add_watch(&events, "/", WatchFlags::CREATE | WatchFlags::ONLYDIR).map_err(said("inotify_add_watch"))?;
    Ok(())
}

/// CPUs, memory and load of the host.
pub(super) fn machine() -> Finding {
    let name = "host";
    let machine = match machine::look(&[]) {
        Ok(machine) => machine,
        Err(error) => return Finding::weaker(name, error.to_string(), "builds do not know how much they may take"),
    };
    let mib = |bytes: u64| bytes >> 20;
    let [load, ..] = machine.load;
    let found = format!(
        "{} processors, load {load:.1}; memory {} MiB, available {} MiB; swap {} MiB, in use {} MiB",
        machine.cpus,
        mib(machine.memory_bytes),
        mib(machine.memory_available_bytes),
        mib(machine.swap_bytes),
        mib(machine.swap_used_bytes)
    );
    if machine.memory_available_bytes < LITTLE_MEMORY {
        return Finding::weaker(name, found, "a build, or one service more, may be killed by the kernel");
    }
    Finding::ok(name, found)
}

pub(super) fn pids() -> Finding {
    let name = "pids";
    let without = "process numbers come round sooner; what is told apart by handle is not confused by it";
    match number("/proc/sys/kernel/pid_max") {
        Some(most) if most < FEW_PIDS => Finding::weaker(name, format!("{most} process numbers"), without),
        Some(most) => Finding::ok(name, format!("{most} process numbers")),
        None => Finding::weaker(name, "their number cannot be read", without),
    }
}

/// The kernel's range of ports for outgoing connections, compared with the range that core gives to services.
pub(super) fn ports(range: &PortRange) -> Finding {
    let name = "ports";
    let ours = range.all();
    let kernels = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let Some(kernels) = kernels.as_deref().and_then(parse_range) else {
        return Finding::weaker(name, "the kernel's own range cannot be read", "a clash with it is not foreseen");
    };
    let reserved = fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    let found = format!("auto {}-{}, outgoing {}-{}", ours.start(), ours.end(), kernels.start(), kernels.end());
    match clashes(&ours, &kernels, &parse_list(&reserved)) {
        0 => Finding::ok(name, found),
        clashes => Finding::weaker(
            name,
            format!("{found}: {clashes} in common"),
            "a connection that goes out may hold a port of a service, which then starts later or on another one; set \
             `ports.auto` in the profile to a range outside",
        ),
    }
}

fn clashes(ours: &RangeInclusive<u16>, kernels: &RangeInclusive<u16>, reserved: &[RangeInclusive<u16>]) -> usize {
    let is_taken = |port: &u16| kernels.contains(port) && !reserved.iter().any(|range| range.contains(port));
    ours.clone().filter(is_taken).count()
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.parse().ok()?..=last.trim().parse().ok()?)
}

/// Parses a list of ports: `8080,9000-9010`.
fn parse_list(text: &str) -> Vec<RangeInclusive<u16>> {
    let one = |word: &str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(one).collect()
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_common_are_counted_without_those_that_are_reserved() {
        let kernels = parse_range("32768\t60999\n").unwrap();
        assert_eq!(kernels, 32_768..=60_999);
        assert_eq!(clashes(&(20_000..=29_999), &kernels, &[]), 0);
        assert_eq!(clashes(&(32_760..=32_777), &kernels, &[]), 10);
        assert_eq!(clashes(&(32_760..=32_777), &kernels, &parse_list("80,32770-32779\n")), 2);
        assert_eq!(parse_list("\n"), []);
    }
}
