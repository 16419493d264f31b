//! What is worth telling people about an app.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::routes::{Class, Kind, Runtime};
use super::{Built, Payload, Scanned, dates};

/// Something that is worth telling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Finding {
    /// Its name, for programs: `proxy-without-matcher`.
    pub code: String,
    /// How much it matters.
    pub level: Level,
    /// What was found, as text for people.
    pub message: String,
    /// What to do, as text for people.
    pub help: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Something is wrong.
    Problem,
    /// Something goes wrong under some conditions.
    Warning,
    /// Something that one should know.
    #[default]
    Note,
}

/// Paths by which others ask whether an app is well.
const HEALTH: [&str; 7] = ["/api/health", "/api/healthz", "/health", "/healthz", "/api/status", "/api/ping", "/up"];
/// Parts of names that are of secrets, in a variable that every browser gets.
const SECRET_NAMES: [&str; 6] = ["SECRET", "PASSWORD", "PASSWD", "PRIVATE_KEY", "CREDENTIAL", "SERVICE_ROLE"];
/// How much of a request's body the proxy keeps, if the app does not say: 10 MB.
const PROXY_BODY: u64 = 10 << 20;
/// More script than this for a first page is slow on a phone: 1 MB, about 300 kB of it compressed.
const MUCH_SCRIPT: u64 = 1_000_000;

/// Collects findings.
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, code: &str, message: impl Into<String>, help: impl Into<String>) {
        self.0.push(Finding { code: code.to_owned(), level, message: message.into(), help: help.into() });
    }
}

/// What is worth telling about an app, the weightiest first.
pub(super) fn of(built: &Built, scanned: &Scanned, payload: &Payload, today: &str) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    secrets(&mut found, scanned, payload);
    versions(&mut found, payload, today);
    proxy(&mut found, payload);
    images(&mut found, payload);
    routes(&mut found, payload);
    variables(&mut found, scanned, payload);
    settings(&mut found, built, payload);
    found.0.sort_by_key(|finding| finding.level);
    found.0
}

fn secrets(found: &mut Findings, scanned: &Scanned, payload: &Payload) {
    for (name, script) in &scanned.leaked {
        let message = format!("the value of {name} is in {script}, which every browser gets");
        let help = "read it in code that only runs on the server, and take another value: this one is known now";
        found.add(Level::Problem, "secret-in-script", message, help);
    }
    for (what, script) in &scanned.secrets {
        let message = format!("{script}, which every browser gets, has {what} in it");
        found.add(
            Level::Problem,
            "secret-in-script",
            message,
            "take it out of the code, and withdraw it where it is from",
        );
    }
    let public = payload.variables.at_build.iter().chain(&payload.variables.missing);
    let mut public: Vec<&String> = public.filter(|name| SECRET_NAMES.iter().any(|part| name.contains(part))).collect();
    public.dedup();
    for name in public {
        let message = format!("{name} is in scripts that every browser gets, and is called like a secret");
        found.add(
            Level::Warning,
            "public-secret",
            message,
            "if it is one, call it without NEXT_PUBLIC_ and read it on the server",
        );
    }
}

fn versions(found: &mut Findings, payload: &Payload, today: &str) {
    let framework = &payload.framework;
    for (name, what, mended) in dates::faults(&framework.next) {
        let message = format!("Next.js {} has {name}: {what}", framework.next);
        found.add(Level::Problem, "known-fault", message, format!("take Next.js {mended} or later"));
    }
    if let Some(date) = dates::next_ended(&framework.next, today) {
        let message = format!("Next.js {} is not mended any more since {date}", framework.next);
        found.add(Level::Warning, "old-next", message, "take a newer major version");
    }
    let node = framework.node.as_deref().unwrap_or_default();
    if let Some(date) = dates::node_ended(node, today) {
        let message = format!("Node.js {node} is not mended any more since {date}");
        found.add(Level::Warning, "old-node", message, "take a newer major version");
    }
    if payload.packages.contains_key("next-pwa") || payload.packages.contains_key("@serwist/next") {
        let message = "a service worker may keep pages of old releases";
        found.add(Level::Note, "service-worker", message, "let it ask the network first for pages");
    }
}

fn proxy(found: &mut Findings, payload: &Payload) {
    let Some(proxy) = &payload.proxy else { return };
    if proxy.is_unlimited() {
        let message = "the proxy has no matcher: it runs for each script, image and public file, too";
        found.add(
            Level::Warning,
            "proxy-without-matcher",
            message,
            "give it a matcher, at least /((?!_next/static|_next/image).*)",
        );
    }
    let limit = payload.config.proxy_body_bytes.unwrap_or(PROXY_BODY);
    let takes_bodies =
        payload.routes.iter().any(|route| matches!(route.class, Class::Api)) || !payload.actions.is_empty();
    if takes_bodies {
        let message = format!(
            "the proxy keeps the first {} MB of a request's body; a route behind it gets no more of a larger upload, without an error",
            limit >> 20
        );
        let help = "leave routes that take uploads out of its matcher, or raise experimental.proxyClientMaxBodySize";
        found.add(Level::Note, "proxy-cuts-uploads", message, help);
    }
    if proxy.runtime == "edge" {
        let message = "the proxy runs in the edge runtime, which is slower here and has only a part of Node.js";
        found.add(
            Level::Note,
            "proxy-in-edge-runtime",
            message,
            "Next.js 16 runs `proxy` in Node.js; before, set runtime: 'nodejs'",
        );
    }
}

fn images(found: &mut Findings, payload: &Payload) {
    let images = &payload.config.images;
    if images.unoptimized && payload.config.output.as_deref() != Some("export") {
        let message = "images are sent as they are: they are often ten times as large as they need to be";
        found.add(Level::Warning, "unoptimised-images", message, "take images.unoptimized away");
    }
    if images.remote.iter().any(|pattern| ["*", "**"].contains(&pattern.hostname.as_str())) {
        let message = "images of any host are fetched and converted for anyone who asks";
        found.add(Level::Problem, "images-of-any-host", message, "name the hosts in images.remotePatterns");
    }
    if images.svg {
        let message = "drawings (SVG) are sent, which may have scripts in them";
        found.add(Level::Note, "svg-images", message, "keep images.contentSecurityPolicy as it is by default");
    }
    if images.private_networks {
        let message = "images may be fetched from addresses of private networks, by anyone who asks";
        found.add(Level::Warning, "images-of-private-networks", message, "take images.dangerouslyAllowLocalIP away");
    }
    let needs_sharp =
        payload.framework.next.split('.').next().is_some_and(|major| major.parse().is_ok_and(|major: u32| major < 15));
    if payload.caches.images && needs_sharp && !payload.packages.contains_key("sharp") {
        let message = "images are converted without sharp, slowly and with much memory";
        found.add(Level::Warning, "no-sharp", message, "install sharp");
    }
}

fn routes(found: &mut Findings, payload: &Payload) {
    let is_health = |path: &str| HEALTH.contains(&path);
    let is_export = payload.config.output.as_deref() == Some("export");
    if !is_export && !payload.routes.iter().any(|route| is_health(&route.path)) {
        let message = "no route says whether the app is well";
        let help =
            "add one that looks at what the app needs, such as app/api/health/route.ts, and ask it by readiness_probe";
        found.add(Level::Note, "no-health-route", message, help);
    }
    for route in payload.routes.iter().filter(|route| is_health(&route.path) && route.class == Class::Static) {
        let message = format!("{} was answered by the build, and says the same whatever happens", route.path);
        found.add(Level::Warning, "static-health-route", message, "add `export const dynamic = 'force-dynamic'` to it");
    }
    let edge: Vec<&str> =
        payload.routes.iter().filter(|route| route.runtime == Runtime::Edge).map(|route| route.path.as_str()).collect();
    if !edge.is_empty() {
        let message = format!("{} in the edge runtime, which only imitates another host here", run(&edge));
        found.add(
            Level::Note,
            "edge-runtime",
            message,
            "take runtime = 'edge' away: Node.js is faster on a host of one's own",
        );
    }
    for route in payload.routes.iter().filter(|route| route.script_bytes.is_some_and(|bytes| bytes > MUCH_SCRIPT)) {
        let kb = route.script_bytes.unwrap_or_default() / 1000;
        let message = format!("{} loads {kb} kB of scripts before it works", route.path);
        found.add(Level::Note, "much-script", message, "load what is not needed at once by next/dynamic");
    }
    let is_page = |route: &&super::Route| route.kind == Kind::Page && !route.path.starts_with("/_");
    let pages: Vec<_> = payload.routes.iter().filter(is_page).collect();
    if pages.len() > 2 && pages.iter().all(|route| route.class == Class::Ssr) {
        let message = "every page is rendered at each request";
        let help = "a layout that reads cookies or headers makes all pages below it so; read them deeper";
        found.add(Level::Note, "nothing-prerendered", message, help);
    }
}

/// Up to three paths, with the verb.
fn run(paths: &[&str]) -> String {
    let verb = if paths.len() == 1 { "runs" } else { "run" };
    match paths {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} and {} more {verb}", rest.len())
        }
        _ => format!("{} {verb}", paths.join(", ")),
    }
}

fn variables(found: &mut Findings, scanned: &Scanned, payload: &Payload) {
    let variables = &payload.variables;
    if !variables.missing.is_empty() {
        let names: Vec<&str> = variables.missing.iter().map(String::as_str).collect();
        let message = format!("{} had no value in the build, and is undefined in browsers", names.join(", "));
        found.add(
            Level::Warning,
            "missing-at-build",
            message,
            "set it in process.env of the manifest, in .env, or take it away",
        );
    }
    for (file, names) in &variables.files {
        // One that a later file has as well counts there.
        let is_unused = |name: &&String| {
            !name.starts_with(crate::build::PUBLIC_PREFIX)
                && !variables.at_run.contains(*name)
                && !scanned.named.contains(*name)
        };
        let unused: Vec<&str> = names.iter().filter(is_unused).map(String::as_str).collect();
        if !unused.is_empty() {
            let message = format!("nothing on the server reads {} of {file}", unused.join(", "));
            found.add(Level::Note, "unused-variables", message, "delete what is not needed");
        }
    }
}

fn settings(found: &mut Findings, built: &Built, payload: &Payload) {
    let config = &payload.config;
    if payload.files.source_maps > 0 {
        let message = format!(
            "{} source maps are published: anyone can read the sources of the browser's code",
            payload.files.source_maps
        );
        found.add(Level::Note, "source-maps", message, "take productionBrowserSourceMaps away, unless that is meant");
    }
    if config.ignores_type_errors {
        let message = "errors of types do not fail a build";
        found.add(Level::Note, "type-errors-ignored", message, "take typescript.ignoreBuildErrors away");
    }
    if config.powered_by {
        let message = "each answer names Next.js in X-Powered-By";
        found.add(Level::Note, "powered-by", message, "set poweredByHeader: false");
    }
    if !config.etags {
        let message = "pages have no etags: a browser loads them again though they did not change";
        found.add(Level::Note, "no-etags", message, "take generateEtags: false away");
    }
    if config.actions.origins.iter().any(|origin| ["*", "**", "*.*"].contains(&origin.as_str())) {
        let message = "pages of any site may call the server actions of the app";
        found.add(Level::Problem, "actions-of-any-site", message, "name the hosts in serverActions.allowedOrigins");
    }
    if let Some(handler) = &payload.caches.handler
        && !handler.contains("/.core/")
    {
        let message = "the app has a cache handler of its own, which core leaves in its place";
        found.add(Level::Note, "own-cache-handler", message, "it has to share its entries between replicas by itself");
    }
    if config.output.as_deref() == Some("export") {
        let rules = &payload.rules;
        let count = rules.redirects.len() + rules.rewrites.len() + rules.headers.len();
        if count > 0 || payload.proxy.is_some() {
            let message = "redirects, rewrites, headers and the proxy have no effect in a static export";
            found.add(Level::Warning, "rules-in-export", message, "take output: 'export' away, or do without them");
        }
    }
    let names = built.env_files.keys().filter(|name| name.ends_with(".local")).cloned().collect::<Vec<_>>();
    if !names.is_empty() {
        let message = format!("{} was there: the build and the release have its values", names.join(", "));
        found.add(
            Level::Note,
            "local-variables",
            message,
            "keep values of a server in its .env or .secrets, not in the project",
        );
    }
}
