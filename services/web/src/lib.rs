//! Next.js: how an app is built as a standalone server, and the environment that the server needs.

pub mod build;
pub mod cache;
pub mod manager;
pub mod next_version;
mod node;
pub mod payload;
mod scripts;

use core_engine::driver::{Expansion, Surroundings};
use core_engine::trial::CANARY;
use core_manifest::spec::{GeneratedFile, ServiceSpec};
use core_manifest::{Diagnostic, Template};

pub use build::{ADAPTER, ADAPTER_FILE, is_input};
pub use node::Node;
pub use scripts::{Installed, Scripts, TRUSTED, Trusted, has_postinstall};

/// Default values for manifests of this kind that run a release.
pub const DEFAULTS: &str = include_str!("defaults.json");
/// Default values for those that run the development server.
pub const DEV_DEFAULTS: &str = include_str!("dev.json");

/// The program that starts a release's server: it tells Next.js its public address.
const SERVER: &str = include_str!("server.cjs");
/// The variable with the cookie that names its release, if it is to set one.
const SKEW_COOKIE: &str = "CORE_SKEW_COOKIE";
/// Where it says how much it has answered: a file beside it.
pub const ANSWERS: &str = "answers";
/// Its file, in the folder of a run.
const SERVER_FILE: &str = "server.cjs";
/// What it needs beside it: keys of server actions.
const ACTIONS: &str = include_str!("actions.cjs");
const ACTIONS_FILE: &str = "actions.cjs";

/// Whether a `package.json` belongs to a Next.js app.
pub fn is_app(package: &str) -> bool {
    let package: serde_json::Value = serde_json::from_str(package).unwrap_or_default();
    ["dependencies", "devDependencies"].iter().any(|list| package[list].get("next").is_some())
}

/// Completes a Next.js server: sets the environment that its standalone server reads.
///
/// # Errors
/// When the manifest has a setting that would make Next.js lose requests.
pub fn expand(mut spec: ServiceSpec, around: Surroundings<'_>) -> Expansion {
    if spec.env.contains_key("NEXT_MANUAL_SIG_HANDLE") {
        return Err(vec![
            Diagnostic::new(
                "lossy-setting",
                format!(
                    "`{}` sets NEXT_MANUAL_SIG_HANDLE: its server would drop requests when it is asked to end",
                    spec.name
                ),
            )
            .service(spec.name.as_str())
            .help("take the variable away"),
        ]);
    }
    let mut default = |name: &str, value: &str| {
        spec.env.entry(name.to_owned()).or_insert_with(|| Template::literal(value));
    };
    // Many shells export HOSTNAME, and the server would bind to that name.
    default("HOSTNAME", "127.0.0.1");
    // Longer than the edge keeps an idle connection (2 s), so that the edge is the side that closes it.
    default("KEEP_ALIVE_TIMEOUT", "15000");
    default("NEXT_TELEMETRY_DISABLED", "1");
    default("NODE_ENV", "production");
    if let Some(release) = spec.release.clone().filter(|id| !id.is_empty()) {
        // A canary is the same app for its visitors; what a preview caches is nobody else's.
        let is_preview = spec.name.of_trial().is_some_and(|(_, trial)| trial != CANARY);
        let owner = if is_preview { spec.name.clone() } else { spec.name.parent() };
        let entries = format!("{}/{owner}/{}", around.data, cache::ENTRIES);
        for (name, value) in [(cache::DIR, entries), (cache::RELEASE, release)] {
            spec.env.insert(name.to_owned(), Template::literal(value));
        }
        if let Some(cookie) = spec.release_cookie() {
            spec.env.insert(SKEW_COOKIE.to_owned(), Template::literal(&cookie));
        }
        for (name, text) in [(SERVER_FILE, SERVER), (ACTIONS_FILE, ACTIONS)] {
            spec.files.push(GeneratedFile { path: Template::literal(name), contents: Template::literal(text) });
        }
    }
    Ok(vec![spec])
}
