//! The packages of the apps, which are the same for all: resolved and fetched once.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::apps::APPS;
use crate::common::Said;
use crate::well;

/// A folder with the packages and their lock file.
pub(crate) struct Packages {
    folder: tempfile::TempDir,
}

impl Packages {
    /// Fetches them from npm's registry.
    ///
    /// # Errors
    /// What npm says.
    pub(crate) fn fetch() -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("core-routes-").tempdir().map_err(|error| error.to_string())?;
        let from = APPS[0].folder().join("package.json");
        fs::copy(from, folder.path().join("package.json")).map_err(|error| error.to_string())?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund"]).current_dir(folder.path()).env_remove("NODE_ENV");
        well("npm install", &Said::of(npm.output().map_err(|error| format!("npm: {error}"))?))?;
        Ok(Self { folder })
    }

    /// Puts the lock file into the folder of an app.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub(crate) fn lock(&self, app: &Path) -> Result<(), String> {
        let name = "package-lock.json";
        fs::copy(self.folder.path().join(name), app.join(name)).map(|_| ()).map_err(|error| format!("{name}: {error}"))
    }

    /// Puts the packages there, too. They are linked, since nobody writes into them.
    ///
    /// # Errors
    /// What `cp` says.
    pub(crate) fn put(&self, app: &Path) -> Result<(), String> {
        self.lock(app)?;
        let mut copy = Command::new("cp");
        copy.arg("-al").arg(self.folder.path().join("node_modules")).arg(app);
        well("cp", &Said::of(copy.output().map_err(|error| format!("cp: {error}"))?))
    }
}
