//! <http://smarden.org/runit>: `runsvdir` over a folder, and `svlogd` for what is logged.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{Ability, Tool, rotated, terminate};
use crate::children;
use crate::place::Place;
use crate::service::Service;

/// In the foreground.
pub(crate) struct Runit;

impl Tool for Runit {
    fn name(&self) -> &'static str {
        "runit"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["runsvdir", "runsv", "svlogd"]
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Restart, Ability::Log, Ability::Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        for service in services {
            let folder = format!("scan/{}", service.name);
            let run = std::fs::read_to_string(&service.program)?;
            place.write_program(&format!("{folder}/run"), &run)?;
            if service.logged {
                // Neither cut nor deleted.
                place.write(&format!("logs/{}/config", service.name), "s0\nn0\n")?;
                let logs = place.path(&format!("logs/{}", service.name));
                let run = format!("#!/bin/sh\nexec svlogd {}\n", logs.display());
                place.write_program(&format!("{folder}/log/run"), &run)?;
            }
        }
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        children::begin(Command::new("runsvdir").args(["-P", "scan"]).current_dir(place.path("")))
    }

    fn stop(&self, _place: &Place, main: i32) -> io::Result<()> {
        // Its services run on after TERM; HUP ends them.
        terminate(main, Signal::SIGHUP)
    }

    fn log_files(&self, place: &Place, service: &str) -> Vec<PathBuf> {
        rotated(&place.path(&format!("logs/{service}")))
    }
}
