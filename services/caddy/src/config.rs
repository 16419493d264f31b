//! The Caddy configuration. Its settings were measured: see "Settings, and why" in docs/EDGE.md.

use std::time::Duration;

use core_engine::driver::Surroundings;
use core_manifest::ServiceSpec;
use core_manifest::spec::Tls;
use serde_json::{Value, json};

use crate::networks::{as_prefix, named};
use crate::pages::Pages;
use crate::pointer::served;
use crate::proxy::{patient, transport};
use crate::routes::{self, GATEWAY_ERRORS};
use crate::{
    ADMIN, ID, Wiring, access, auth, files, here, limits, maintenance, on_demand, ports, terms, tls, trial, verify,
};

/// The response while no instance answers.
const UNAVAILABLE: &str = "The service is starting or being replaced. Please try again in a moment.\n";

/// How large the headers of a request may be where the world asks, and how long they may take: more than any browser sends.
const HEADER_BYTES: u64 = 64 << 10;
const HEADER_TIME: Duration = Duration::from_secs(10);

/// What the configuration without servers is called.
const IDLE: &str = "idle";

/// The whole configuration, as a template: `${run}` is the run folder of the edge instance.
pub(crate) fn build(edge: &ServiceSpec, around: Surroundings<'_>, wiring: Wiring<'_>) -> String {
    let pages = Pages::of(edge, around);
    let has_log = access::is_on(edge, wiring);
    let mut all = vec![farewell()];
    all.extend(has_log.then(access::headers));
    if let Wiring::Held = wiring {
        let proxy = |upstreams| patient(transport(upstreams));
        let of = |spec| trial::previews(edge, spec, around.edge, &auth::guard(edge, spec, around, wiring), proxy);
        all.extend(served(around).flat_map(of));
    }
    let further = terms::redirects(around.services.values(), tls::scheme(edge), &tls::port(edge));
    all.extend(further.clone());
    all.extend(routes::all(edge, around, wiring));
    all.extend(pages.nobody());
    let mut errors: Vec<Value> = match wiring {
        Wiring::Held => routes::second_ways(edge, around),
        Wiring::Direct(_) => Vec::new(),
    };
    if served(around).any(|spec| files::pool(spec).is_some()) && matches!(wiring, Wiring::Held) {
        errors.insert(0, trial::not_there(GATEWAY_ERRORS));
    }
    if matches!(wiring, Wiring::Held) {
        errors.splice(0..0, maintenance::late(around, GATEWAY_ERRORS));
    }
    let names = ["503", "502", "504"];
    let mut unavailable = json!({
        "match": [{"expression": GATEWAY_ERRORS}],
        "handle": pages.answer(&names, &json!(503), &[("Retry-After", "1")], UNAVAILABLE),
    });
    if pages.are_there() {
        unavailable["terminal"] = true.into();
    }
    errors.push(unavailable);
    errors.extend(pages.of_errors());
    let mut config = base(edge, around);
    if has_log {
        config["logging"]["logs"]["access"] = access::log(edge, around.data);
    }
    let mut http = json!({
            // The liveness probe asks for this ID to see whether Caddy still has this configuration.
            "@id": ID,
            "grace_period": "30s",
            // The time in which clients with open connections are told to close them.
            "shutdown_delay": "1s",
            "servers": {},
    });
    if edge.edge.tls == Tls::Off {
        http["servers"]["edge"] = server(edge, around, wiring, false, all, &errors);
    } else {
        let mut plain = vec![farewell(), here::route(around.edge)];
        plain.extend(on_demand::route(edge, around, wiring));
        plain.extend(has_log.then(access::headers));
        plain.extend(further);
        plain.push(tls::redirect(edge, around));
        plain.extend(routes::nameless(edge, around, wiring));
        plain.extend(pages.nobody());
        http["servers"]["plain"] = server(edge, around, wiring, false, plain, &errors);
        http["servers"]["edge"] = server(edge, around, wiring, true, all, &errors);
        http["servers"]["edge"]["tls_connection_policies"] = tls::connections(edge);
        // Here Caddy expects the challenges of a CA, which come to its own servers.
        for (key, port) in [("http_port", ports::plain(edge)), ("https_port", ports::secure(edge))] {
            if let Some(number) = port.and_then(|port| port.number) {
                http[key] = number.into();
            }
        }
    }
    if matches!(wiring, Wiring::Held) {
        if limits::are_there(around) {
            http["servers"]["open"] = limits::open();
        }
        http["servers"]["verify"] = verify::server(around);
    }
    config["apps"]["http"] = http;
    written(&config)
}

/// What an edge with certificates starts with: it reads those that it has, and takes no requests yet.
pub(crate) fn idle(edge: &ServiceSpec, around: Surroundings<'_>) -> String {
    let mut config = base(edge, around);
    config["apps"]["http"] = json!({"@id": IDLE});
    written(&config)
}

/// All but the servers.
fn base(edge: &ServiceSpec, around: Surroundings<'_>) -> Value {
    let mut config = json!({
        "admin": {
            "listen": format!("unix/@RUN@/{ADMIN}|0600"),
            // The configuration belongs to core; Caddy must not restart with one it saved itself.
            "config": {"persist": false},
        },
        "logging": {"logs": {"default": access::others()}},
        "apps": {},
    });
    if edge.edge.tls != Tls::Off {
        config["storage"] = json!({"module": "file_system", "root": format!("{}/{}", around.data, edge.name)});
        config["logging"]["logs"]["tls"] = tls::log();
        config["apps"]["tls"] = tls::app(edge, around);
        if edge.edge.tls == Tls::Internal {
            config["apps"]["pki"] = tls::pki();
        }
    }
    config
}

fn written(config: &Value) -> String {
    let text = serde_json::to_string_pretty(&config).unwrap_or_default();
    // In a template, a plain `$` is doubled; the run folder is only known to the instance.
    text.replace('$', "$$").replace("@RUN@", "${run}").replace("@INSTANCE@", "${instance}").replace(auth::HOLE, "$")
}

/// A server with these routes.
fn server(
    edge: &ServiceSpec,
    around: Surroundings<'_>,
    wiring: Wiring<'_>,
    is_secure: bool,
    routes: Vec<Value>,
    errors: &[Value],
) -> Value {
    let (listen, protocols): (Vec<String>, Vec<Value>) = ports::listen(edge, wiring, is_secure).into_iter().unzip();
    let mut server = json!({
        "listen": listen,
        "listen_protocols": protocols,
        "automatic_https": {"disable": true},
        // Without this, a response sent before the request body was read loses its own body: the server discards the rest
        // of the request at that point, and copying it fails.
        "enable_full_duplex": true,
        "routes": routes,
        "errors": {"routes": errors},
    });
    if access::is_on(edge, wiring) {
        server["logs"] = json!({});
    }
    let has_certificates = edge.edge.tls != Tls::Off;
    let header_bytes = edge.edge.header_bytes.or(has_certificates.then_some(HEADER_BYTES));
    let header_time = edge.edge.header_time.or(has_certificates.then_some(HEADER_TIME));
    if let Some(bytes) = header_bytes {
        server["max_header_bytes"] = bytes.into();
    }
    for (key, time) in [("read_header_timeout", header_time), ("idle_timeout", edge.edge.idle_time)] {
        if let Some(time) = time {
            // In nanoseconds, as Caddy counts durations that are numbers.
            server[key] = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).into();
        }
    }
    let mut named_routes = terms::refusals(edge, around);
    if matches!(wiring, Wiring::Held) && limits::are_there(around) {
        named_routes.extend(limits::named_routes(around));
    }
    if !named_routes.is_empty() {
        server["named_routes"] = named_routes.into();
    }
    let balancers = named(&edge.edge.proxy_protocol, around.lists);
    if !balancers.is_empty() {
        let balancers: Vec<String> = balancers.into_iter().map(as_prefix).collect();
        // What is said comes before TLS. Others who connect, core among them, say nothing and are not asked to.
        server["listener_wrappers"] = json!([
            {"wrapper": "proxy_protocol", "timeout": "5s", "allow": balancers, "fallback_policy": "skip"},
            {"wrapper": "tls"},
        ]);
    }
    let proxies = named(&edge.edge.trusted_proxies, around.lists);
    if !proxies.is_empty() {
        server["trusted_proxies"] = json!({"source": "static", "ranges": proxies});
        // Read from the right: anyone may have written the entries further left in X-Forwarded-For.
        server["trusted_proxies_strict"] = json!(1);
    }
    server
}

/// While Caddy stops, each response closes its connection: a request in flight on one that Caddy closes would be lost. HTTP/3
/// has no such header (RFC 9114, section 4.2), and its clients are told by the server itself.
fn farewell() -> Value {
    json!({
        "match": [{"vars": {"{http.shutting_down}": ["true"]}, "not": [{"protocol": "http/3"}]}],
        "handle": [{"handler": "headers", "response": {"set": {"Connection": ["close"]}}}],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use core_manifest::spec::{BinaryRef, Kind, PortSpec, Protocol, Route};
    use core_manifest::{Identifier, ServiceName};

    use super::*;
    use core_manifest::network::PRIVATE_RANGES;

    use crate::networks::PRIVATE;

    fn service(name: &str, hosts: &[&str], paths: &[&str]) -> ServiceSpec {
        let mut spec = ServiceSpec::bare(ServiceName::new(name).unwrap(), "serve");
        let port = Identifier::new("http").unwrap();
        spec.route = Some(Route {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            paths: paths.iter().map(ToString::to_string).collect(),
            strip_prefix: name == "api",
            ..Route::bare(port)
        });
        spec
    }

    fn edge() -> ServiceSpec {
        let mut spec = ServiceSpec::bare(ServiceName::new("caddy").unwrap(), "caddy");
        spec.kind = Kind::Caddy;
        let port = PortSpec { number: Some(8080), protocol: Protocol::Http, address: "127.0.0.1".into(), hold: true };
        spec.ports.insert(Identifier::new("http").unwrap(), port);
        spec
    }

    #[test]
    fn the_configuration_is_this() {
        let all =
            [service("web", &[], &["/"]), service("api", &[], &["/api/"]), service("blog", &["b.example"], &["/"])];
        let services: BTreeMap<_, _> = all.into_iter().map(|spec| (spec.name.clone(), spec)).collect();
        let around = Surroundings { edge: "/run/edge", ..Surroundings::of(&services) };
        let spec = crate::expand(edge(), around).unwrap().remove(0);
        let mut config: Value = serde_json::from_str(&spec.files[0].contents.to_string()).unwrap();
        // All pointers are requested in the same way.
        let verify = config.pointer_mut("/apps/http/servers/verify/routes").unwrap().as_array_mut().unwrap();
        assert_eq!(verify.len(), 3 * 16 + 1);
        verify.truncate(1);
        insta::assert_snapshot!(serde_json::to_string_pretty(&config).unwrap());
    }

    #[test]
    fn proxies_in_front_are_believed_when_they_are_named() {
        let mut edge = edge();
        edge.edge.trusted_proxies = vec!["203.0.113.7".into(), PRIVATE_RANGES.into()];
        let services = BTreeMap::new();
        let around = Surroundings { edge: "/run/edge", ..Surroundings::of(&services) };
        let spec = crate::expand(edge.clone(), around).unwrap().remove(0);
        let config: Value = serde_json::from_str(&spec.files[0].contents.to_string()).unwrap();
        let server = &config["apps"]["http"]["servers"]["edge"];
        assert_eq!(server["trusted_proxies"]["ranges"].as_array().map(Vec::len), Some(1 + PRIVATE.len()));
    }

    #[test]
    fn without_core_it_listens_and_dials_itself() {
        let web = service("web", &[], &["/"]);
        let services: BTreeMap<_, _> = [(web.name.clone(), web.clone())].into();
        let around = Surroundings { edge: "/run/edge", ..Surroundings::of(&services) };
        let addresses = [(web.name, vec!["127.0.0.1:20000".to_owned(), "127.0.0.1:20001".to_owned()])].into();
        let file = crate::config_file(&edge(), around, Wiring::Direct(&addresses)).unwrap();
        let config: Value = serde_json::from_str(&file.contents.to_string()).unwrap();
        let server = &config["apps"]["http"]["servers"]["edge"];
        assert_eq!(server["listen"], json!(["127.0.0.1:8080"]));
        let upstreams = server.pointer("/routes/1/handle/2/upstreams");
        assert_eq!(upstreams, Some(&json!([{"dial": "127.0.0.1:20000"}, {"dial": "127.0.0.1:20001"}])));
    }

    /// A path is sent a second time as it was sent first: with one prefix taken away, its own.
    #[test]
    fn each_prefix_has_a_second_way() {
        let mut api = service("api", &[], &["/a", "/b"]);
        let path = "/stack/.releases/api/2026-x/app".into();
        api.binaries.insert(
            Identifier::new("app").unwrap(),
            BinaryRef { folder: None, path, version: String::new(), source: "next-build".into() },
        );
        let services: BTreeMap<_, _> = [(api.name.clone(), api)].into();
        let around = Surroundings { edge: "/run/edge", ..Surroundings::of(&services) };
        let ways = routes::second_ways(&edge(), around);
        assert_eq!(ways.len(), 2);
        for (way, prefix) in ways.iter().zip(["/a", "/b"]) {
            let handle = way["handle"].as_array().unwrap();
            let taken: Vec<&Value> = handle.iter().filter_map(|one| one.get("strip_path_prefix")).collect();
            assert_eq!(taken, [&json!(prefix)]);
            for one in way["match"].as_array().unwrap() {
                assert_eq!(one["path"], json!([prefix, format!("{prefix}/*")]));
            }
        }
    }

    #[test]
    fn an_edge_without_a_held_port_is_refused() {
        let services = BTreeMap::new();
        let around = Surroundings { edge: "/run/edge", ..Surroundings::of(&services) };
        let mut spec = edge();
        spec.ports.clear();
        assert_eq!(crate::expand(spec, around).unwrap_err()[0].code, "no-held-port");
    }
}
