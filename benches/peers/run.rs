//! A tool that runs, with its services.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::children;
use crate::guard;
use crate::place::{Place, Said};
use crate::processes;
use crate::service::Service;
use crate::sheet::Miss;
use crate::tools::Tool;

/// A tool that runs. When this goes, everything goes that was begun meanwhile.
pub(crate) struct Run<'a> {
    /// The tool.
    pub(crate) tool: &'static dyn Tool,
    /// Where it runs.
    pub(crate) place: &'a Place,
    /// When it was begun.
    pub(crate) began: Instant,
    /// The process that was begun.
    pub(crate) main: i32,
}

impl<'a> Run<'a> {
    /// Tells the tool of the services, and begins it.
    pub(crate) fn begin(tool: &'static dyn Tool, place: &'a Place, services: &[Service]) -> Result<Self, Miss> {
        tool.prepare(place, services).map_err(|error| failed(tool, &error))?;
        let began = Instant::now();
        let main = tool.start(place, services).map_err(|error| failed(tool, &error))?;
        Ok(Self { tool, place, began, main })
    }

    /// Begins the tool once more, after it was killed.
    pub(crate) fn begin_again(&mut self, services: &[Service]) -> Result<(), Miss> {
        self.main = self.tool.start(self.place, services).map_err(|error| failed(self.tool, &error))?;
        Ok(())
    }

    /// Ends everything as the tool's users do. Returns how long it took until no service was left.
    pub(crate) fn stop(&self) -> Result<Duration, Miss> {
        let began = Instant::now();
        self.tool.stop(self.place, self.main).map_err(|error| failed(self.tool, &error))?;
        self.place.wait_for_none()?;
        let took = began.elapsed();
        // What is left of the tool may tidy up behind itself.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !processes::below(getpid().as_raw()).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(took)
    }

    /// What services said that live now.
    pub(crate) fn living(&self) -> Vec<Said> {
        let mut heard = self.place.heard();
        heard.retain(|said| said.what == "start" && processes::lives(said.pid));
        heard
    }

    /// The tool's own processes: everything that was begun meanwhile, but for the services and what they began.
    pub(crate) fn own(&self) -> Vec<i32> {
        let services: BTreeSet<i32> = self.place.heard().iter().map(|said| said.pid).collect();
        processes::below_without(getpid().as_raw(), &services)
    }

    /// Kills the tool's own processes, so that none can begin another one meanwhile.
    pub(crate) fn kill_own(&self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let own = self.own();
            if own.is_empty() || Instant::now() > deadline {
                return;
            }
            // Stopped first: none of them sees another one die.
            for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
                for pid in &own {
                    let _ = kill(Pid::from_raw(*pid), signal);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        guard::sweep();
    }
}

fn failed(tool: &dyn Tool, error: &io::Error) -> Miss {
    eprintln!("    {}: {error}", tool.name());
    Miss::Failed
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut std::process::Command, patience: Duration) -> io::Result<()> {
    let pid = children::begin(command)?;
    children::wait_for_end(pid, patience).map_err(|_| io::Error::other("did not end in time"))
}
