//! A loop of fork and exec, of splice from a pipe into a file, of a line awaited before the next start: what nobody can
//! be faster than.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::fcntl::{SpliceFFlags, splice};
use nix::sys::signal::Signal;

use super::{Ability, Tool, terminate};
use crate::children;
use crate::place::Place;
use crate::service::{Ready, Service};

/// See above.
pub(crate) struct Bare;

impl Tool for Bare {
    fn name(&self) -> &'static str {
        "bare"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["sh"]
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Log, Ability::WaitForWord]
    }

    fn prepare(&self, _place: &Place, _services: &[Service]) -> io::Result<()> {
        Ok(())
    }

    fn start(&self, place: &Place, services: &[Service]) -> io::Result<i32> {
        if services.iter().any(|service| service.ready == Ready::Says) {
            let services = services.to_vec();
            std::thread::spawn(move || in_a_row(&services));
            return Ok(0);
        }
        for service in services {
            let mut command = Command::new(&service.program);
            if service.logged {
                let (out, into) = io::pipe()?;
                let file = File::create(place.path("bare.log"))?;
                std::thread::spawn(move || {
                    while splice(&out, None, &file, None, 1 << 20, SpliceFFlags::empty()).is_ok_and(|moved| moved > 0) {
                    }
                });
                children::begin_with_output(&mut command, Stdio::from(into))?;
            } else {
                children::begin(&mut command)?;
            }
        }
        Ok(0)
    }

    fn stop(&self, place: &Place, _main: i32) -> io::Result<()> {
        for said in place.heard() {
            // One that has ended is no failure.
            let _ = terminate(said.pid, Signal::SIGTERM);
        }
        Ok(())
    }

    fn log_files(&self, place: &Place, _service: &str) -> Vec<PathBuf> {
        vec![place.path("bare.log")]
    }
}

/// Each as soon as the one before has said a line.
fn in_a_row(services: &[Service]) -> io::Result<()> {
    for service in services {
        let (out, into) = io::pipe()?;
        children::begin_with_output(&mut Command::new(&service.program), Stdio::from(into))?;
        BufReader::new(out).read_line(&mut String::new())?;
    }
    Ok(())
}
