//! Pointers, and the services that have them.

use core_engine::driver::Surroundings;
use core_manifest::ServiceSpec;

/// The services that requests are for. A trial has no route of its own: its service has sets of pointers for it.
pub(crate) fn served(around: Surroundings<'_>) -> impl Iterator<Item = &ServiceSpec> {
    around.services.values().filter(|spec| !spec.name.is_trial())
}

/// The Caddy placeholder for a pointer file, which is read at each request.
pub(crate) fn pointer_file(edge: &str, spec: &ServiceSpec, number: u32) -> String {
    format!("{{file.{edge}/{}/{number}.addr}}", spec.name)
}
