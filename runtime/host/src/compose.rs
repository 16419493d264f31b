//! Writes the export for process-compose.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use core_shim::folder;
use core_stack::Stack;
use core_stack::compose::{Project, project};

use crate::own::own_program;
use crate::paths::Paths;

/// How long the start of one service takes when many are started.
const PER_SERVICE: Duration = Duration::from_millis(2);
/// The pause before writing counts at most this many services.
const MOST: u32 = 1000;

/// Writes the file in a thread of its own, which ends when this value is dropped. The stack is also freed there.
#[derive(Debug)]
pub(crate) struct Writer(Sender<Box<Stack>>);

impl Writer {
    /// Starts the thread. If the system has no thread left, the file is not written: nothing that runs needs it.
    pub(crate) fn new(paths: &Paths) -> Self {
        let (sender, stacks) = mpsc::channel::<Box<Stack>>();
        let paths = paths.clone();
        let work = move || {
            // The file is not urgent; starting services comes first. (The nice value applies to this thread only.)
            let _ = rustix::process::nice(19);
            while let Ok(stack) = stacks.recv() {
                // While hundreds of services start, they need the CPU more.
                std::thread::sleep(PER_SERVICE * u32::try_from(stack.topology.services.len()).unwrap_or(1).min(MOST));
                // If several stacks wait, only the newest matters.
                let newest = stacks.try_iter().last().unwrap_or(stack);
                if let Err(message) = write(&paths, &newest) {
                    tracing::warn!("{message}");
                }
                drop(newest);
                // Reading a stack takes many times the memory that is kept afterwards.
                core_shim::memory::trim_heap();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("topology".into()).spawn(work) {
            tracing::warn!("process-compose.yaml is not written: {error}");
        }
        Self(sender)
    }

    /// Requests that the file be written for a stack.
    pub(crate) fn begin(&self, stack: Box<Stack>) {
        let _ = self.0.send(stack);
    }
}

/// Writes the file for a stack.
///
/// # Errors
/// What cannot be written, and why.
pub fn write(paths: &Paths, stack: &Stack) -> Result<(), String> {
    put(paths, &make(paths, stack)?)
}

fn make(paths: &Paths, stack: &Stack) -> Result<Project, String> {
    let core = own_program().map_err(|error| format!("core does not know where it is: {error}"))?;
    project(stack, &paths.root, &core).map_err(|error| failed(&paths.topology_file(), &error))
}

fn put(paths: &Paths, project: &Project) -> Result<(), String> {
    let state = paths.state();
    let at = |path: &Path, result: io::Result<()>| result.map_err(|error| failed(path, &error));
    // Not what is above it: somebody may have moved the stack by now.
    at(&state, folder::make(&state, 0o700))?;
    for folder in &project.folders {
        at(folder, folder::make(folder, 0o700))?;
    }
    let (files, before) = (state.join("compose-files"), state.join("compose-files.before"));
    let beside = state.join("compose-files.new");
    let _ = fs::remove_dir_all(&beside);
    for file in &project.files {
        let path = file.path.strip_prefix(&files).map_or_else(|_| file.path.clone(), |path| beside.join(path));
        at(
            &path,
            folder::make(path.parent().unwrap_or(&beside), 0o700).and_then(|()| write_private(&path, &file.contents)),
        )?;
    }
    let _ = fs::remove_dir_all(&before);
    let _ = fs::rename(&files, &before);
    if beside.exists() {
        at(&files, fs::rename(&beside, &files))?;
    }
    let _ = fs::remove_dir_all(&before);
    let path = paths.topology_file();
    let new = path.with_extension("yaml.new");
    let _ = fs::remove_file(&new);
    at(&path, write_private(&new, &project.yaml).and_then(|()| fs::rename(&new, &path)))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{} cannot be written: {error}", path.display())
}

/// Writes a file that only the user may read.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}
