//! Finds apps below the root of a stack, for a manifest that does not name its own.

use std::fs;
use std::path::Path;

use core_stack::{Apps, drivers};

use crate::binaries::NEVER_INPUTS;
use crate::files;

/// How many folders below the root to look for an app: `apps/web`, `services/web/app`.
const DEPTH: usize = 3;

/// The apps below the root of a stack.
pub(crate) struct Below<'a>(pub(crate) &'a Path);

impl Apps for Below<'_> {
    fn find(&self) -> Vec<String> {
        find(self.0)
    }

    fn read(&self, app: &str, name: &str) -> Option<String> {
        files::read(&self.0.join(app).join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The folders that hold an app, relative to the root (`.` for the root itself), in order.
pub(crate) fn find(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    look(root, "", 0, &mut all);
    all.sort();
    all
}

fn look(folder: &Path, relative: &str, depth: usize, all: &mut Vec<String>) {
    let package = files::read(&folder.join("package.json")).unwrap_or_default();
    if drivers::is_app(&String::from_utf8_lossy(&package)) {
        all.push(if relative.is_empty() { ".".into() } else { relative.to_owned() });
    }
    if depth == DEPTH {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_folder && !NEVER_INPUTS.contains(&name.as_str()) && !name.starts_with('.') {
            let below = if relative.is_empty() { name } else { format!("{relative}/{name}") };
            look(&entry.path(), &below, depth + 1, all);
        }
    }
}
