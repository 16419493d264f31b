//! Collects children that have exited: the keeper, if this process started it; and, if this process is process 1 of a
//! container, the orphans that it inherits.

use std::cell::Cell;
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

/// How often process 1 collects orphans.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a keeper may take to exit once its stack has stopped.
const KEEPER_PATIENCE: Duration = Duration::from_secs(10);

/// Waits for children, and records how the keeper exited.
pub(crate) struct Reaper {
    keeper: Option<Pid>,
    code: Cell<Option<i32>>,
    /// No child is left to wait for.
    is_alone: Cell<bool>,
}

impl Reaper {
    pub(crate) fn new(keeper: Option<u32>) -> Self {
        let keeper = keeper.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        Self { keeper, code: Cell::new(None), is_alone: Cell::new(keeper.is_none()) }
    }

    /// Collects children that have exited. Returns the exit code of the stack, once its keeper has exited by itself.
    pub(crate) fn reap(&self) -> Option<i32> {
        let is_first = is_first_process();
        let whom = if is_first { Pid::from_raw(-1) } else { self.keeper? };
        loop {
            match waitpid(whom, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => self.code.set(Some(code)),
                Ok(WaitStatus::StillAlive) => break,
                Ok(_) => {}
                // No children are left. The keeper, or one that replaced it, was the last to exit.
                Err(_) => {
                    self.is_alone.set(true);
                    return self.code.get();
                }
            }
        }
        // Process 1 also collects other children; the stack has not stopped while any child lives.
        self.code.get().filter(|_| !is_first)
    }

    /// The exit code of a stack that has stopped; `None` if its keeper was not started here, or did not exit by itself.
    /// A keeper is no longer found a moment before it exits.
    pub(crate) async fn code(&self) -> Option<i32> {
        let until = Instant::now() + KEEPER_PATIENCE;
        loop {
            let code = self.reap();
            if code.is_some() || self.is_alone.get() || Instant::now() > until {
                return code.or(self.code.get());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Collects orphans until dropped. Only process 1 has orphans.
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
