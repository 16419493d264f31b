//! Files that Caddy reads at each request, and the services that have them.

use core_engine::driver::Surroundings;
use core_manifest::ServiceSpec;

/// The services that requests are for. A trial has no route of its own: its service has sets of pointers for it.
pub(crate) fn served(around: Surroundings<'_>) -> impl Iterator<Item = &ServiceSpec> {
    around.services.values().filter(|spec| !spec.name.is_trial())
}

/// What Caddy calls the text of a file of a service, in expressions.
pub(crate) fn key(edge: &str, spec: &ServiceSpec, name: &str) -> String {
    format!("file.{edge}/{}/{name}", spec.name)
}

/// The Caddy placeholder for the text of a file of a service.
pub(crate) fn placeholder(edge: &str, spec: &ServiceSpec, name: &str) -> String {
    format!("{{{}}}", key(edge, spec, name))
}
