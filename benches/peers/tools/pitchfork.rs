//! <https://pitchfork.jdx.dev>

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::{Ability, Tool, files_of};
use crate::children;
use crate::place::Place;
use crate::run::run;
use crate::service::{READY_LINE, Ready, Service};

/// Its supervisor in the foreground, told by its command what to start.
pub(crate) struct Pitchfork;

fn pitchfork(place: &Place) -> Command {
    let mut command = Command::new("pitchfork");
    command.current_dir(place.path("")).env("HOME", place.path(""));
    command.env("PITCHFORK_CONFIG_DIR", place.path("config")).env("PITCHFORK_STATE_DIR", place.path("state"));
    command
}

impl Tool for Pitchfork {
    fn name(&self) -> &'static str {
        "pitchfork"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["pitchfork"]
    }

    fn abilities(&self) -> &'static [Ability] {
        // It asks over HTTP until it is answered, and not again.
        use Ability::{Apply, Log, Restart, Supervise, WaitForAnswer, WaitForWord};
        &[Restart, WaitForWord, WaitForAnswer, Log, Apply, Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        let before = std::fs::read_to_string(place.path("pitchfork.toml")).unwrap_or_default();
        let mut edited = String::new();
        let mut all = String::new();
        // How often it asks is said once for all.
        let mut period = 1;
        for service in services {
            let mut text = format!(
                "[daemons.{}]\nrun = \"exec {}\"\nenv = {{ MARK = \"{}\" }}\nretry = true\nready_delay = 0\n",
                service.name,
                service.program.display(),
                service.mark
            );
            match service.ready {
                Ready::Started => {}
                Ready::Says => {
                    let _ = writeln!(text, "ready_output = \"{READY_LINE}\"");
                }
                Ready::Answers(port, seconds) => {
                    let _ = writeln!(text, "ready_http = \"http://127.0.0.1:{port}/\"");
                    period = seconds;
                }
            }
            if let Some(after) = &service.after {
                let _ = writeln!(text, "depends = [\"{after}\"]");
            }
            if !before.contains(&text) {
                let _ = writeln!(edited, "{}", service.name);
            }
            all.push_str(&text);
        }
        // What has ended is looked for at an interval: ten seconds if nothing else is said, and a short one costs next to
        // nothing. Its command must not begin a second supervisor, only wait for the first.
        let settings = format!(
            "namespace = \"bench\"\n[settings.general]\ninterval = \"100ms\"\n\
             [settings.ipc]\nconnect_attempts = 100\nconnect_min_delay = \"10ms\"\nconnect_max_delay = \"100ms\"\n\
             request_timeout = \"60s\"\n\
             [settings.supervisor]\nauto_start = false\nready_check_interval = \"{period}s\"\n"
        );
        place.write("pitchfork.toml", &(settings + &all))?;
        place.write("edited", &edited)?;
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        let supervisor = children::begin(pitchfork(place).args(["supervisor", "run"]))?;
        children::begin(pitchfork(place).args(["start", "--local", "--quiet"]))?;
        Ok(supervisor)
    }

    fn apply(&self, place: &Place) -> io::Result<()> {
        // Its users say what they have edited.
        let edited = std::fs::read_to_string(place.path("edited"))?;
        run(pitchfork(place).args(["restart", "--quiet"]).args(edited.lines()), place.patience)
    }

    fn log_files(&self, place: &Place, _service: &str) -> Vec<PathBuf> {
        // All are in one database, where a line stands as it is.
        [".db", ".db-wal"].iter().flat_map(|end| files_of(&place.path("state/logs"), end)).collect()
    }
}
