//! `release.json`: what is known of a release.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use core_engine::record::Cause;
use core_next::payload::Payload;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::binaries::platform;
use crate::users;

/// The file in the folder of a release.
pub(super) const FILE: &str = "release.json";

/// The file with what is known of its app.
pub(super) const PAYLOAD: &str = "payload.json";

/// Who deploys a release, and what for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deployer {
    /// The name of the user, or what caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The message of `core deploy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is known of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Its ID.
    pub id: String,
    /// The service that it is a release of.
    pub service: String,
    /// When it was made, in RFC 3339.
    pub made: String,
    /// Who deployed it, and what for.
    #[serde(flatten)]
    pub deployer: Deployer,
    /// The hash of everything that it was built from.
    pub source: String,
    /// The hash of the files that `config.watch_paths` names, if it names any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<String>,
    /// The commit of the sources, if they are in a git checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether the sources differed from that commit.
    #[serde(default)]
    pub dirty: bool,
    /// Variables that are in the build, each with a digest of its value.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// The version of the framework.
    #[serde(default)]
    pub next: String,
    /// The version of Node.js that built it.
    #[serde(default)]
    pub node: String,
    /// The platform that it was built for: `linux-x86_64`.
    #[serde(default)]
    pub platform: String,
    /// The C library that it was built for: `glibc` or `musl`.
    #[serde(default)]
    pub libc: String,
    /// The size of what runs, in bytes.
    #[serde(default)]
    pub bytes: u64,
    /// How long each step took, in seconds.
    #[serde(default)]
    pub seconds: BTreeMap<String, f64>,
}

impl Deployer {
    /// Who it is, by what caused the deploy. May ask another host for the name of a user.
    pub(crate) fn new(by: Cause, message: Option<String>) -> Self {
        let uid = if let Cause::User(uid) = by { uid } else { None };
        let name = |uid| users::name(uid).unwrap_or_else(|| format!("uid {uid}"));
        Self { by: uid.map(name), message }
    }
}

/// What is known of the app of the release in a folder; `None` if that was never written, or cannot be read.
pub(super) fn payload(release: &Path) -> Option<Payload> {
    serde_json::from_slice(&fs::read(release.join(PAYLOAD)).ok()?).ok()
}

impl Record {
    /// Reads it from the folder of a release; `None` if there is none.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// With what is known of this host.
    pub(super) fn of_this_host() -> Self {
        // Programs of a host with musl are started by its own loader.
        let is_musl = fs::read_dir("/lib")
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"ld-musl-"));
        let libc = if is_musl { "musl" } else { "glibc" };
        Self { platform: platform(), libc: libc.to_owned(), ..Self::default() }
    }

    /// Writes it into the folder of a release.
    ///
    /// # Errors
    /// The error of the file system, as text.
    pub(super) fn write(&self, folder: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(folder.join(FILE), text + "\n").map_err(|error| format!("{FILE}: {error}"))
    }

    /// Notes the commit of the sources, by the host's git.
    pub(super) fn note_commit(&mut self, folder: &Path) {
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(folder).args(args).stdin(Stdio::null()).stderr(Stdio::null());
            let said = command.env("GIT_OPTIONAL_LOCKS", "0").output().ok().filter(|said| said.status.success())?;
            Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
        };
        self.commit = git(&["rev-parse", "HEAD"]);
        if self.commit.is_some() {
            self.dirty = git(&["status", "--porcelain", "--", "."]).is_none_or(|said| !said.is_empty());
        }
    }
}
