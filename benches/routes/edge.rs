//! The side that is looked at: a stack in production, as `core init` sets it up, and its edge.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::apps::App;
use crate::common::demo::copy;
use crate::common::{Stack, checkout, free_port};
use crate::packages::Packages;
use crate::{ACTION_KEY, well};

/// A stack that runs.
pub(crate) struct Edge {
    /// Where its edge answers.
    pub(crate) port: u16,
    /// Where the app itself answers.
    pub(crate) inner: u16,
    /// The id of its release, which is the build id, too.
    pub(crate) id: String,
    stack: Stack,
}

impl Edge {
    /// The folder of its stack.
    pub(crate) fn root(&self) -> &Path {
        &self.stack.root
    }

    /// Brings an app up from its sources and a lock file alone.
    ///
    /// # Errors
    /// What core says.
    pub(crate) fn start(app: &App, packages: &Packages) -> Result<Self, String> {
        let stack = Stack::new().env("NEXT_SERVER_ACTIONS_ENCRYPTION_KEY", ACTION_KEY);
        let io = |error: std::io::Error| error.to_string();
        // What `Stack` makes is not there when a newcomer begins.
        for folder in ["services", "manifests"] {
            fs::remove_dir_all(stack.root.join(folder)).map_err(io)?;
        }
        // Caddy is fetched once for all apps, and for the next run.
        fs::create_dir_all(checkout().join(".dep")).map_err(io)?;
        symlink(checkout().join(".dep"), stack.root.join(".dep")).map_err(io)?;
        copy(&app.folder(), &stack.root);
        packages.lock(&stack.root)?;
        well("core init", &stack.core(&["init", "--yes"]))?;
        let port = free_port();
        stack.edit("caddy", |manifest| manifest["ports"] = json!({"http": {"port": port}}));
        well("core up", &stack.core(&["up", "-d", "--profile", "production", "--timeout", "300"]))?;
        let record = fs::read_to_string(stack.root.join(".releases/web/current/release.json")).map_err(io)?;
        let record: Value = serde_json::from_str(&record).map_err(|error| error.to_string())?;
        let inner = stack.instance("web")["ports"]["http"].as_u64().and_then(|port| u16::try_from(port).ok());
        let id = record["id"].as_str().unwrap_or_default().to_owned();
        Ok(Self { port, inner: inner.unwrap_or(0), id, stack })
    }
}
