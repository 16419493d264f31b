//! The edge: from the routes of a stack to the Caddy configuration.
//!
//! Caddy dials pointer files (`"{file.<edge>/<service>/0.addr}"` …), which are all upstreams of one `reverse_proxy`. A
//! swap, a scale or a crash rewrites pointers and never this configuration, so a swap never closes an idle connection,
//! and websockets stay open. core holds the listening socket (`fd/N`), and the admin API is a unix socket in Caddy's
//! run folder.

pub mod access;
mod auth;
mod caa;
mod compression;
mod config;
mod files;
mod former;
mod here;
mod limits;
mod maintenance;
mod networks;
mod on_demand;
mod pages;
mod pattern;
mod pointer;
mod ports;
mod prefix;
mod proxy;
mod public;
mod routes;
mod terms;
mod tls;
mod trial;
mod verify;

use std::collections::BTreeMap;
use std::time::Duration;

pub use caa::issuers;
use core_engine::driver::{Expansion, Surroundings};
use core_manifest::spec::{Check, GeneratedFile, HttpAnswer, Probe, ServiceSpec, Tls};
use core_manifest::template::Piece;
use core_manifest::{Diagnostic, ServiceName, Template};
pub use limits::service_of as limits_of;
pub use maintenance::{BYPASS, IS_OPEN};
pub use on_demand::{COUNTER, PREVIEW_PATH};
pub use pattern::patterns;
pub use ports::default_ports;
pub use public::{ETAG, PUBLIC_OF, has_type};
pub use tls::names;
pub use trial::{CANARY, PUBLIC, SHARE, canary_pointer, preview_file};

/// Default values for manifests of this kind.
pub const DEFAULTS: &str = include_str!("defaults.json");

/// File name, in the run folder, of the configuration that it starts with.
pub const CONFIG: &str = "caddy.json";
/// File name of the whole configuration, if it is given that once it has its certificates.
pub const LOADED: &str = "loaded.json";
/// File name of the admin API's socket in the run folder.
pub const ADMIN: &str = "admin.sock";

/// The root certificate of a CA of Caddy's own, in the data folder of the edge.
pub const ROOT: &str = "pki/authorities/local/root.crt";

/// File name, in the run folder, of what Caddy says of certificates, one JSON object a line.
pub const TLS_LOG: &str = "tls.log";

/// File name, in the run folder, of the socket for requests to each pointer.
pub const VERIFY: &str = "verify.sock";
/// Response header on that socket: the address that the request was sent to.
pub const REACHED: &str = "x-core-reached";

/// File name of a pointer to an instance that serves.
pub fn pointer(number: u32) -> String {
    format!("{number}.addr")
}

/// File name of the ID of the release that was replaced, beside the pointers; it is empty while there is none.
pub const FORMER: &str = "former";
/// How many pointers name instances of that release.
pub const FORMER_POINTERS: u32 = 4;

/// How many pointers name instances of a canary.
pub const CANARY_POINTERS: u32 = 16;

/// File name of a pointer to an instance of that release.
pub fn former_pointer(number: u32) -> String {
    format!("{FORMER}.{number}.addr")
}

/// The folder, beside the pointers, of what is answered for the time of a check whether a name leads here.
pub const HERE: &str = ".here";
/// Where that is asked for, on the port without certificates.
pub const HERE_PATH: &str = "/.well-known/core-stack/";
/// How this program calls itself in its answers.
pub const SERVER: &str = "Caddy";

/// File name, beside the pointers, of what `Retry-After` has while a service is in maintenance; empty while it is not.
pub const MAINTENANCE: &str = "maintenance";
/// What [`maintenance_file`] calls the name of the socket that requests wait for that are held.
pub const GATE: &str = "gate";
/// How many seconds a request may be held for.
pub const HOLDS: [u32; 5] = [5, 10, 20, 30, 60];

/// File name of what belongs to the maintenance of a service: the page (`html`), what lets people in by a cookie (`pass`), the
/// networks that are let in as regular expressions (`v4`, `v6`), for how long requests are held (`hold`), [`GATE`].
pub fn maintenance_file(what: &str) -> String {
    format!("{MAINTENANCE}.{what}")
}

/// Path prefix, on [`VERIFY`], of requests for a service through one of its pointers.
pub fn verify_path(service: &str, pointer: u32) -> String {
    format!("/{service}/{pointer}")
}

/// The ID of the configuration in the admin API: `/id/core`.
const ID: &str = "core";

/// The connections of Caddy on both sides.
#[derive(Clone, Copy, Debug)]
pub enum Wiring<'a> {
    /// The sockets that core holds, and core's pointers.
    Held,
    /// Without core: Caddy listens on the ports itself, and dials these addresses of each service.
    Direct(&'a BTreeMap<ServiceName, Vec<String>>),
}

/// Completes the edge: generates its configuration from the routes of all services.
///
/// # Errors
/// When it has no held port to listen on, or cannot get the certificates that it is to have.
pub fn expand(mut spec: ServiceSpec, around: Surroundings<'_>) -> Expansion {
    let Some((_, _)) = spec.held_ports().next() else {
        return Err(vec![
            Diagnostic::new("no-held-port", format!("the edge `{}` has no held port to listen on", spec.name))
                .service(spec.name.as_str())
                .help("give it a port with a number, and no \"hold\": false: core keeps the socket open while Caddy is replaced or crashed"),
        ]);
    };
    tls::check(&spec, around)?;
    let file = config_file(&spec, around, Wiring::Held)?;
    if spec.edge.tls != Tls::Off && spec.readiness.as_ref().is_some_and(is_ours) {
        // It has its certificates before it takes requests: where another edge serves, too, nobody waits for them.
        let idle = config::idle(&spec, around);
        spec.files.push(GeneratedFile { path: Template::literal(LOADED), contents: file.contents });
        spec.files.push(GeneratedFile { path: file.path, contents: template(&spec, &idle)? });
        if let Some(probe) = &mut spec.readiness {
            probe.check = Check::Loaded {
                socket: in_run(ADMIN),
                path: Template::literal("/config/apps/http/@id"),
                says: ID.into(),
                load: "/load".into(),
                file: in_run(LOADED),
            };
        }
    } else {
        spec.files.push(file);
    }
    spec.files.extend(pages::files(&spec, around));
    spec.liveness.get_or_insert_with(has_its_configuration);
    let limits = limits::service(&spec, around)?;
    Ok([spec].into_iter().chain(limits).collect())
}

/// A Caddy that has lost its configuration is restarted, and so gets it back. Slowness alone is not a reason: it may be
/// at its limit.
fn has_its_configuration() -> Probe {
    Probe {
        check: Check::HttpUnix {
            socket: in_run(ADMIN),
            path: Template::literal(format!("/id/{ID}")),
            answer: HttpAnswer { headers: BTreeMap::new(), status: 200, body_contains: None },
        },
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(2),
        timeout: Duration::from_secs(10),
        success_threshold: 1,
        failure_threshold: 3,
    }
}

/// Whether a readiness probe only asks the admin API, as that of the defaults does.
fn is_ours(probe: &Probe) -> bool {
    matches!(&probe.check, Check::HttpUnix { socket, .. } if *socket == in_run(ADMIN))
}

/// A path in the run folder.
fn in_run(name: &str) -> Template {
    Template::from_pieces([Piece::Run, Piece::Text(format!("/{name}"))])
}

/// The configuration that an edge serves with, of those that were generated for it.
pub fn configuration(spec: &ServiceSpec) -> Option<&Template> {
    let file = |name: &str| spec.files.iter().find(|file| file.path == Template::literal(name));
    file(LOADED).or_else(|| file(CONFIG)).map(|file| &file.contents)
}

/// How Caddy is called to read a configuration and no more.
pub fn reads_only(file: &str) -> [&str; 3] {
    ["validate", "--config", file]
}

/// The configuration of the edge as a file in its run folder.
///
/// # Errors
/// When it is not a valid template, which is a bug in core.
pub fn config_file(
    spec: &ServiceSpec,
    around: Surroundings<'_>,
    wiring: Wiring<'_>,
) -> Result<GeneratedFile, Vec<Diagnostic>> {
    let contents = template(spec, &config::build(spec, around, wiring))?;
    Ok(GeneratedFile { path: Template::literal(CONFIG), contents })
}

fn template(spec: &ServiceSpec, text: &str) -> Result<Template, Vec<Diagnostic>> {
    Template::parse(text).map_err(|message| {
        vec![Diagnostic::new("internal", format!("the edge's configuration: {message}")).service(spec.name.as_str())]
    })
}
