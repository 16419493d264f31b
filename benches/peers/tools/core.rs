//! Ours.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::{Ability, Tool, files_of};
use crate::children;
use crate::place::Place;
use crate::processes;
use crate::run::run;
use crate::service::{READY_LINE, Ready, Service};

/// Detached, as on a server: in the foreground its output would only be shown to nobody.
pub(crate) enum Core {
    /// As it is now.
    Now,
    /// Another build of it, which `BEFORE` names.
    Before,
}

impl Core {
    fn command(&self, place: &Place) -> Command {
        let mut command = match self {
            Self::Now => Command::new(env!("CARGO_BIN_EXE_core")),
            Self::Before => Command::new(std::env::var_os("BEFORE").unwrap_or_default()),
        };
        // The run folder goes with the place, whatever happens.
        command.current_dir(place.path("")).env("XDG_RUNTIME_DIR", place.memory());
        command
    }
}

impl Tool for Core {
    fn name(&self) -> &'static str {
        match self {
            Self::Now => "core",
            Self::Before => "core before",
        }
    }

    fn is_here(&self) -> bool {
        matches!(self, Self::Now) || std::env::var_os("BEFORE").is_some()
    }

    fn programs(&self) -> &'static [&'static str] {
        &[]
    }

    fn abilities(&self) -> &'static [Ability] {
        use Ability::{Apply, Log, Probe, Restart, Supervise, WaitForAnswer, WaitForWord};
        &[Restart, WaitForWord, WaitForAnswer, Probe, Log, Apply, Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        for service in services {
            let mut compose = json!({
                "availability": {"restart": "always", "backoff_seconds": 0},
                "log_configuration": {"rotation": {"max_backups": 0}},
            });
            match service.ready {
                Ready::Started => {}
                Ready::Says => compose["ready_log_line"] = json!(READY_LINE),
                Ready::Answers(port, period) => {
                    compose["readiness_probe"] = json!({
                        "http_get": {"url": format!("http://127.0.0.1:{port}/")},
                        "period_seconds": period,
                    });
                }
            }
            if let Some(after) = &service.after {
                let condition = if service.ready == Ready::Says { "process_log_ready" } else { "process_healthy" };
                compose["depends_on"] = json!({after: {"condition": condition}});
            }
            let manifest = json!({"process": {
                "command": service.program,
                "env": {"MARK": service.mark.to_string()},
                "compose": compose,
            }})
            .to_string();
            let path = format!("services/{}/service.json", service.name);
            // Only what differs is written: an edit touches one file.
            if std::fs::read_to_string(place.path(&path)).is_ok_and(|before| before == manifest) {
                continue;
            }
            place.write(&path, &manifest)?;
        }
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        children::begin(self.command(place).args(["up", "-d"]))
    }

    fn stop(&self, place: &Place, _main: i32) -> io::Result<()> {
        children::begin(self.command(place).arg("down")).map(drop)
    }

    fn apply(&self, place: &Place) -> io::Result<()> {
        run(self.command(place).arg("apply"), place.patience)
    }

    fn supervisor(&self, main: i32, own: &[i32]) -> i32 {
        own.iter().copied().find(|pid| processes::command_line(*pid).contains(" supervise")).unwrap_or(main)
    }

    fn log_files(&self, place: &Place, service: &str) -> Vec<PathBuf> {
        let mut files = files_of(&place.path(&format!(".core-stack/logs/{service}/{service}-0")), ".log");
        files.sort_by_key(|path| number(path));
        files
    }
}

/// Generation, invocation, segment.
fn number(path: &Path) -> Vec<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').filter_map(|word| word.parse().ok()).collect()
}
