//! The limits of descriptors and processes that a process of core started with.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The soft and hard limits of descriptors and of processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits([Option<(u64, u64)>; 2]);

const RESOURCES: [Resource; 2] = [Resource::RLIMIT_NOFILE, Resource::RLIMIT_NPROC];

impl Limits {
    /// The current limits of this process.
    pub fn now() -> Self {
        Self(RESOURCES.map(|resource| getrlimit(resource).ok()))
    }

    /// Restores these limits for this process, as far as it is allowed to.
    pub fn restore(&self) {
        for (resource, limits) in RESOURCES.into_iter().zip(self.0) {
            let Some((soft, hard)) = limits else { continue };
            if getrlimit(resource) == Ok((soft, hard)) || setrlimit(resource, soft, hard).is_ok() {
                continue;
            }
            // The hard limit may not be raised again; the soft one may, up to the hard one.
            if let Ok((_, most)) = getrlimit(resource) {
                let _ = setrlimit(resource, soft.min(most), most);
            }
        }
    }
}
