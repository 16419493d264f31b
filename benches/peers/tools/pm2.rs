//! <https://pm2.keymetrics.io>

use std::io;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::{Ability, Tool};
use crate::children;
use crate::place::Place;
use crate::processes;
use crate::run::run;
use crate::service::Service;

/// Its daemon, begun and ended by its command.
pub(crate) struct Pm2;

fn pm2(place: &Place) -> Command {
    let mut command = Command::new("pm2");
    command.current_dir(place.path("")).env("PM2_HOME", place.path("pm2"));
    command
}

impl Tool for Pm2 {
    fn name(&self) -> &'static str {
        "pm2"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["pm2"]
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Restart, Ability::Log, Ability::Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        let apps: Vec<_> = services
            .iter()
            .map(|service| {
                json!({
                    "name": service.name,
                    "script": service.program,
                    "interpreter": "none",
                    "out_file": place.path(&format!("{}.log", service.name)),
                    "error_file": "/dev/null",
                    // Else it gives up a service that is killed early.
                    "min_uptime": 0,
                    "max_restarts": 1_000_000,
                })
            })
            .collect();
        place.write("ecosystem.json", &json!({"apps": apps}).to_string())?;
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        children::begin(pm2(place).args(["start", "ecosystem.json"]))
    }

    fn stop(&self, place: &Place, _main: i32) -> io::Result<()> {
        run(pm2(place).arg("kill"), place.patience)
    }

    fn supervisor(&self, main: i32, own: &[i32]) -> i32 {
        own.iter().copied().find(|pid| processes::command_line(*pid).contains("God Daemon")).unwrap_or(main)
    }

    fn log_files(&self, place: &Place, service: &str) -> Vec<PathBuf> {
        vec![place.path(&format!("{service}.log"))]
    }
}
