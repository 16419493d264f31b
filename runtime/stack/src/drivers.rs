//! The one table of drivers: what each kind of program knows of itself. Whoever wants something of a kind asks here, or
//! the spec; nobody else names one.

use core_engine::driver::{Expansion, SecretRequest, Surroundings};
use core_manifest::manifest::{Config, Kind};
use core_manifest::{ServiceName, ServiceSpec, Template};
use core_nats::{Fault, Member};

/// The settings of `config` that a kind has; none where it takes no `config`.
pub fn settings(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Nats => &["topology", "deployment"],
        Kind::Caddy => &["trusted_proxies"],
        Kind::Next => &["app"],
        Kind::Process | Kind::Pocketbase => &[],
    }
}

/// The kinds that have settings.
pub const WITH_SETTINGS: [Kind; 3] = [Kind::Nats, Kind::Caddy, Kind::Next];

/// What a kind fills in where a manifest says nothing, as JSON. `<name>` in it is the service's name, `<app>` the folder of
/// its app.
pub fn defaults(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Process => None,
        Kind::Caddy => Some(core_caddy::DEFAULTS),
        Kind::Nats => Some(core_nats::DEFAULTS),
        Kind::Pocketbase => Some(core_pocketbase::DEFAULTS),
        Kind::Next => Some(core_next::DEFAULTS),
    }
}

/// Whether a kind runs an app of the stack's own, which is looked for where a manifest does not name its folder.
pub fn has_app(kind: Kind) -> bool {
    kind == Kind::Next
}

/// Whether a `package.json` is that of such an app.
pub fn is_app(package: &str) -> bool {
    core_next::is_app(package)
}

/// The services that one manifest of a kind stands for; `None` where that is itself.
///
/// # Errors
/// What is wrong with its `config`.
pub fn members(kind: Kind, name: &ServiceName, config: &Config, profile: &str) -> Result<Option<Vec<Member>>, Fault> {
    match kind {
        Kind::Nats => core_nats::members(name, config, profile),
        Kind::Process | Kind::Caddy | Kind::Pocketbase | Kind::Next => Ok(None),
    }
}

/// The service that comes with the members of a manifest and ends before anybody may use them, where there is one.
pub fn join_of(manifest: &ServiceName) -> Option<ServiceName> {
    core_nats::join_of(manifest).ok()
}

/// The secret that a service of a kind needs, which core makes when nobody has set it.
pub fn secret(kind: Kind, member: Option<&Member>) -> Option<SecretRequest> {
    match kind {
        Kind::Pocketbase => Some(core_pocketbase::SECRET),
        Kind::Nats => member.filter(|member| member.is_clustered()).map(|_| core_nats::SECRET),
        Kind::Process | Kind::Caddy | Kind::Next => None,
    }
}

/// Has a driver complete a spec: more services, generated files, environment. `secret` is the one that it asked for.
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
