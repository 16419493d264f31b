//! Figures of the whole host, from `sysinfo`: for `core doctor`, for `status --json`, and to limit builds. Figures of
//! instances are read from `/proc/<pid>` instead (`usage.rs`).

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sysinfo::{DiskRefreshKind, Disks, MemoryRefreshKind, RefreshKind, System};

/// CPUs, memory and disks of the host, and how much of them is in use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Average number of processes that run or wait for a CPU, over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Memory in bytes; the limit of the cgroup if that is lower.
    pub memory_bytes: u64,
    /// Memory that is available without swapping, in bytes.
    pub memory_available_bytes: u64,
    /// Swap space, in bytes.
    pub swap_bytes: u64,
    /// Swap space in use, in bytes.
    pub swap_used_bytes: u64,
    /// The file systems of the stack's folders.
    pub disks: Vec<Disk>,
}

/// A mounted file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// The path where it is mounted.
    pub mount: String,
    /// Its type: `ext4`, `tmpfs`, …
    pub kind: String,
    /// Its size, in bytes.
    pub total_bytes: u64,
    /// Free space for users other than root, in bytes.
    pub available_bytes: u64,
}

/// Reads the figures, with the file systems that hold these folders. A file system that hangs blocks the caller.
///
/// # Errors
/// A figure that the system does not report.
pub fn look(folders: &[&Path]) -> Result<Machine, sysinfo::Error> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::everything());
    let system = System::new_with_specifics(memory)?;
    let load = System::load_average()?;
    let (mut total, mut available) = (system.total_memory(), system.available_memory());
    // A container sees the memory of its host, but may only use its own limit.
    if let Some(limits) = system.cgroup_limits().filter(|limits| limits.total_memory > 0 && limits.total_memory < total)
    {
        (total, available) = (limits.total_memory, limits.free_memory.min(available));
    }
    Ok(Machine {
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        load: [load.one, load.five, load.fifteen],
        memory_bytes: total,
        memory_available_bytes: available,
        swap_bytes: system.total_swap(),
        swap_used_bytes: system.used_swap(),
        disks: disks(folders).unwrap_or_default(),
    })
}

fn disks(folders: &[&Path]) -> Result<Vec<Disk>, sysinfo::Error> {
    if folders.is_empty() {
        return Ok(Vec::new());
    }
    let all = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage())?;
    let mut mounts: Vec<Disk> = Vec::new();
    for folder in folders {
        let holds = |disk: &&sysinfo::Disk| folder.starts_with(disk.mount_point());
        let Some(disk) = all.iter().filter(holds).max_by_key(|disk| disk.mount_point().as_os_str().len()) else {
            continue;
        };
        let mount = disk.mount_point().display().to_string();
        if mounts.iter().all(|known| known.mount != mount) {
            mounts.push(Disk {
                mount,
                kind: disk.file_system().to_string_lossy().into_owned(),
                total_bytes: disk.total_space(),
                available_bytes: disk.available_space(),
            });
        }
    }
    Ok(mounts)
}

/// How much a build may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Number of compilers that run at the same time.
    pub(crate) jobs: usize,
    /// Heap of a program with garbage collection, in MiB.
    pub(crate) heap_mib: u64,
}

/// The memory of one compiler in the worst case, in bytes.
const PER_JOB: u64 = 1 << 30;
/// The smallest heap with which an app can be built.
const LEAST_HEAP_MIB: u64 = 512;

/// The least memory that a build is limited to if nobody says, in MiB.
const LEAST_LIMIT_MIB: u64 = 1024;

impl Machine {
    /// The limit of memory of a build if nobody says, in MiB: half of the host's, so that a host of 2 GiB goes on serving.
    pub(crate) fn limit_of_build(&self) -> u64 {
        ((self.memory_bytes / 2) >> 20).max(LEAST_LIMIT_MIB)
    }

    /// The share of a build: half of the available memory, since services run beside it, and as many compilers as fit.
    pub(crate) fn share_of_build(&self) -> Share {
        let half = self.memory_available_bytes / 2;
        let fitting = usize::try_from(half / PER_JOB).unwrap_or(usize::MAX);
        Share { jobs: self.cpus.min(fitting).max(1), heap_mib: (half >> 20).max(LEAST_HEAP_MIB) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_something() {
        let machine = look(&[Path::new("/proc/self"), Path::new("/")]).unwrap();
        assert!(machine.cpus > 0 && machine.memory_bytes > 0);
        assert!(machine.memory_available_bytes <= machine.memory_bytes, "{machine:?}");
        assert!(look(&[]).unwrap().disks.is_empty());
    }

    #[test]
    fn a_build_leaves_room_for_what_runs() {
        let share = |cpus, available| {
            Machine { cpus, memory_available_bytes: available, ..Machine::default() }.share_of_build()
        };
        assert_eq!(share(8, 64 << 30), Share { jobs: 8, heap_mib: 32 << 10 });
        assert_eq!(share(8, 4 << 30), Share { jobs: 2, heap_mib: 2048 });
        assert_eq!(share(2, 300 << 20), Share { jobs: 1, heap_mib: 512 });
    }
}
