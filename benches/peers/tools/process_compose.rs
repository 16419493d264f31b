//! <https://github.com/F1bonacc1/process-compose>, without its terminal page.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, json};

use super::{Ability, Tool};
use crate::children;
use crate::place::Place;
use crate::run::run;
use crate::service::{READY_LINE, Ready, Service};

/// In the foreground, asked on a unix socket.
pub(crate) struct ProcessCompose;

fn process_compose(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new("process-compose");
    command.args(words).args(["-U", "-u"]).arg(place.memory().join("pc.sock"));
    command.arg("-L").arg(place.path("pc.log")).current_dir(place.path(""));
    command
}

impl Tool for ProcessCompose {
    fn name(&self) -> &'static str {
        "process-compose"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["process-compose"]
    }

    fn abilities(&self) -> &'static [Ability] {
        use Ability::{Apply, Log, Probe, Restart, Supervise, WaitForAnswer, WaitForWord};
        &[Restart, WaitForWord, WaitForAnswer, Probe, Log, Apply, Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        let mut all = Map::new();
        for service in services {
            let mut one = json!({
                "command": service.program,
                "environment": [format!("MARK={}", service.mark)],
                "availability": {"restart": "always"},
            });
            match service.ready {
                Ready::Started => {}
                Ready::Says => one["ready_log_line"] = json!(READY_LINE),
                Ready::Answers(port, period) => {
                    one["readiness_probe"] = json!({
                        "http_get": {"host": "127.0.0.1", "scheme": "http", "path": "/", "port": port.to_string()},
                        "period_seconds": period,
                    });
                }
            }
            if let Some(after) = &service.after {
                let condition = if service.ready == Ready::Says { "process_log_ready" } else { "process_healthy" };
                one["depends_on"] = json!({after: {"condition": condition}});
            }
            if service.logged {
                one["log_location"] = json!(place.path(&format!("{}.log", service.name)));
                // Lines as they are.
                one["log_configuration"] = json!({"disable_json": true, "no_metadata": true});
            }
            all.insert(service.name.clone(), one);
        }
        // JSON is YAML.
        place.write("process-compose.yaml", &json!({"version": "0.5", "processes": all}).to_string())?;
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        children::begin(&mut process_compose(place, &["up", "--tui=false", "-f", "process-compose.yaml"]))
    }

    fn apply(&self, place: &Place) -> io::Result<()> {
        run(&mut process_compose(place, &["project", "update", "-f", "process-compose.yaml"]), place.patience)
    }

    fn log_files(&self, place: &Place, service: &str) -> Vec<PathBuf> {
        vec![place.path(&format!("{service}.log"))]
    }
}
