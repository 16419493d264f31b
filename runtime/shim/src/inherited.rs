//! Settings inherited from the process that started core, which services get: the umask and the core file limit.
//!
//! core's own processes narrow both when they start: no file that they write may be changed by other users, whatever
//! the umask allows, and their memory, which holds secrets, must not go into a core file.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

/// The permissions that other users must not get.
const NOT_FOR_OTHERS: Mode = Mode::S_IWGRP.union(Mode::S_IWOTH);

struct Inherited {
    umask: Mode,
    core: Option<(u64, u64)>,
}

static BEFORE: OnceLock<Inherited> = OnceLock::new();

/// Narrows both. Each program of core does this before anything else; a second call changes nothing.
pub fn narrow() {
    BEFORE.get_or_init(|| {
        let before = umask(NOT_FOR_OTHERS);
        umask(before | NOT_FOR_OTHERS);
        let core = getrlimit(Resource::RLIMIT_CORE).ok();
        if let Some((_, hard)) = core {
            // Only the soft limit: the hard one could not be raised again.
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, hard);
        }
        Inherited { umask: before, core }
    });
}

/// Restores both, in a process that is about to become another program. May be called after a fork: system calls only.
pub fn restore() {
    let Some(before) = BEFORE.get() else { return };
    umask(before.umask);
    if let Some((soft, hard)) = before.core {
        let _ = setrlimit(Resource::RLIMIT_CORE, soft, hard);
    }
}
