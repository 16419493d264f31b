//! <https://circus.readthedocs.io>

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::{Ability, Tool};
use crate::children;
use crate::place::Place;
use crate::run::run;
use crate::service::Service;

/// In the foreground, asked on a unix socket.
pub(crate) struct Circus;

impl Tool for Circus {
    fn name(&self) -> &'static str {
        "circus"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["circusd", "circusctl"]
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Restart, Ability::Log, Ability::Apply, Ability::Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        let memory = place.memory().display();
        let mut text = format!(
            "[circus]\nendpoint = ipc://{memory}/endpoint\npubsub_endpoint = ipc://{memory}/pubsub\nstatsd = False\n"
        );
        for service in services {
            let _ = writeln!(
                text,
                "[watcher:{name}]\ncmd = {}\ncopy_env = True\n[env:{name}]\nMARK = {}",
                service.program.display(),
                service.mark,
                name = service.name
            );
            if service.logged {
                let path = place.path(&format!("{}.log", service.name));
                let text_of_log = format!(
                    "copy_env = True\nstdout_stream.class = FileStream\nstdout_stream.filename = {}\n[env:{}]",
                    path.display(),
                    service.name
                );
                text = text.replace(&format!("copy_env = True\n[env:{}]", service.name), &text_of_log);
            }
        }
        place.write("circus.ini", &text)?;
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        children::begin(Command::new("circusd").arg("circus.ini").current_dir(place.path("")))
    }

    fn apply(&self, place: &Place) -> io::Result<()> {
        let endpoint = format!("ipc://{}/endpoint", place.memory().display());
        let mut command = Command::new("circusctl");
        run(command.args(["--endpoint", &endpoint, "reloadconfig"]).current_dir(place.path("")), place.patience)
    }

    fn log_files(&self, place: &Place, service: &str) -> Vec<PathBuf> {
        vec![place.path(&format!("{service}.log"))]
    }
}
