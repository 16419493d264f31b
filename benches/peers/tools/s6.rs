//! <https://skarnet.org/software/s6>: `s6-svscan` over a folder, and `s6-log` for what is logged. One waits for another
//! by `s6-svwait -U` in its `run`, and readiness is a newline on a descriptor.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::{Ability, Tool, rotated};
use crate::children;
use crate::place::Place;
use crate::service::{Ready, Service};

/// In the foreground.
pub(crate) struct S6;

impl Tool for S6 {
    fn name(&self) -> &'static str {
        "s6"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["s6-svscan", "s6-supervise", "s6-svwait", "s6-log"]
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Restart, Ability::WaitForWord, Ability::Log, Ability::Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        for service in services {
            let folder = format!("scan/{}", service.name);
            let mut run = std::fs::read_to_string(&service.program)?;
            if service.ready == Ready::Says {
                place.write(&format!("{folder}/notification-fd"), "3\n")?;
                let wait = service.after.as_ref().map_or(String::new(), |after| {
                    let after = place.path(&format!("scan/{after}"));
                    // Fails at once while the other is not supervised yet.
                    format!("until s6-svwait -U {} 2>/dev/null; do sleep 0.01; done\n", after.display())
                });
                run = format!("#!/bin/sh\n{wait}NOTIFY_FD=3 exec {}\n", service.program.display());
            }
            place.write_program(&format!("{folder}/run"), &run)?;
            if service.logged {
                let logs = place.path(&format!("logs/{}", service.name));
                std::fs::create_dir_all(&logs)?;
                // Files as large as it makes them, and none deleted.
                let run = format!("#!/bin/sh\nexec s6-log n100000 s100000000 {}\n", logs.display());
                place.write_program(&format!("{folder}/log/run"), &run)?;
            }
        }
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        children::begin(Command::new("s6-svscan").args(["-c", "2100", "scan"]).current_dir(place.path("")))
    }

    fn log_files(&self, place: &Place, service: &str) -> Vec<PathBuf> {
        rotated(&place.path(&format!("logs/{service}")))
    }
}
