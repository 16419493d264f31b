//! <https://github.com/FedericoPonzi/Horust>

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::{Ability, Tool};
use crate::children;
use crate::place::Place;
use crate::service::{Ready, Service};

/// In the foreground.
pub(crate) struct Horust;

impl Tool for Horust {
    fn name(&self) -> &'static str {
        "horust"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["horust"]
    }

    fn abilities(&self) -> &'static [Ability] {
        // It goes on asking, too, but how often cannot be said.
        &[Ability::Restart, Ability::WaitForAnswer, Ability::Log, Ability::Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        for service in services {
            let mut text = format!("command = \"{}\"\n", service.program.display());
            if let Some(after) = &service.after {
                let _ = writeln!(text, "start-after = [\"{after}.toml\"]");
            }
            if service.logged {
                let _ = writeln!(text, "stdout = \"{}\"", place.path(&format!("{}.log", service.name)).display());
            }
            text.push_str("[restart]\nstrategy = \"always\"\nbackoff = \"0s\"\nattempts = 1000000\n");
            if let Ready::Answers(port, _) = service.ready {
                let _ =
                    writeln!(text, "[healthiness]\nhttp-endpoint = \"http://127.0.0.1:{port}/\"\nmax-failed = 1000");
            }
            place.write(&format!("horust/{}.toml", service.name), &text)?;
        }
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        let mut command = Command::new("horust");
        command.args(["--services-path", "horust", "--uds-folder-path"]).arg(place.memory());
        children::begin(command.current_dir(place.path("")))
    }

    fn log_files(&self, place: &Place, service: &str) -> Vec<PathBuf> {
        vec![place.path(&format!("{service}.log"))]
    }
}
