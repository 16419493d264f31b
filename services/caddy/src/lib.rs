//! The edge: from the routes of a stack to the configuration of Caddy.
//!
//! Caddy dials pointer files (`"{file.<edge>/<service>/0.addr}"` …), all of them upstreams of one `reverse_proxy`; a
//! swap, a scale or a crash rewrites pointers and never this configuration. So an idle connection is never closed for
//! a swap, and websockets go on. Its listening socket is held by core (`fd/N`), its admin API is a unix socket in its
//! own run folder.

mod config;

use core_engine::driver::{Expansion, Surroundings};
use core_manifest::spec::{GeneratedFile, ServiceSpec};
use core_manifest::{Diagnostic, Template};

/// Name of the configuration in the run folder.
pub const CONFIG: &str = "caddy.json";
/// Name of the admin API's socket in the run folder.
pub const ADMIN: &str = "admin.sock";

/// Completes the edge: its configuration, from the routes of all services.
///
/// # Errors
/// When it has no held port to listen on.
pub fn expand(mut spec: ServiceSpec, around: Surroundings<'_>) -> Expansion {
    let Some((_, _)) = spec.held_ports().next() else {
        return Err(vec![
            Diagnostic::new("no-held-port", format!("the edge `{}` has no held port to listen on", spec.name))
                .service(spec.name.as_str())
                .help("add \"hold\": true to its port: core keeps the socket open while Caddy is replaced or crashed"),
        ]);
    };
    let text = config::build(&spec, around);
    let contents = Template::parse(&text).map_err(|message| {
        vec![Diagnostic::new("internal", format!("the edge's configuration: {message}")).service(spec.name.as_str())]
    })?;
    let path = Template::literal(CONFIG);
    spec.files.push(GeneratedFile { path, contents });
    Ok(vec![spec])
}
