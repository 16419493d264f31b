//! Limits of descriptors and processes, as a process of ours began with them.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The limits that matter: soft and hard, of descriptors and of processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits([Option<(u64, u64)>; 2]);

const RESOURCES: [Resource; 2] = [Resource::RLIMIT_NOFILE, Resource::RLIMIT_NPROC];

impl Limits {
    /// Those of this process now.
    pub fn now() -> Self {
        Self(RESOURCES.map(|resource| getrlimit(resource).ok()))
    }

    /// Gives this process these limits again, as far as it may.
    pub fn restore(&self) {
        for (resource, limits) in RESOURCES.into_iter().zip(self.0) {
            let Some((soft, hard)) = limits else { continue };
            if getrlimit(resource) == Ok((soft, hard)) || setrlimit(resource, soft, hard).is_ok() {
                continue;
            }
            // The hard one may not be raised again; the soft one may, up to it.
            if let Ok((_, most)) = getrlimit(resource) {
                let _ = setrlimit(resource, soft.min(most), most);
            }
        }
    }
}
