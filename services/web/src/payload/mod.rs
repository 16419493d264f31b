//! The payload of a release: what is known of a built app. Its routes with their classes, its configuration, sizes,
//! packages, variables, caches, and what is worth telling people.
//!
//! It is made of the files that `next build` leaves, which all versions from 14 to 16 have. Nothing of it is a guess about
//! sources: what the build did not write down is not said.

mod built;
mod config;
mod dates;
mod edge;
mod findings;
mod routes;
mod rules;
mod scan;
mod sizes;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use built::{Built, File};
pub use config::{Actions, Config, Domain, I18n, Images, Pattern};
pub use edge::Edge;
pub use findings::{Finding, Level};
pub use routes::{Class, Kind, Prerendered, Route, Router, Runtime};
pub use rules::{HeaderRule, Matcher, Proxy, Redirect, Rewrite, Rules};
pub use scan::{Scan, Scanned};

/// The number of this format. It changes when a field changes its meaning; fields that are added do not change it.
pub const FORMAT: u32 = 1;

/// What is known of a built app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Payload {
    /// The number of the format of this file: 1.
    pub format: u32,
    /// The release, if it is one.
    pub release: Option<String>,
    /// What it was built with.
    pub framework: Framework,
    /// Its configuration, as far as it concerns routes and what is between browser and app.
    pub config: Config,
    /// Each route, by its path.
    pub routes: Vec<Route>,
    /// The proxy (called middleware before Next.js 16), if it has one.
    pub proxy: Option<Proxy>,
    /// Redirects, rewrites and headers of its configuration.
    pub rules: Rules,
    /// Files that browsers fetch.
    pub files: Files,
    /// What the edge may answer by itself.
    pub edge: Edge,
    /// Its direct dependencies, with the versions that are installed.
    pub packages: BTreeMap<String, String>,
    /// Names of variables, without their values.
    pub variables: Variables,
    /// Its server actions.
    pub actions: Vec<Action>,
    /// Which caches it uses.
    pub caches: Caches,
    /// What is worth telling people, the weightiest first.
    pub findings: Vec<Finding>,
}

impl Payload {
    /// The schema of its format (<https://json-schema.org>).
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

/// What an app was built with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Framework {
    /// The version of Next.js.
    pub next: String,
    /// The version of React.
    pub react: Option<String>,
    /// The version of Node.js, or its major version.
    pub node: Option<String>,
    /// The versions of Node.js that the app asks for (`engines` of its package.json).
    pub engines: Option<String>,
    /// What bundled it: `turbopack` or `webpack`.
    pub bundler: String,
    /// Its ID among builds, which is in the addresses of some files.
    pub build_id: String,
    /// The ID by which its pages ask for files of their own build.
    pub deployment_id: Option<String>,
}

/// Files that browsers fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Files {
    /// Files of `public/`.
    pub public: Vec<File>,
    /// How many files the build made for browsers.
    pub built: u64,
    /// Their size together, in bytes.
    pub built_bytes: u64,
    /// How many of these have a hash of their contents in their name.
    pub hashed: u64,
    /// The size of the scripts that every page of the app router loads, in bytes.
    pub shared_bytes: u64,
    /// How many source maps are published with them.
    pub source_maps: u64,
}

/// Names of variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Variables {
    /// Those that the build had and that its bundles have the values of (`NEXT_PUBLIC_*`).
    pub at_build: BTreeSet<String>,
    /// Those that code on the server reads when it runs.
    pub at_run: BTreeSet<String>,
    /// Those that scripts for browsers ask for and that the build did not have: they are undefined there.
    pub missing: BTreeSet<String>,
    /// Those of the files `.env*`, by file.
    pub files: BTreeMap<String, BTreeSet<String>>,
}

/// A server action.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Action {
    /// Its ID, as browsers send it.
    pub id: String,
    /// The name that it is exported with, if the build says it.
    pub name: Option<String>,
    /// Where it can be called from.
    pub routes: BTreeSet<String>,
}

/// Which caches an app uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Caches {
    /// How many pages were rendered by the build.
    pub prerendered: u64,
    /// How many of these are rendered again after a time.
    pub revalidated: u64,
    /// Whether it optimises images.
    pub images: bool,
    /// Whether `'use cache'` is on.
    pub use_cache: bool,
    /// Whether code on the server asks for revalidation on demand.
    pub on_demand: bool,
    /// How many functions have `'use cache'`.
    pub functions: u64,
    /// The app's own handler, if it has one.
    pub handler: Option<String>,
    /// Tags of the pages that were rendered by the build, without those that the framework makes of their paths.
    pub tags: BTreeSet<String>,
}

/// Makes the payload of an app. `release` is the ID of the release, if it is one. `today` is the date by which versions are past theirs, as `2026-11-27`.
pub fn of(built: &Built, scanned: &Scanned, release: Option<&str>, today: &str) -> Payload {
    let config = config::of(built);
    let (rules, proxy) = (rules::of(built), rules::proxy(built));
    let routes = routes::of(built, &config);
    let package = built.json("package.json");
    let version = |name: &str| {
        let text = built.text(&format!("node_modules/{name}/package.json"))?;
        serde_json::from_str::<serde_json::Value>(text).ok()?["version"].as_str().map(str::to_owned)
    };
    let dependencies = ["dependencies", "devDependencies"].map(|list| package[list].as_object().cloned());
    let names = dependencies.into_iter().flatten().flat_map(|list| list.into_iter().map(|(name, _)| name));
    let is_prerendered = |route: &&Route| !route.prerendered.is_empty();
    let pages = || routes.iter().filter(is_prerendered).flat_map(|route| &route.prerendered);
    // What browsers run has the words in any case; a build says whether they are used, a release has not its words.
    let said = built.json(".next/export-marker.json")["isNextImageImported"].as_bool();
    let uses_images = said.unwrap_or(scanned.uses_images);
    let deployment_id = built.json(".next/routes-manifest.json")["deploymentId"].as_str().map(str::to_owned);
    let deployment_id = deployment_id.or_else(|| config::text(&built.config()["deploymentId"]));
    let mut payload = Payload {
        format: FORMAT,
        framework: Framework {
            next: version("next").unwrap_or_default(),
            react: version("react"),
            node: built.node.clone(),
            engines: package["engines"]["node"].as_str().map(str::to_owned),
            bundler: bundler(built).to_owned(),
            build_id: built.text(".next/BUILD_ID").unwrap_or_default().trim().to_owned(),
            deployment_id,
        },
        caches: Caches {
            prerendered: pages().count() as u64,
            revalidated: pages().filter(|page| page.revalidate_seconds.is_some()).count() as u64,
            images: uses_images && !config.images.unoptimized,
            use_cache: config.use_cache,
            functions: references(built).filter(|(id, _)| is_cached_function(id)).count() as u64,
            on_demand: scanned.revalidates,
            handler: config::text(&built.config()["cacheHandler"]),
            tags: routes::tags(built),
        },
        edge: edge::of(built, &config, &rules, proxy.as_ref(), release),
        release: release.map(str::to_owned),
        proxy,
        rules,
        files: sizes::files(built),
        packages: names.filter_map(|name| Some((name.clone(), version(&name)?))).collect(),
        variables: scanned.variables(built),
        actions: actions(built),
        config,
        routes,
        ..Payload::default()
    };
    sizes::fill(built, &mut payload.routes);
    payload.findings = findings::of(built, scanned, &payload, today);
    payload
}

/// What bundled an app. Only Turbopack leaves these files, by version.
fn bundler(built: &Built) -> &'static str {
    let is_turbopack = |file: &File| file.path.contains("/turbopack-") || file.path.contains("[turbopack]_");
    if built.files.iter().any(is_turbopack) { "turbopack" } else { "webpack" }
}

/// Whether an ID is of a function with `'use cache'`, which stand in the same list: since Next.js 15, the first bit of
/// the ID says so.
fn is_cached_function(id: &str) -> bool {
    id.len() == 42 && id.as_bytes()[0] >= b'8'
}

/// The functions that others can ask for, by ID.
fn references(built: &Built) -> impl Iterator<Item = (String, serde_json::Value)> {
    let mut manifest = built.json(".next/server/server-reference-manifest.json");
    let lists = ["node", "edge"].map(|runtime| manifest[runtime].take());
    lists.into_iter().filter_map(|list| list.as_object().cloned()).flatten()
}

/// The server actions that a build wrote down.
fn actions(built: &Built) -> Vec<Action> {
    let paths = routes::paths_of_entries(built);
    let mut all: BTreeMap<String, Action> = BTreeMap::new();
    for (id, value) in references(built).filter(|(id, _)| !is_cached_function(id)) {
        let action = all.entry(id.clone()).or_insert_with(|| Action { id: id.clone(), ..Action::default() });
        // A name that the compiler made is not one of the sources.
        let name = value["exportedName"].as_str().filter(|name| !name.starts_with("$$"));
        action.name = action.name.take().or_else(|| name.map(str::to_owned));
        let workers = value["workers"].as_object().into_iter().flatten();
        let entries = workers.map(|(worker, _)| worker.strip_prefix("app").unwrap_or(worker));
        action.routes.extend(entries.map(|entry| paths.get(entry).cloned().unwrap_or_else(|| entry.to_owned())));
    }
    all.into_values().collect()
}
