//! The stack of this repository, with real Next.js, Caddy, NATS and PocketBase.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Stack, checkout, free_port, manifests};

/// Downloads, `npm ci` and a build are not counted by `--timeout`; this is for what starts then, on a slow machine.
pub(crate) const UP: [&str; 6] = ["up", "-d", "--profile", "test", "--timeout", "300"];

/// The profile under which it runs.
const PROFILE: &str = "manifests/test.json";

/// The stack of this repository in a folder of its own, with ports of its own.
pub(crate) struct Demo {
    /// Where it runs.
    pub(crate) stack: Stack,
    /// The edge.
    pub(crate) page: String,
    /// PocketBase.
    pub(crate) records: String,
    /// The monitoring port of NATS.
    pub(crate) monitor: String,
}

impl Demo {
    /// With ports of its own; nothing of it runs.
    pub(crate) fn new() -> Self {
        let stack = Stack::with_programs();
        let checkout = checkout();
        copy(&checkout.join("services"), &stack.root.join("services"));
        let (web, pocketbase, client, monitor) = (free_port(), free_port(), free_port(), free_port());
        // Node.js from the same place on every machine; all else is as the manifests say.
        let mut binaries = manifests::whole("web")["binaries"].take();
        binaries[0]["sources"].as_array_mut().expect("sources").retain(|source| source["source"] != "path");
        let profile = json!({
            "services": {
                "caddy": {"ports": {"http": {"port": web}}},
                "pocketbase": {"ports": {"http": {"port": pocketbase}}},
                "nats": {"ports": {"client": {"port": client}, "monitor": {"port": monitor}}},
                "web": {"binaries": binaries},
            },
            "ports": {"auto": auto_range(&stack)},
        });
        stack.write(PROFILE, &profile.to_string());
        Self {
            stack,
            page: format!("http://127.0.0.1:{web}"),
            records: format!("http://127.0.0.1:{pocketbase}"),
            monitor: format!("http://127.0.0.1:{monitor}"),
        }
    }
}

/// Copies a folder without what is made in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let name = entry.file_name();
        if name == "node_modules" || name == ".next" {
            continue;
        }
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(name));
        } else {
            fs::copy(entry.path(), to.join(name)).expect("a file");
        }
    }
}

fn auto_range(stack: &Stack) -> String {
    let local = fs::read_to_string(stack.root.join("manifests/local.json")).expect("the profile");
    let local: Value = serde_json::from_str(&local).expect("JSON");
    local["ports"]["auto"].as_str().expect("a range").to_owned()
}
