//! <https://github.com/pvolok/mprocs>: it is a page on a terminal, so `script` gives it one.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, json};

use super::{Ability, Tool};
use crate::children;
use crate::place::Place;
use crate::processes;
use crate::run::run;
use crate::service::Service;

/// In a terminal that nobody sees.
pub(crate) struct Mprocs;

impl Tool for Mprocs {
    fn name(&self) -> &'static str {
        "mprocs"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["mprocs", "script"]
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Restart, Ability::Log, Ability::Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        let mut all = Map::new();
        for service in services {
            let mut one = json!({"cmd": [service.program], "autorestart": true});
            if service.logged {
                one["log"] = json!({"enabled": true, "file": place.path(&format!("{}.log", service.name))});
            }
            all.insert(service.name.clone(), one);
        }
        // JSON is YAML.
        place.write("mprocs.yaml", &json!({"procs": all}).to_string())?;
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        let mut command = Command::new("script");
        // It listens on a number only, so it is given a free one; TERM would leave its services behind.
        let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.to_string();
        place.write("address", &address)?;
        let line = format!("exec mprocs -c mprocs.yaml -s {address}");
        command.args(["-q", "-c", &line, "/dev/null"]).env("TERM", "xterm-256color");
        children::begin(command.current_dir(place.path("")))
    }

    fn stop(&self, place: &Place, _main: i32) -> io::Result<()> {
        let address = std::fs::read_to_string(place.path("address"))?;
        let mut command = Command::new("mprocs");
        run(command.args(["-s", &address, "--ctl", "{c: quit}"]).current_dir(place.path("")), place.patience)
    }

    fn supervisor(&self, main: i32, own: &[i32]) -> i32 {
        own.iter().copied().find(|pid| processes::command_line(*pid).starts_with("mprocs ")).unwrap_or(main)
    }

    fn log_files(&self, place: &Place, service: &str) -> Vec<PathBuf> {
        vec![place.path(&format!("{service}.log"))]
    }
}
