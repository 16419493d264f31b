//! The tools. To add one: a file beside these with a unit struct that implements [`Tool`], and its line in [`ALL`].

mod bare;
mod circus;
mod core;
mod horust;
mod mprocs;
mod pitchfork;
mod pm2;
mod process_compose;
mod runit;
mod s6;
mod supervisord;

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::place::Place;
use crate::service::Service;

/// All of them, in the order of the table's columns.
pub(crate) const ALL: [&dyn Tool; 12] = [
    &bare::Bare,
    &core::Core::Now,
    &core::Core::Before,
    &process_compose::ProcessCompose,
    &supervisord::Supervisord,
    &circus::Circus,
    &runit::Runit,
    &s6::S6,
    &pm2::Pm2,
    &horust::Horust,
    &mprocs::Mprocs,
    &pitchfork::Pitchfork,
];

/// What a tool can do, beyond starting and stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    /// It starts again what has ended.
    Restart,
    /// It starts one after another that said that it is ready.
    WaitForWord,
    /// It starts one after another that answers over HTTP.
    WaitForAnswer,
    /// It goes on asking over HTTP.
    Probe,
    /// It keeps output in files.
    Log,
    /// It carries out an edit of one service without touching the others.
    Apply,
    /// It is a supervisor: a process that can be killed and begun again.
    Supervise,
}

/// A tool: how it is told of its services, begun, asked and ended.
pub(crate) trait Tool: Sync {
    /// Its name, as it stands in the table.
    fn name(&self) -> &'static str;

    /// The programs that must be on PATH.
    fn programs(&self) -> &'static [&'static str];

    /// Whether it can be run here.
    fn is_here(&self) -> bool {
        let path = std::env::var("PATH").unwrap_or_default();
        self.programs().iter().all(|program| path.split(':').any(|folder| Path::new(folder).join(program).is_file()))
    }

    /// What it can do.
    fn abilities(&self) -> &'static [Ability];

    /// Writes what it reads. Called again with an edited service: then it writes anew what differs.
    fn prepare(&self, place: &Place, services: &[Service]) -> io::Result<()>;

    /// Begins it; returns the process begun.
    fn start(&self, place: &Place, services: &[Service]) -> io::Result<i32>;

    /// Asks it to end everything, as its users do.
    fn stop(&self, _place: &Place, main: i32) -> io::Result<()> {
        terminate(main, Signal::SIGTERM)
    }

    /// Asks it to carry out what was edited.
    fn apply(&self, _place: &Place) -> io::Result<()> {
        Err(io::Error::other("cannot"))
    }

    /// Which of its own processes is the supervisor.
    fn supervisor(&self, main: i32, _own: &[i32]) -> i32 {
        main
    }

    /// The files with the output of a service, in their order.
    fn log_files(&self, _place: &Place, _service: &str) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// Sends a signal to the process that was begun.
fn terminate(main: i32, signal: Signal) -> io::Result<()> {
    kill(Pid::from_raw(main), signal).map_err(io::Error::from)
}

/// The files of a folder whose names end so, sorted by name.
fn files_of(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    files.sort();
    files
}

/// The files of a logger after the manner of multilog, the oldest first.
fn rotated(folder: &Path) -> Vec<PathBuf> {
    [".s", ".u", "current"].iter().flat_map(|end| files_of(folder, end)).collect()
}
