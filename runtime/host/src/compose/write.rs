//! The file, written.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Project, project};
use crate::load::Stack;
use crate::paths::Paths;

/// Writes the file of a stack beside the loop; of several that are under way only the newest is written.
#[derive(Clone, Debug, Default)]
pub struct Writer(Arc<Turns>);

#[derive(Debug, Default)]
struct Turns {
    newest: AtomicU64,
    writing: Mutex<()>,
}

impl Writer {
    /// Begins to write the file.
    pub fn begin(&self, paths: &Paths, stack: Arc<Stack>) {
        let (turns, paths) = (self.0.clone(), paths.clone());
        let number = turns.newest.fetch_add(1, Ordering::Relaxed) + 1;
        let is_newest = move |turns: &Turns| turns.newest.load(Ordering::Relaxed) == number;
        let work = move || {
            // Nobody waits for the file; what is started meanwhile comes first. (This is of this thread alone.)
            let _ = rustix::process::nice(19);
            let project = make(&paths, &stack);
            let writing = turns.writing.lock().unwrap_or_else(PoisonError::into_inner);
            if is_newest(&turns)
                && let Err(message) = project.and_then(|project| put(&paths, &project))
            {
                crate::say(&message);
            }
            drop(writing);
        };
        if let Err(error) = std::thread::Builder::new().name("topology".into()).spawn(work) {
            crate::say(&format!("process-compose.yaml is not written: {error}"));
        }
    }
}

/// Writes the file of a stack.
///
/// # Errors
/// What cannot be written, and why.
pub fn write(paths: &Paths, stack: &Stack) -> Result<(), String> {
    put(paths, &make(paths, stack)?)
}

fn make(paths: &Paths, stack: &Stack) -> Result<Project, String> {
    let core = std::env::current_exe().map_err(|error| format!("core does not know where it is: {error}"))?;
    // A program that was replaced while it runs is said to be deleted; the new one stands in its place.
    let shown = core.display().to_string();
    let core = shown.strip_suffix(" (deleted)").map_or(core, |core| Path::new(core).to_owned());
    project(stack, &paths.root, &core).map_err(|error| failed(&paths.topology_file(), &error))
}

fn put(paths: &Paths, project: &Project) -> Result<(), String> {
    let state = paths.state();
    let at = |path: &Path, result: io::Result<()>| result.map_err(|error| failed(path, &error));
    at(&state, make_folder(&state))?;
    for folder in &project.folders {
        at(folder, make_folder(folder))?;
    }
    let (files, before) = (state.join("compose-files"), state.join("compose-files.before"));
    let beside = state.join("compose-files.new");
    let _ = fs::remove_dir_all(&beside);
    for file in &project.files {
        let path = file.path.strip_prefix(&files).map_or_else(|_| file.path.clone(), |path| beside.join(path));
        at(&path, make_folder(path.parent().unwrap_or(&beside)).and_then(|()| write_private(&path, &file.contents)))?;
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

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A file that only we may read.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}
