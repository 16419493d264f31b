//! What whoever started us had, and services get: the umask, and how large a core file may be.
//!
//! Our own processes narrow both when they begin: nothing that we write may be changed by others, whatever the umask
//! says, and our memory, which holds secrets, goes into no core file.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

/// What others must not be given.
const NOT_FOR_OTHERS: Mode = Mode::S_IWGRP.union(Mode::S_IWOTH);

struct Inherited {
    umask: Mode,
    core: Option<(u64, u64)>,
}

static BEFORE: OnceLock<Inherited> = OnceLock::new();

/// Narrows both. Each program of ours does so before anything else; a second call changes nothing.
pub fn narrow() {
    BEFORE.get_or_init(|| {
        let before = umask(NOT_FOR_OTHERS);
        umask(before | NOT_FOR_OTHERS);
        let core = getrlimit(Resource::RLIMIT_CORE).ok();
        if let Some((_, hard)) = core {
            // The soft one alone: the hard one could not be raised again.
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, hard);
        }
        Inherited { umask: before, core }
    });
}

/// Gives both back, in a process that is about to become another program. Allowed after a fork: system calls only.
pub fn restore() {
    let Some(before) = BEFORE.get() else { return };
    umask(before.umask);
    if let Some((soft, hard)) = before.core {
        let _ = setrlimit(Resource::RLIMIT_CORE, soft, hard);
    }
}
