//! The one table of drivers: what each kind of program needs. All code that depends on a kind asks here, or the spec;
//! no other place names a driver.

use std::collections::BTreeSet;

use core_engine::Topology;
use core_engine::driver::{Expansion, SecretRequest, Surroundings};
use core_manifest::manifest::config::Mode;
use core_manifest::manifest::{Config, Kind};
use core_manifest::{ServiceName, ServiceSpec, Template};
use core_nats::{Fault, Member};

/// The settings of `config` that a kind has; empty if it takes no `config`.
pub fn settings(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Nats => &["topology", "deployment"],
        Kind::Caddy => &[
            "trusted_proxies",
            "proxy_protocol",
            "tls",
            "email",
            "acme",
            "certificates",
            "on_demand",
            "http3",
            "headers",
            "limits",
            "allow",
            "deny",
            "auth",
            "error_pages",
            "access_log",
        ],
        Kind::Next => &[
            "app",
            "mode",
            "persist",
            "keep",
            "build",
            "release_command",
            "hooks",
            "watch_paths",
            "skew_cookie",
            "preview",
        ],
        Kind::Process | Kind::Pocketbase => &[],
    }
}

/// The kinds that have settings.
pub const WITH_SETTINGS: [Kind; 3] = [Kind::Nats, Kind::Caddy, Kind::Next];

/// The values that a kind fills in where a manifest sets nothing, as JSON. `<name>` stands for the name of the service,
/// `<app>` for the folder of its app, `<at-root>` for whether that is the stack's root. `mode` counts for a kind that has
/// an app.
pub fn defaults(kind: Kind, mode: Mode) -> Option<&'static str> {
    match kind {
        Kind::Process => None,
        Kind::Caddy => Some(core_caddy::DEFAULTS),
        Kind::Nats => Some(core_nats::DEFAULTS),
        Kind::Pocketbase => Some(core_pocketbase::DEFAULTS),
        Kind::Next if mode == Mode::Dev => Some(core_next::DEV_DEFAULTS),
        Kind::Next => Some(core_next::DEFAULTS),
    }
}

/// Words of these values that depend on the service's settings, the profile or the app, and what they stand for. `read`
/// returns the text of a file of the app.
pub fn words(
    kind: Kind,
    config: &Config,
    profile: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Vec<(&'static str, String)> {
    match kind {
        Kind::Caddy => vec![("\"<ports>\"", core_caddy::default_ports(config.tls(profile), profile))],
        Kind::Next => {
            let file = read(".nvmrc").or_else(|| read(".node-version"));
            let node = core_next::Node::of(file.as_deref(), &read("package.json").unwrap_or_default());
            vec![("<node-range>", node.range), ("<node-version>", node.version.to_owned())]
        }
        Kind::Process | Kind::Nats | Kind::Pocketbase => Vec::new(),
    }
}

/// The kind of the apps that are searched for.
pub const APPS: Kind = Kind::Next;

/// The file in the run folder of such an app in which it says how much it has answered.
pub const ANSWERS: &str = core_next::ANSWERS;

/// The file in the run folder of an edge in which it says why certificates could not be had.
pub const TLS_LOG: &str = core_caddy::TLS_LOG;

/// How an edge's program is called to read a configuration and no more.
pub fn reads_only(file: &str) -> [&str; 3] {
    core_caddy::reads_only(file)
}

/// The socket in an edge's run folder on which it is asked for a service through one of its pointers.
pub const VERIFY: &str = core_caddy::VERIFY;

/// The path on it for a service through this pointer; that of the service follows.
pub fn verify_path(service: &ServiceName, pointer: u32) -> String {
    core_caddy::verify_path(service.as_str(), pointer)
}

/// The configuration that an edge serves with, if its driver has generated one.
pub fn edge_configuration(edge: &ServiceSpec) -> Option<&Template> {
    core_caddy::configuration(edge)
}

/// The socket, beside the pointers, on which an edge asks whether a name that no route has may get a certificate.
pub const COUNTER: &str = core_caddy::COUNTER;
/// The path on it for names of previews.
pub const PREVIEW_PATH: &str = core_caddy::PREVIEW_PATH;

pub use core_caddy::{BYPASS, GATE, HOLDS, IS_OPEN, MAINTENANCE, maintenance_file, patterns};

/// The root certificate of an edge's own CA, in its data folder.
pub const ROOT_CERTIFICATE: &str = core_caddy::ROOT;

/// Where an edge is asked whether a name leads to it: the folder beside its pointers, the path of a request, and what its
/// answers name as their server.
pub const HERE: (&str, &str, &str) = (core_caddy::HERE, core_caddy::HERE_PATH, core_caddy::SERVER);

/// The access logs of edges: where they are, and what a line of them says.
pub use core_caddy::access;

/// The names that an edge is to have certificates for.
pub fn certified(edge: &ServiceSpec, topology: &Topology) -> BTreeSet<String> {
    core_caddy::names(edge, topology.services.values().map(AsRef::as_ref))
}

/// How the CAs that an edge asks call themselves in CAA records; empty if that is not known.
pub fn issuers(edge: &ServiceSpec) -> Vec<&'static str> {
    core_caddy::issuers(edge)
}

/// Whether a kind runs an app of the stack, which is searched for if a manifest does not name its folder.
pub fn has_app(kind: Kind) -> bool {
    kind == APPS
}

/// Whether a file of the folder of an app is an input of its build: its path relative to the folder, with `/`.
pub fn is_app_input(path: &str) -> bool {
    core_next::is_input(path)
}

/// Whether a variable of this name is put into what such an app sends to browsers.
pub fn is_public_variable(name: &str) -> bool {
    name.starts_with(core_next::build::PUBLIC_PREFIX)
}

/// Whether a `package.json` belongs to such an app.
pub fn is_app(package: &str) -> bool {
    core_next::is_app(package)
}

/// The services that one manifest of a kind stands for; `None` if it stands for itself.
///
/// # Errors
/// What is wrong with its `config`.
pub fn members(kind: Kind, name: &ServiceName, config: &Config, profile: &str) -> Result<Option<Vec<Member>>, Fault> {
    match kind {
        Kind::Nats => core_nats::members(name, config, profile),
        Kind::Process | Kind::Caddy | Kind::Pocketbase | Kind::Next => Ok(None),
    }
}

/// The one-shot service that comes with the members of a manifest and has to exit before they may be used, if any.
pub fn join_of(manifest: &ServiceName) -> Option<ServiceName> {
    core_nats::join_of(manifest).ok()
}

/// The secret that a service of a kind needs, which core generates when it is not set.
pub fn secret(kind: Kind, member: Option<&Member>) -> Option<SecretRequest> {
    match kind {
        Kind::Pocketbase => Some(core_pocketbase::SECRET),
        Kind::Nats => member.filter(|member| member.is_clustered()).map(|_| core_nats::SECRET),
        Kind::Process | Kind::Caddy | Kind::Next => None,
    }
}

/// Lets a driver complete a spec: more services, generated files, environment. `secret` is the one it asked for.
///
/// # Errors
/// What is wrong with the manifest for this kind.
pub fn expand(spec: ServiceSpec, member: Option<&Member>, secret: &Template, around: Surroundings<'_>) -> Expansion {
    match spec.kind {
        Kind::Process => Ok(vec![spec]),
        Kind::Caddy => core_caddy::expand(spec, around),
        Kind::Nats => core_nats::expand(spec, member, secret, around),
        Kind::Pocketbase => core_pocketbase::expand(spec, secret, around),
        Kind::Next => core_next::expand(spec, around),
    }
}
