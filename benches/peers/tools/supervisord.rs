//! <http://supervisord.org>

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
pub(crate) struct Supervisord;

impl Tool for Supervisord {
    fn name(&self) -> &'static str {
        "supervisord"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["supervisord", "supervisorctl"]
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Restart, Ability::Log, Ability::Apply, Ability::Supervise]
    }

    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()> {
        let socket = place.memory().join("sv.sock");
        let (socket, folder) = (socket.display(), place.path(""));
        // Four descriptors for each service, and it refuses to begin where there are fewer than it was told.
        let mut text = format!(
            "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\nchildlogdir={}\nminfds=8192\n\
             pidfile={}\n[unix_http_server]\nfile={socket}\n[supervisorctl]\nserverurl=unix://{socket}\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
            folder.display(),
            place.path("sv.pid").display(),
        );
        for service in services {
            let _ = writeln!(
                text,
                "[program:{}]\ncommand={}\nautorestart=true\nstartsecs=0\nenvironment=MARK=\"{}\"",
                service.name,
                service.program.display(),
                service.mark
            );
            if service.logged {
                let path = place.path(&format!("{}.log", service.name));
                let _ = writeln!(text, "stdout_logfile={}\nstdout_logfile_maxbytes=0", path.display());
            }
        }
        place.write("supervisord.conf", &text)?;
        Ok(())
    }

    fn start(&self, place: &Place, _services: &[Service]) -> io::Result<i32> {
        children::begin(Command::new("supervisord").args(["-c", "supervisord.conf"]).current_dir(place.path("")))
    }

    fn apply(&self, place: &Place) -> io::Result<()> {
        for word in ["reread", "update"] {
            let mut command = Command::new("supervisorctl");
            run(command.args(["-c", "supervisord.conf", word]).current_dir(place.path("")), place.patience)?;
        }
        Ok(())
    }

    fn log_files(&self, place: &Place, service: &str) -> Vec<PathBuf> {
        vec![place.path(&format!("{service}.log"))]
    }
}
