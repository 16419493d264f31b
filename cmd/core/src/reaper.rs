//! Children that have ended: the keeper, when it was we who started it; and, as process 1 of a container, whatever else
//! becomes ours when its parent dies.

use std::cell::Cell;
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

/// How often process 1 looks for orphans that have ended.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for children, and remembers how the keeper ended.
pub(crate) struct Reaper {
    keeper: Option<Pid>,
    code: Cell<Option<i32>>,
}

impl Reaper {
    pub(crate) fn new(keeper: Option<u32>) -> Self {
        let keeper = keeper.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        Self { keeper, code: Cell::new(None) }
    }

    /// Takes in whoever has ended. Returns the code of the stack, once its keeper has ended by itself.
    pub(crate) fn reap(&self) -> Option<i32> {
        let is_first = is_first_process();
        let whom = if is_first { Pid::from_raw(-1) } else { self.keeper? };
        loop {
            match waitpid(whom, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => self.code.set(Some(code)),
                Ok(WaitStatus::StillAlive) => break,
                Ok(_) => {}
                // Nobody is left. The keeper, ours or one in its place, was the last to go.
                Err(_) => return self.code.get(),
            }
        }
        // Of process 1 there may be others that have ended; the stack has not while any child lives.
        self.code.get().filter(|_| !is_first)
    }

    /// Goes on as long as anybody waits. Nobody but process 1 has orphans.
    pub(crate) async fn go_on(&self) {
        if !is_first_process() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            self.reap();
        }
    }
}

fn is_first_process() -> bool {
    getpid() == Pid::from_raw(1)
}
