//! The log of a build: the output of its programs, kept until the next build of the same folder.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::fence::Limits;
use super::run::{self, Spoken};
use crate::paths::Paths;

pub(crate) struct Log {
    file: File,
    /// Its path, as shown to people.
    shown: String,
}

impl Log {
    /// The path of the log of a folder: one of `.dep/`, or a release.
    pub(crate) fn path(paths: &Paths, folder: &str) -> PathBuf {
        paths.logs().join("builds").join(format!("{folder}.log"))
    }

    /// Starts an empty log for a folder.
    pub(crate) async fn begin(paths: &Paths, folder: &str) -> Result<Self, String> {
        let path = Self::path(paths, folder);
        let logs = path.parent().unwrap_or(&path);
        core_shim::folder::make(logs, 0o777).map_err(|error| format!("{}: {error}", logs.display()))?;
        let file = File::create(&path).await.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { file, shown: paths.shown(&path) })
    }

    /// Goes on with the log of a folder, or starts one.
    pub(crate) async fn go_on(paths: &Paths, folder: &str) -> Result<Self, String> {
        let path = Self::path(paths, folder);
        if !path.exists() {
            return Self::begin(paths, folder).await;
        }
        let file = File::options().append(true).open(&path).await;
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { file, shown: paths.shown(&path) })
    }

    /// Adds a line.
    pub(crate) async fn say(&mut self, line: &str) {
        let _ = self.file.write_all(format!("{line}\n").as_bytes()).await;
    }

    /// Runs one step of a build. If it fails, the end of its output is the error.
    pub(crate) async fn run(&mut self, title: &str, command: &mut Command) -> Result<(), String> {
        let spoken = run::run(command, Some(&mut self.file)).await;
        self.tell(title, command, spoken).await
    }

    /// The same, within limits.
    pub(crate) async fn run_within(
        &mut self,
        title: &str,
        command: &mut Command,
        limits: Limits,
    ) -> Result<(), String> {
        let spoken = run::run_within(command, Some(&mut self.file), limits).await;
        self.tell(title, command, spoken).await
    }

    async fn tell(&mut self, title: &str, command: &Command, spoken: io::Result<Spoken>) -> Result<(), String> {
        // The log must be complete when the failure is reported.
        let _ = self.file.flush().await;
        match spoken {
            Ok(Spoken { success: true, .. }) => Ok(()),
            // The first line is what `core status` shows.
            Ok(spoken) => {
                let failure = spoken.failure();
                let what = if failure.is_empty() { String::new() } else { format!(": {failure}") };
                Err(format!("{title} failed{}{what}; see {}\n{}", spoken.killed(), self.shown, spoken.last))
            }
            Err(error) => Err(format!("{}: {error}", Path::new(command.as_std().get_program()).display())),
        }
    }
}
