//! Resolves the ports of a service.

use std::collections::BTreeMap;

use super::PortSpec;
use super::faults::Faults;
use crate::diagnostic::Diagnostic;
use crate::manifest::{Manifest, PortNumber, Protocol};
use crate::name::Identifier;

/// The ports of a manifest by name; auto ports have no number.
pub(super) fn resolve(manifest: &Manifest, profile: &str, faults: &mut Faults<'_>) -> BTreeMap<Identifier, PortSpec> {
    let mut all = BTreeMap::new();
    for (name, port) in &manifest.ports {
        let path = ["ports", name.as_str()];
        let identifier = match Identifier::new(name) {
            Ok(identifier) => identifier,
            Err(rule) => {
                faults.add(&path, Diagnostic::new("bad-name", format!("the name of port `{name}` {rule}")));
                continue;
            }
        };
        let hold = port.is_held(manifest.kind);
        if hold && matches!(port.port, PortNumber::Word(_)) {
            faults.add(
                &["ports", name, "port"],
                Diagnostic::new("wrong-value", "a held port stays open across restarts, so it needs a number")
                    .help("give it a number, or take `hold` away"),
            );
        }
        if hold && port.protocol == Protocol::Udp {
            faults.add(
                &["ports", name, "hold"],
                Diagnostic::new(
                    "wrong-value",
                    "a UDP port cannot be held: a datagram socket does not queue connections",
                )
                .help("take `hold` away; for HTTP/3, core holds the one beside a port of protocol https"),
            );
        }
        let address = port.address.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
        if address.parse::<core::net::IpAddr>().is_err() {
            faults.add(
                &["ports", name, "address"],
                Diagnostic::new("wrong-value", format!("`address` is \"{address}\", expected an IP address"))
                    .help("for example \"127.0.0.1\" (this host only), or \"0.0.0.0\" or \"::\" (everybody)"),
            );
        }
        let number = match port.port {
            PortNumber::Fixed(number) => Some(number),
            PortNumber::Word(_) => None,
        };
        let replicas = manifest.process.compose.replicas.unwrap_or(1);
        if let (Some(number), false, 2..) = (number, hold, replicas) {
            faults.add(
                &["ports", name, "port"],
                Diagnostic::new("duplicate-port", format!("{replicas} replicas cannot all listen on port {number}"))
                    .help("use \"auto\", or hold the port (`\"hold\": true`)"),
            );
        }
        all.insert(identifier, PortSpec { number, protocol: port.protocol, address, hold });
    }
    if manifest.config.as_ref().is_some_and(|config| config.http3(profile)) {
        let twins: Vec<_> = all.iter().filter_map(|(name, port)| datagrams(name, port)).collect();
        all.extend(twins);
    }
    all
}

/// What HTTP/3 needs beside a held port for HTTPS: the same port for datagrams.
fn datagrams(name: &Identifier, port: &PortSpec) -> Option<(Identifier, PortSpec)> {
    if !port.hold || port.protocol != Protocol::Https {
        return None;
    }
    let name = Identifier::new(&format!("{name}-udp")).ok()?;
    Some((name, PortSpec { protocol: Protocol::Udp, ..port.clone() }))
}
