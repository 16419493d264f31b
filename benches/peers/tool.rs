//! The tools: how each is told of its services, begun and ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::place::Place;

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// A loop of fork and exec: what nobody can be faster than.
    Bare,
    /// Ours.
    Core,
    /// <https://github.com/F1bonacc1/process-compose>
    ProcessCompose,
    /// <http://supervisord.org>
    Supervisord,
    /// <http://smarden.org/runit>
    Runit,
    /// <https://skarnet.org/software/s6>
    S6,
}

/// A tool that runs.
pub(crate) struct Running {
    tool: Tool,
    child: Option<Child>,
    /// First processes of the services.
    pub(crate) services: Vec<i32>,
    bare: Vec<Child>,
}

impl Tool {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Bare, Self::Core, Self::ProcessCompose, Self::Supervisord, Self::Runit, Self::S6];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Core => "core",
            Self::ProcessCompose => "process-compose",
            Self::Supervisord => "supervisord",
            Self::Runit => "runit",
            Self::S6 => "s6",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Bare => "sh",
            Self::Core => env!("CARGO_BIN_EXE_core"),
            Self::ProcessCompose => "process-compose",
            Self::Supervisord => "supervisord",
            Self::Runit => "runsvdir",
            Self::S6 => "s6-svscan",
        }
    }

    /// Whether its program is there.
    pub(crate) fn is_here(self) -> bool {
        let path = std::env::var("PATH").unwrap_or_default();
        self.program().contains('/')
            || path.split(':').any(|folder| fs::metadata(format!("{folder}/{}", self.program())).is_ok())
    }

    /// Whether it starts again what has ended.
    pub(crate) fn restarts(self) -> bool {
        self != Self::Bare
    }

    /// Writes what it reads.
    pub(crate) fn prepare(self, place: &Place) {
        let line = place.line();
        let write = |path: &str, text: &str| {
            let path = place.path(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(&path, text).expect("a file");
            path
        };
        match self {
            Self::Bare => {}
            Self::Core => {
                for number in 0..place.count {
                    let manifest = serde_json::json!({"process": {"command": line, "shell": true,
                        "compose": {"availability": {"restart": "always", "backoff_seconds": 0}}}});
                    write(&format!("services/s{number}x/service.json"), &manifest.to_string());
                }
            }
            Self::ProcessCompose => {
                let mut text = "version: \"0.5\"\nprocesses:\n".to_owned();
                for number in 0..place.count {
                    // Dollars are its own variables.
                    let line = line.replace('$', "$$");
                    let _ =
                        writeln!(text, "  s{number}:\n    command: '{line}'\n    availability:\n      restart: always");
                }
                write("process-compose.yaml", &text);
            }
            Self::Supervisord => {
                let mut text = "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n".to_owned();
                let script = write("line.sh", &line);
                for number in 0..place.count {
                    let _ = writeln!(
                        text,
                        "[program:s{number}]\ncommand=/bin/sh {}\nautorestart=true\nstartsecs=0",
                        script.display()
                    );
                }
                write("supervisord.conf", &text);
            }
            Self::Runit | Self::S6 => {
                for number in 0..place.count {
                    let run = write(&format!("scan/s{number}/run"), &format!("#!/bin/sh\n{line}\n"));
                    fs::set_permissions(run, fs::Permissions::from_mode(0o755)).expect("a mode");
                }
            }
        }
    }

    /// Begins it.
    pub(crate) fn start(self, place: &Place) -> Running {
        let mut running = Running { tool: self, child: None, services: Vec::new(), bare: Vec::new() };
        let folder = place.path("");
        let mut command = Command::new(self.program());
        match self {
            Self::Bare => {
                let line = place.line();
                for _ in 0..place.count {
                    let mut command = Command::new("/bin/sh");
                    running.bare.push(quiet(command.args(["-c", &line])).spawn().expect("sh"));
                }
                return running;
            }
            Self::Core => command.arg("up").current_dir(&folder),
            Self::ProcessCompose => {
                command.args(["up", "--tui=false", "--no-server", "-f", "process-compose.yaml"]).current_dir(&folder)
            }
            Self::Supervisord => command.args(["-c", "supervisord.conf"]).current_dir(&folder),
            Self::Runit => command.args(["-P", "scan"]).current_dir(&folder),
            Self::S6 => command.args(["-c", "2000", "scan"]).current_dir(&folder),
        };
        running.child = Some(quiet(&mut command).spawn().expect("the tool"));
        running
    }
}

/// Nothing comes in, and nobody reads.
fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in self.bare.iter_mut().chain(&mut self.child) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    /// Ends everything as the tool's users do. Returns how long it took until no service was left.
    pub(crate) fn stop(&mut self, place: &Place) -> Duration {
        let began = Instant::now();
        let signal = match self.tool {
            // Its services run on after TERM; HUP ends them.
            Tool::Runit => Signal::SIGHUP,
            _ => Signal::SIGTERM,
        };
        for child in &self.bare {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        }
        if let Some(child) = &self.child {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        }
        place.wait_for_none();
        let took = began.elapsed();
        for child in self.bare.iter_mut().chain(&mut self.child) {
            let _ = child.wait();
        }
        took
    }

    /// The processes of the tool: all below it but the services and what they began.
    pub(crate) fn own_processes(&self) -> Vec<i32> {
        let Some(child) = &self.child else { return Vec::new() };
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
            children.entry(parent.unwrap_or(0)).or_default().push(pid);
        }
        let services: BTreeSet<i32> = self.services.iter().copied().collect();
        let mut all = Vec::new();
        let mut open = vec![child.id().cast_signed()];
        while let Some(pid) = open.pop() {
            if services.contains(&pid) {
                continue;
            }
            all.push(pid);
            open.extend(children.get(&pid).into_iter().flatten());
        }
        all
    }
}
