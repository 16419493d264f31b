//! The edge: from the routes of a stack to the configuration of Caddy.
//!
//! Caddy dials pointer files (`"{file.<edge>/<service>/0.addr}"` …), all of them upstreams of one `reverse_proxy`; a
//! swap, a scale or a crash rewrites pointers and never this configuration. So an idle connection is never closed for
//! a swap, and websockets go on. Its listening socket is held by core (`fd/N`), its admin API is a unix socket in its
//! own run folder.

mod config;

use std::collections::BTreeMap;
use std::time::Duration;

use core_engine::driver::{Expansion, Surroundings};
use core_manifest::spec::{Check, GeneratedFile, HttpAnswer, Probe, ServiceSpec};
use core_manifest::template::Piece;
use core_manifest::{Diagnostic, ServiceName, Template};

/// What a manifest of this kind need not say.
pub const DEFAULTS: &str = include_str!("defaults.json");

/// Name of the configuration in the run folder.
pub const CONFIG: &str = "caddy.json";
/// Name of the admin API's socket in the run folder.
pub const ADMIN: &str = "admin.sock";

/// Name of the socket by which each pointer is asked for, in the run folder.
pub const VERIFY: &str = "verify.sock";
/// Header of its answers: the address that the request was sent to.
pub const REACHED: &str = "x-core-reached";

/// Where requests for a service by one of its pointers begin, on [`VERIFY`].
pub fn verify_path(service: &str, pointer: u32) -> String {
    format!("/{service}/{pointer}")
}

/// What the configuration is called in the admin API: `/id/core`.
const ID: &str = "core";

/// What Caddy is connected to on both of its sides.
#[derive(Clone, Copy, Debug)]
pub enum Wiring<'a> {
    /// The sockets that core holds, and core's pointers.
    Held,
    /// Without core: it listens on its ports itself, and dials these addresses of each service.
    Direct(&'a BTreeMap<ServiceName, Vec<String>>),
}

/// Completes the edge: its configuration, from the routes of all services.
///
/// # Errors
/// When it has no held port to listen on, or trusts a proxy that is not a network.
pub fn expand(mut spec: ServiceSpec, around: Surroundings<'_>) -> Expansion {
    let Some((_, _)) = spec.held_ports().next() else {
        return Err(vec![
            Diagnostic::new("no-held-port", format!("the edge `{}` has no held port to listen on", spec.name))
                .service(spec.name.as_str())
                .help("give it a port with a number, and no \"hold\": false: core keeps the socket open while Caddy is replaced or crashed"),
        ]);
    };
    let is_proxy = |one: &&String| *one == config::PRIVATE_RANGES || config::is_network(one);
    if let Some(wrong) = spec.trusted_proxies.iter().find(|one| !is_proxy(one)) {
        let message = format!("`{wrong}` in `trusted_proxies` of `{}` is not an address or a network", spec.name);
        let help = "write an address (203.0.113.7), a network (10.0.0.0/8), or private_ranges";
        return Err(vec![Diagnostic::new("bad-config", message).service(spec.name.as_str()).help(help)]);
    }
    let file = config_file(&spec, around, Wiring::Held)?;
    spec.files.push(file);
    spec.liveness.get_or_insert_with(has_its_configuration);
    Ok(vec![spec])
}

/// A Caddy that lost its configuration is restarted, and so gets it back. Being slow for a while is no reason: it may be
/// at its limit.
fn has_its_configuration() -> Probe {
    Probe {
        check: Check::HttpUnix {
            socket: Template::from_pieces([Piece::Run, Piece::Text(format!("/{ADMIN}"))]),
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

/// The configuration of the edge as a file of its run folder.
///
/// # Errors
/// When it is no template, which is a fault of ours.
pub fn config_file(
    spec: &ServiceSpec,
    around: Surroundings<'_>,
    wiring: Wiring<'_>,
) -> Result<GeneratedFile, Vec<Diagnostic>> {
    let text = config::build(spec, around, wiring);
    let contents = Template::parse(&text).map_err(|message| {
        vec![Diagnostic::new("internal", format!("the edge's configuration: {message}")).service(spec.name.as_str())]
    })?;
    Ok(GeneratedFile { path: Template::literal(CONFIG), contents })
}
