//! The routes of an app, with their classes.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Built;
use super::config::{Config, text};

/// One route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Route {
    /// Its path, without the base path: `/blog/[slug]`.
    pub path: String,
    /// How its answers are made.
    pub class: Class,
    /// What answers.
    pub kind: Kind,
    /// Which router it is of.
    pub router: Router,
    /// Where its code runs.
    pub runtime: Runtime,
    /// Whether other paths than those that were prerendered are answered.
    pub other_paths: bool,
    /// The pages of it that the build rendered.
    pub prerendered: Vec<Prerendered>,
    /// For how long a request may take, in seconds, if the app says.
    pub max_seconds: Option<u64>,
    /// The size of the scripts that a browser loads to show it first, in bytes, without compression.
    pub script_bytes: Option<u64>,
    /// The entry that it is built from, below the folder of the router: `blog/[slug]/page`.
    pub source: String,
}

/// A page that the build rendered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Prerendered {
    /// Its path, without the base path.
    pub path: String,
    /// After how many seconds it is rendered again; `None`: only on demand.
    pub revalidate_seconds: Option<u64>,
    /// After how many seconds it is not served any more while it is rendered again.
    pub expire_seconds: Option<u64>,
    /// Its status code, if it is not 200.
    pub status: Option<u64>,
    /// Whether a part of it is left to each request.
    pub partial: bool,
    /// The size of the page, in bytes.
    pub bytes: Option<u64>,
}

/// How the answers of a route are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// By the build, one page.
    Static,
    /// By the build, a page for each of its paths; others are not found.
    Ssg,
    /// By the build or the first request, and again after a time.
    Isr,
    /// By the build or the first request, and again only when the app asks for it.
    OnDemand,
    /// Partly by the build; what is left of the page, at each request.
    PartialPrerender,
    /// At each request.
    #[default]
    Ssr,
    /// At each request, by a route handler or an API route.
    Api,
    /// At each request, in the edge runtime.
    Edge,
}

/// What answers a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A page.
    #[default]
    Page,
    /// A route handler (app router) or an API route (pages router).
    Handler,
}

/// A router of Next.js.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Router {
    /// The folder `app/`.
    #[default]
    App,
    /// The folder `pages/`.
    Pages,
}

/// Where code runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// Node.js.
    #[default]
    Nodejs,
    /// The edge runtime, which Next.js runs within Node.js here.
    Edge,
}

/// What is only there for other routes.
const INTERNAL: [&str; 4] = ["/_app", "/_document", "/_error", "/_global-error"];

/// The route of each entry of the app router: `/blog/[slug]/page` is `/blog/[slug]`.
pub(super) fn paths_of_entries(built: &Built) -> BTreeMap<String, String> {
    let routes = built.json(".next/app-path-routes-manifest.json");
    let pairs = routes.as_object().into_iter().flatten();
    pairs.filter_map(|(entry, path)| Some((entry.clone(), text(path)?))).collect()
}

/// The routes of an app, by path.
pub(super) fn of(built: &Built, config: &Config) -> Vec<Route> {
    let edge = built.json(".next/server/middleware-manifest.json")["functions"].take();
    let functions = built.json(".next/server/functions-config-manifest.json")["functions"].take();
    let pages = Prerenders::of(built, config);
    let mut all: BTreeMap<String, Route> = BTreeMap::new();
    for (entry, path) in paths_of_entries(built) {
        let kind = if entry.ends_with("/route") { Kind::Handler } else { Kind::Page };
        // Parallel routes are several entries of one path.
        let route = all.entry(path.clone()).or_insert_with(|| Route {
            source: entry.trim_start_matches('/').to_owned(),
            path,
            kind,
            ..Route::default()
        });
        if edge.get(&entry).is_some() {
            route.runtime = Runtime::Edge;
        }
    }
    let manifest = built.json(".next/server/pages-manifest.json");
    let mut finished = BTreeSet::new();
    for (written, file) in manifest.as_object().into_iter().flatten() {
        let path = pages.without_locale(written).to_owned();
        if file.as_str().is_some_and(|file| file.ends_with(".html")) {
            finished.insert(path.clone());
        }
        let kind = if path == "/api" || path.starts_with("/api/") { Kind::Handler } else { Kind::Page };
        let source = path.trim_start_matches('/').to_owned();
        let runtime = if edge.get(written).is_some() { Runtime::Edge } else { Runtime::Nodejs };
        let route = Route { path: path.clone(), kind, router: Router::Pages, runtime, source, ..Route::default() };
        all.entry(path).or_insert(route);
    }
    all.retain(|path, _| !INTERNAL.contains(&path.as_str()));
    for route in all.values_mut() {
        // Before Next.js 15, a page for what is not found is in no list.
        let page = format!(".next/server/app{}.html", route.path);
        let is_there = route.router == Router::App && built.bytes(&page).is_some();
        pages.fill(route, is_there || finished.contains(&route.path));
        let seconds = &functions[&route.path]["maxDuration"];
        route.max_seconds = seconds.as_u64();
    }
    all.into_values().collect()
}

/// The tags of pages that the build rendered, without those that the framework makes of their paths.
pub(super) fn tags(built: &Built) -> BTreeSet<String> {
    let metas = built.texts.iter().filter(|(path, _)| path.ends_with(".meta"));
    let metas = metas.filter_map(|(_, text)| serde_json::from_str::<Value>(text).ok());
    let tags = metas.filter_map(|meta| text(&meta["headers"]["x-next-cache-tags"]));
    tags.flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>())
        .filter(|tag| !tag.starts_with("_N_T_"))
        .collect()
}

/// What the build rendered.
struct Prerenders<'a> {
    built: &'a Built,
    manifest: Value,
    locales: Vec<String>,
    /// The pages, by the route that they are of.
    by_route: BTreeMap<String, Vec<Prerendered>>,
}

impl<'a> Prerenders<'a> {
    fn of(built: &'a Built, config: &Config) -> Self {
        let manifest = built.json(".next/prerender-manifest.json");
        let locales = config.i18n.as_ref().map(|i18n| i18n.locales.clone()).unwrap_or_default();
        let mut all = Self { built, manifest, locales, by_route: BTreeMap::new() };
        let pages = all.manifest["routes"].as_object().cloned().unwrap_or_default();
        for (path, page) in pages {
            let of = text(&page["srcRoute"]).unwrap_or_else(|| all.without_locale(&path).to_owned());
            let one = Prerendered {
                revalidate_seconds: page["initialRevalidateSeconds"].as_u64(),
                expire_seconds: page["initialExpireSeconds"].as_u64(),
                status: page["initialStatus"].as_u64().filter(|status| *status != 200),
                bytes: page["htmlSize"].as_u64(),
                partial: all.is_partial(&path, &page),
                path,
            };
            all.by_route.entry(of).or_default().push(one);
        }
        all
    }

    /// Whether only a part of a page was rendered. With `cacheComponents` each page could be, and most are whole; before
    /// the list says which, the file beside a page has what is postponed.
    fn is_partial(&self, path: &str, page: &Value) -> bool {
        if let Some(compute) = page["compute"].as_str() {
            return compute == "resuming";
        }
        let could_be = page["experimentalPPR"].as_bool() == Some(true);
        let name = if path == "/" { "/index" } else { path };
        could_be && self.built.json(&format!(".next/server/app{name}.meta"))["postponed"].is_string()
    }

    /// A path without the language that it begins with.
    fn without_locale<'b>(&self, path: &'b str) -> &'b str {
        let mut rest = self.locales.iter().filter_map(|locale| path.strip_prefix('/')?.strip_prefix(locale.as_str()));
        match rest.rfind(|rest| rest.is_empty() || rest.starts_with('/')) {
            Some("") => "/",
            Some(rest) => rest,
            None => path,
        }
    }

    /// Sets the class of a route. `finished` says whether the build left a page of it that needs no data.
    fn fill(&self, route: &mut Route, finished: bool) {
        let dynamic = &self.manifest["dynamicRoutes"][&route.path];
        let pages = self.by_route.get(&route.path).cloned().unwrap_or_default();
        let partial = pages.iter().any(|page| page.partial) || self.is_partial(&route.path, dynamic);
        // `false` means that other paths are not found; text or `null`, that the first request makes them.
        route.other_paths = dynamic.is_object() && dynamic["fallback"].as_bool() != Some(false);
        route.prerendered = pages;
        let again = route.prerendered.iter().any(|page| page.revalidate_seconds.is_some())
            || dynamic["fallbackRevalidate"].as_u64().is_some();
        route.class = match () {
            () if partial => Class::PartialPrerender,
            () if route.runtime == Runtime::Edge => Class::Edge,
            () if again => Class::Isr,
            () if dynamic.is_object() && route.other_paths => Class::OnDemand,
            () if dynamic.is_object() => Class::Ssg,
            () if !route.prerendered.is_empty() || finished => Class::Static,
            () if route.kind == Kind::Handler => Class::Api,
            () => Class::Ssr,
        };
    }
}

impl Class {
    /// The word for it, as in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Ssg => "ssg",
            Self::Isr => "isr",
            Self::OnDemand => "on-demand",
            Self::PartialPrerender => "partial-prerender",
            Self::Ssr => "ssr",
            Self::Api => "api",
            Self::Edge => "edge",
        }
    }
}
