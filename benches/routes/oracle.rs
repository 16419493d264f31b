//! The side that is right by definition: `next build` and `next start` of the same sources.
//!
//! core's own build is asked for a standalone server, which `next start` refuses to run; and the standalone server by
//! itself would show no difference that comes from being one. So the sources are built a second time, in a copy of their
//! own, by the app's script `build`. That build gets the id that core gave to its release, and the key of server actions
//! that core's build had: so addresses of files, ids and keys are the same on both sides, and what is left is a difference.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::apps::{App, Kind};
use crate::client::{self, Request};
use crate::common::demo::copy;
use crate::common::{Said, checkout, eventually, free_port};
use crate::packages::Packages;
use crate::{ACTION_KEY, well};

/// A server that is ended when it goes out of sight, and its folder.
pub(crate) struct Oracle {
    /// Where it answers.
    pub(crate) port: u16,
    server: Child,
    _folder: tempfile::TempDir,
}

impl Oracle {
    /// Builds an app with the id of a release, and starts it.
    ///
    /// # Errors
    /// What failed, as text for people.
    pub(crate) fn start(app: &App, packages: &Packages, id: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("core-routes-").tempdir().map_err(|error| error.to_string())?;
        // Next compares paths with its working directory, in which there are no links.
        let root = fs::canonicalize(folder.path()).map_err(|error| error.to_string())?;
        copy(&app.folder(), &root);
        packages.put(&root)?;
        let mut build = command("npm", &root, id);
        let built = build.args(["run", "build"]).output().map_err(|error| format!("npm: {error}"))?;
        well("next build", &Said::of(built))?;
        let port = free_port();
        let mut server = command("node", &root, id);
        match app.kind {
            Kind::Server => server.args(["node_modules/next/dist/bin/next", "start", "-p", &port.to_string()]),
            Kind::Files => {
                let program = checkout().join("benches/routes/files.mjs");
                server.arg(program).arg(root.join("out")).arg(port.to_string())
            }
        };
        let log = File::create(root.join("oracle.log")).map_err(|error| error.to_string())?;
        server.stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
        // A group of its own, so that what it starts ends with it.
        server.process_group(0).stdin(Stdio::null());
        let server = server.spawn().map_err(|error| format!("node: {error}"))?;
        let mut oracle = Self { port, server, _folder: folder };
        oracle.until_it_answers(app, &root)?;
        Ok(oracle)
    }

    fn until_it_answers(&mut self, app: &App, root: &Path) -> Result<(), String> {
        eventually("the other side answers", || {
            if client::ask(self.port, &Request::get(app.start)).status != 0 {
                return Some(Ok(()));
            }
            let has_ended = self.server.try_wait().map(|ended| ended.is_some()).unwrap_or(true);
            has_ended.then(|| {
                let log = fs::read_to_string(root.join("oracle.log")).unwrap_or_default();
                Err(format!("next start does not answer: {log}"))
            })
        })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let group = i32::try_from(self.server.id()).map(Pid::from_raw);
        if let Ok(group) = group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = self.server.wait();
    }
}

fn command(program: &str, root: &Path, id: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root).env_remove("PORT").env_remove("HOSTNAME").env_remove("NODE_ENV");
    command.env("NEXT_ADAPTER_PATH", checkout().join("benches/routes/oracle.mjs"));
    command.env("ROUTES_ID", id).env("ROUTES_ROOT", root).env("NEXT_TELEMETRY_DISABLED", "1");
    command.env("NEXT_SERVER_ACTIONS_ENCRYPTION_KEY", ACTION_KEY);
    command
}
