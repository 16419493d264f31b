//! Where a command works: the root, the folders and the profile of its stack.

use std::path::PathBuf;

use core_host::binaries::Locator;
use core_host::journal::Journal;
use core_host::load::{self, Options};
use core_host::paths::Paths;
use core_host::trust::Trust;
use core_stack::Stack;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::render;

/// Where a command works.
pub(crate) struct Context {
    root: Option<PathBuf>,
    profile: Option<String>,
}

impl Context {
    pub(crate) fn new(cli: &Cli) -> Self {
        Self { root: cli.root.clone(), profile: cli.profile.clone() }
    }

    /// The same place with another profile.
    pub(crate) fn with_profile(&self, profile: Option<String>) -> Self {
        Self { root: self.root.clone(), profile }
    }

    /// The profile that was asked for.
    pub(crate) fn asked_profile(&self) -> Option<String> {
        self.profile.clone()
    }

    /// The root that was asked for.
    pub(crate) fn asked_root(&self) -> Option<PathBuf> {
        self.root.clone()
    }

    /// The folders of the stack.
    pub(crate) fn paths(&self) -> Result<Paths, Exit> {
        let root = match &self.root {
            Some(root) if !root.join("services").is_dir() => {
                render::error(&format!("{} holds no services/: it is not the root of a stack", root.display()));
                return Err(Exit::Usage);
            }
            Some(root) => Some(root.clone()),
            None => std::env::current_dir().ok().and_then(|folder| Paths::find_root(&folder)),
        };
        // A root that was named needs no check: the user knows who owns it.
        if let (None, Some(found)) = (&self.root, &root)
            && let Err(why) = Trust::check_found(found)
        {
            render::error(&format!("{} {why}: what is written there would be run", found.display()));
            render::help(&format!("if that is right: --root {}", found.display()));
            return Err(Exit::Usage);
        }
        let Some(root) = root else {
            render::error("neither this folder nor one above it holds services/: there is no stack here");
            render::help("make a folder services/<name>/ with a service.json, or name the root: --root DIR");
            return Err(Exit::Usage);
        };
        Paths::look(&root).map_err(|error| {
            render::error(&format!("{}: {error}", root.display()));
            Exit::Usage
        })
    }

    /// The profile: the one that was asked for, or that of the running stack, or `local`.
    pub(crate) fn profile(&self, paths: &Paths) -> String {
        let running = || {
            let is_there = paths.socket().exists();
            is_there.then(|| Journal::new(paths).read())?.map(|one| one.profile)
        };
        self.profile.clone().or_else(running).unwrap_or_else(|| "local".into())
    }

    /// Reads the stack without running anything it names, and prints its errors.
    pub(crate) fn load(&self, paths: &Paths) -> Result<Stack, Exit> {
        self.read(paths, false)
    }

    /// Like `load`, for a caller that runs what is written there.
    pub(crate) fn load_to_run(&self, paths: &Paths) -> Result<Stack, Exit> {
        self.read(paths, true)
    }

    fn read(&self, paths: &Paths, runs_programs: bool) -> Result<Stack, Exit> {
        let options = Options { profile: Some(self.profile(paths)), runs_programs, ..Options::default() };
        load::load(paths, &options, &mut Locator::default()).map_err(|faults| {
            render::diagnostics::print(&faults);
            Exit::Usage
        })
    }
}
