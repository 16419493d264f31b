//! The ports of the edge, and what is spoken on each.

use core_manifest::spec::{PortSpec, Protocol, ServiceSpec, Tls};
use serde_json::json;

use crate::Wiring;

/// The ports that an edge has if its manifest says nothing of them, as JSON. The world reaches one with certificates of a CA
/// under the numbers that every client knows.
pub fn default_ports(tls: Tls, profile: &str) -> String {
    let port = |number: u16, protocol: &str| json!({"port": number, "protocol": protocol, "hold": true});
    let everybody = |number: u16, protocol: &str| {
        let mut one = port(number, protocol);
        one["address"] = "::".into();
        one
    };
    match (tls, profile) {
        (Tls::Off, _) => json!({"http": port(8080, "http")}),
        (_, "local") => json!({"http": port(8080, "http"), "https": port(8443, "https")}),
        _ => json!({"http": everybody(80, "http"), "https": everybody(443, "https")}),
    }
    .to_string()
}

/// The port with certificates.
pub(crate) fn secure(edge: &ServiceSpec) -> Option<&PortSpec> {
    edge.held_ports().map(|(_, port)| port).find(|port| port.protocol == Protocol::Https)
}

/// The port without.
pub(crate) fn plain(edge: &ServiceSpec) -> Option<&PortSpec> {
    edge.held_ports().map(|(_, port)| port).find(|port| port.protocol != Protocol::Https)
}

/// What Caddy listens on: the ports with certificates, or those without.
pub(crate) fn listen(edge: &ServiceSpec, wiring: Wiring<'_>, is_secure: bool) -> Vec<String> {
    // Held ports are passed as descriptors from 3 on, in the order of their names.
    let all = (3..).zip(edge.held_ports());
    let wanted = all.filter(|(_, (_, port))| (port.protocol == Protocol::Https) == is_secure);
    wanted
        .filter_map(|(fd, (_, port))| match wiring {
            Wiring::Held => Some(format!("fd/{fd}")),
            Wiring::Direct(_) => address_of(port),
        })
        .collect()
}

/// The address that a port is bound to, in Caddy's form.
fn address_of(port: &PortSpec) -> Option<String> {
    let number = port.number?;
    Some(if port.address.contains(':') {
        format!("[{}]:{number}", port.address)
    } else {
        format!("{}:{number}", port.address)
    })
}
