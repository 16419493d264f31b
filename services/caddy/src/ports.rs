//! The ports of the edge, and what is spoken on each.

use core_manifest::spec::{PortSpec, Protocol, ServiceSpec, Tls};
use serde_json::{Value, json};

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
    edge.held_ports().map(|(_, port)| port).find(|port| !is_secure(port))
}

/// Whether certificates are shown on a port; over UDP, QUIC has them.
fn is_secure(port: &PortSpec) -> bool {
    matches!(port.protocol, Protocol::Https | Protocol::Udp)
}

/// What Caddy listens on, and what it speaks there: the ports with certificates, or those without.
pub(crate) fn listen(edge: &ServiceSpec, wiring: Wiring<'_>, secure: bool) -> Vec<(String, Value)> {
    // Held ports are passed as descriptors from 3 on, in the order of their names.
    let all = (3..).zip(edge.held_ports()).filter(|(_, (_, port))| is_secure(port) == secure);
    let one = |(fd, (_, port)): (u32, (_, &PortSpec))| {
        let (family, protocols) = match port.protocol {
            Protocol::Udp => ("udp/", json!(["h3"])),
            Protocol::Https => ("", json!(["h1", "h2"])),
            // Caddy complains of what it cannot speak without TLS.
            Protocol::Tcp | Protocol::Http => ("", json!(["h1"])),
        };
        let at = match wiring {
            Wiring::Held if family.is_empty() => format!("fd/{fd}"),
            Wiring::Held => format!("fdgram/{fd}"),
            Wiring::Direct(_) => format!("{family}{}", address_of(port)?),
        };
        Some((at, protocols))
    };
    all.filter_map(one).collect()
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
