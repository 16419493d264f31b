//! Resources that only one service may have: a port, a route, the role of the edge, the name of a binary's folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_manifest::manifest::Kind;
use core_manifest::spec::{Protocol, Route};
use core_manifest::{Diagnostic, ServiceName, ServiceSpec};

use super::{Places, Topology};
use crate::trial::CANARY;

pub(super) fn check(topology: &Topology, places: &dyn Places, out: &mut Vec<Diagnostic>) {
    ports(topology, places, out);
    routes(topology, places, out);
    let edges: Vec<&ServiceName> =
        topology.services.values().filter(|spec| spec.kind.is_edge()).map(|spec| &spec.name).collect();
    if let [first, second, ..] = edges.as_slice() {
        out.push(
            Diagnostic::new(
                "two-edges",
                format!("`{first}` and `{second}` are both of kind {}; a stack has one edge", Kind::EDGE.word()),
            )
            .at_opt(places.span(second, &["kind"]))
            .also(places.span(first, &["kind"]), "the other one")
            .service(second.as_str())
            .help("routes of all services go through the one edge: leave one out"),
        );
    }
    if edges.is_empty() {
        for spec in topology.services.values().filter(|spec| spec.route.is_some()) {
            out.push(
                Diagnostic::new("no-edge", format!("`{}` has a route, and the stack has no edge", spec.name))
                    .at_opt(places.span(&spec.name, &["route"]))
                    .service(spec.name.as_str())
                    .help(format!("add a service of kind {}, or take the route away", Kind::EDGE.word())),
            );
        }
    }
}

fn ports(topology: &Topology, places: &dyn Places, out: &mut Vec<Diagnostic>) {
    let mut taken: BTreeMap<(bool, u16), (&ServiceName, &str)> = BTreeMap::new();
    for spec in topology.services.values() {
        for (name, port) in &spec.ports {
            let Some(number) = port.number else { continue };
            let key = (port.protocol == Protocol::Udp, number);
            if let Some((other, other_port)) = taken.get(&key) {
                let message = if *other == &spec.name {
                    format!("`{}` has port {number} twice: `{other_port}` and `{name}`", spec.name)
                } else {
                    format!("`{}` listens on port {number}, and so does `{other}`", spec.name)
                };
                out.push(
                    Diagnostic::new("duplicate-port", message)
                        .at_opt(places.span(&spec.name, &["ports", name.as_str(), "port"]))
                        .also(places.span(other, &["ports", other_port, "port"]), "the other one")
                        .service(spec.name.as_str())
                        .help("give one of them another number, or \"auto\""),
                );
            } else {
                taken.insert(key, (&spec.name, name.as_str()));
            }
        }
    }
}

fn routes(topology: &Topology, places: &dyn Places, out: &mut Vec<Diagnostic>) {
    let mut taken: BTreeMap<(String, String), &ServiceName> = BTreeMap::new();
    for spec in topology.services.values() {
        let Some(route) = &spec.route else { continue };
        if spec.name.is_trial() {
            preview_host(spec, route, topology, out);
            continue;
        }
        let any = vec![String::new()];
        let hosts = if route.hosts.is_empty() { &any } else { &route.hosts };
        for host in hosts {
            for path in &route.paths {
                let key = (host.to_lowercase(), path.trim_end_matches('/').to_owned());
                if let Some(other) = taken.get(&key) {
                    let of_host = if host.is_empty() { "any host".to_owned() } else { format!("host {host}") };
                    let clash = if *other == &spec.name {
                        format!("`{}` claims {path} of {of_host} twice", spec.name)
                    } else {
                        format!("`{}` and `{other}` both claim {path} of {of_host}", spec.name)
                    };
                    out.push(
                        Diagnostic::new("duplicate-route", clash)
                            .at_opt(places.span(&spec.name, &["route"]))
                            .also(places.span(other, &["route"]), "the other one")
                            .service(spec.name.as_str())
                            .help("give one of them other `hosts` or `paths`"),
                    );
                } else {
                    taken.insert(key, &spec.name);
                }
            }
        }
    }
}

/// A preview has a name below each host of its service. No service has that host already. A canary has no hosts of its own.
fn preview_host(spec: &ServiceSpec, route: &Route, topology: &Topology, out: &mut Vec<Diagnostic>) {
    let Some((parent, label)) = spec.name.of_trial().filter(|(_, label)| *label != CANARY) else { return };
    for host in route.hosts.iter().cloned().chain([format!("{parent}.localhost")]) {
        let host = format!("{label}.{host}").to_lowercase();
        let has = |other: &&Arc<ServiceSpec>| match (&other.route, other.name.of_trial()) {
            (Some(route), None) => route.hosts.iter().chain(&route.own_hosts).any(|one| one.to_lowercase() == host),
            // Another service's preview of the same name, below a host that both have.
            (Some(other_route), Some((owner, name))) => {
                name == label && owner != parent && other_route.hosts.iter().any(|one| route.hosts.contains(one))
            }
            (None, _) => false,
        };
        if let Some(other) = topology.services.values().find(has) {
            let message = format!(
                "the preview `{label}` of `{parent}` would be seen at {host}, which is a host of `{}`",
                other.name
            );
            let fault = Diagnostic::new("duplicate-route", message).service(parent.as_str());
            out.push(fault.help(format!("core previews remove {label}, and deploy it under another name")));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use core_manifest::Identifier;

    use super::*;

    fn with_host(name: &str, host: &str) -> ServiceSpec {
        let mut spec = ServiceSpec::bare(ServiceName::made(name).unwrap(), "serve");
        spec.route = Some(Route { hosts: vec![host.into()], ..Route::bare(Identifier::new("http").unwrap()) });
        spec
    }

    #[test]
    fn a_preview_takes_nobodys_host_and_a_canary_has_none() {
        let faults = |more: Vec<ServiceSpec>| -> Vec<String> {
            let mut edge = ServiceSpec::bare(ServiceName::new("caddy").unwrap(), "caddy");
            edge.kind = Kind::EDGE;
            let mut specs = vec![edge, with_host("web", "a.example"), with_host("own", "canary.a.example")];
            specs.extend(more);
            let mut out = Vec::new();
            Topology::build(specs, &BTreeSet::new(), &(), &mut out);
            out.into_iter().map(|fault| fault.message).collect()
        };
        // Neither the host of another service, nor another service's canary, is in its way.
        assert_eq!(faults(vec![with_host("web~canary", "a.example"), with_host("own~canary", "a.example")]), [""; 0]);
        assert_eq!(faults(vec![with_host("web~pr-1", "a.example")]), [""; 0]);
        let other = with_host("pr", "pr-1.a.example");
        let said = faults(vec![with_host("web~pr-1", "a.example"), other]);
        assert!(said.len() == 1 && said[0].contains("which is a host of `pr`"), "{said:?}");
        let said = faults(vec![with_host("web~pr-1", "a.example"), with_host("own~pr-1", "a.example")]);
        assert!(said.iter().any(|one| one.contains("`own~pr-1`")), "{said:?}");
    }
}
