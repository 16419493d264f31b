//! The Caddy configuration. Its settings were measured: see "Settings, and why" in docs/EDGE.md.

use core_engine::action::pointers;
use core_engine::driver::Surroundings;
use core_manifest::ServiceSpec;
use core_manifest::spec::Tls;
use serde_json::{Value, json};

use crate::networks::trusted;
use crate::pointer::{placeholder, served};
use crate::prefix::{matcher, stripped};
use crate::{ADMIN, ID, Wiring, compression, files, former, pointer, ports, public, tls, trial, verify};

/// The response while no instance answers.
const UNAVAILABLE: &str = "The service is starting or being replaced. Please try again in a moment.\n";

/// What is said of an instance that does not answer.
const GATEWAY_ERRORS: &str = "{http.error.status_code} in [502, 503, 504]";
/// Whether a request may be sent once more: it did not reach anyone, or does no harm twice.
const HARMLESS: &str = "({http.request.method} in ['GET', 'HEAD'] || {http.error.message}.contains('dial'))";

/// What is said of a file that cannot be read.
const FILE_ERRORS: &str = "{http.error.status_code} in [403, 500]";

/// What the configuration without servers is called.
const IDLE: &str = "idle";

/// Request headers about the client that anyone may send and that Caddy passes on unchanged; and core's own.
const UNBELIEVED: [&str; 4] = ["X-Real-IP", "Forwarded", "True-Client-IP", "X-Core-*"];

/// The whole configuration, as a template: `${run}` is the run folder of the edge instance.
pub(crate) fn build(edge: &ServiceSpec, around: Surroundings<'_>, wiring: Wiring<'_>) -> String {
    let mut all = vec![farewell()];
    if let Wiring::Held = wiring {
        let of = |spec| trial::previews(spec, around.edge, |upstreams| patient(transport(upstreams)));
        all.extend(served(around).flat_map(of));
    }
    all.extend(routes(around, wiring));
    let mut errors: Vec<Value> = match wiring {
        Wiring::Held => in_order(around, |spec, hosts, prefix| second_way(spec, hosts, prefix, around.edge, wiring)),
        Wiring::Direct(_) => Vec::new(),
    };
    if served(around).any(|spec| files::pool(spec).is_some()) && matches!(wiring, Wiring::Held) {
        errors.insert(0, trial::not_there(GATEWAY_ERRORS));
    }
    errors.push(json!({
        "match": [{"expression": GATEWAY_ERRORS}],
        "handle": [{
            "handler": "static_response",
            "status_code": 503,
            "headers": {"Retry-After": ["1"], "Content-Type": ["text/plain; charset=utf-8"]},
            "body": UNAVAILABLE,
        }],
    }));
    let mut config = base(edge, around);
    let mut http = json!({
            // The liveness probe asks for this ID to see whether Caddy still has this configuration.
            "@id": ID,
            "grace_period": "30s",
            // The time in which clients with open connections are told to close them.
            "shutdown_delay": "1s",
            "servers": {},
    });
    if edge.edge.tls == Tls::Off {
        http["servers"]["edge"] = server(edge, wiring, false, all, &errors);
    } else {
        let mut plain = vec![farewell(), tls::redirect(edge, around)];
        plain.extend(nameless(edge, around, wiring));
        http["servers"]["plain"] = server(edge, wiring, false, plain, &errors);
        http["servers"]["edge"] = server(edge, wiring, true, all, &errors);
        http["servers"]["edge"]["tls_connection_policies"] = tls::connections(edge);
        // Here Caddy expects the challenges of a CA, which come to its own servers.
        for (key, port) in [("http_port", ports::plain(edge)), ("https_port", ports::secure(edge))] {
            if let Some(number) = port.and_then(|port| port.number) {
                http[key] = number.into();
            }
        }
    }
    if matches!(wiring, Wiring::Held) {
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
        "logging": {"logs": {"default": {"level": "WARN"}}},
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
    text.replace('$', "$$").replace("@RUN@", "${run}")
}

/// A server with these routes.
fn server(edge: &ServiceSpec, wiring: Wiring<'_>, is_secure: bool, routes: Vec<Value>, errors: &[Value]) -> Value {
    let listen = ports::listen(edge, wiring, is_secure);
    let mut server = json!({
        "listen": listen,
        "automatic_https": {"disable": true},
        // Caddy complains of what it cannot speak without TLS.
        "protocols": if is_secure { json!(["h1", "h2"]) } else { json!(["h1"]) },
        // Without this, a response sent before the request body was read loses its own body: the server discards the rest
        // of the request at that point, and copying it fails.
        "enable_full_duplex": true,
        "routes": routes,
        "errors": {"routes": errors},
    });
    let proxies = trusted(&edge.edge.trusted_proxies);
    if !proxies.is_empty() {
        server["trusted_proxies"] = json!({"source": "static", "ranges": proxies});
        // Read from the right: anyone may have written the entries further left in X-Forwarded-For.
        server["trusted_proxies_strict"] = json!(1);
    }
    server
}

/// The routes that no certificate is for: those for any host, and for names of this machine where a CA is asked.
fn nameless(edge: &ServiceSpec, around: Surroundings<'_>, wiring: Wiring<'_>) -> Vec<Value> {
    let names = tls::names(edge, around.services.values());
    in_order(around, |spec, hosts, prefix| {
        let is_nameless = !hosts.iter().any(|host| names.contains(host));
        is_nameless.then(|| one_route(spec, hosts, prefix, around.edge, wiring))
    })
}

/// One route per host and path of each service.
fn routes(around: Surroundings<'_>, wiring: Wiring<'_>) -> Vec<Value> {
    in_order(around, |spec, hosts, prefix| Some(one_route(spec, hosts, prefix, around.edge, wiring)))
}

/// What `make` makes of each service for its hosts (none means any) and each of its prefixes; the longest path first, a named
/// host before any host. Host names of one service alone come before all others: with these it gets every path.
fn in_order(around: Surroundings<'_>, make: impl Fn(&ServiceSpec, &[String], &str) -> Option<Value>) -> Vec<Value> {
    let mut all: Vec<(usize, usize, String, Value)> = Vec::new();
    for spec in served(around) {
        let Some(route) = &spec.route else { continue };
        let mut add = |length: usize, hosts: &[String], prefix: &str| {
            let made = make(spec, hosts, prefix);
            all.extend(made.map(|value| (length, hosts.len(), spec.name.to_string(), value)));
        };
        if !route.own_hosts.is_empty() {
            add(usize::MAX, &route.own_hosts, "");
        }
        for path in &route.paths {
            let prefix = path.trim_end_matches('/');
            add(prefix.len(), &route.hosts, prefix);
        }
    }
    // A named host is more specific than any path without one.
    all.sort_by(|a, b| (b.1 > 0, b.0).cmp(&(a.1 > 0, a.0)).then_with(|| a.2.cmp(&b.2)));
    all.into_iter().map(|(.., value)| value).collect()
}

/// The route of a service for these hosts (none means any) and this prefix.
fn one_route(spec: &ServiceSpec, hosts: &[String], prefix: &str, edge: &str, wiring: Wiring<'_>) -> Value {
    let mut handle: Vec<Value> = stripped(spec, prefix).into_iter().collect();
    let route = spec.route.as_ref();
    if let Some(paths) = route.map(|route| &route.local_origin).filter(|paths| !paths.is_empty()) {
        handle.push(local_origin(paths));
    }
    handle.extend(files::hashed(spec));
    handle.extend(compression::handlers());
    if let (Some(_), Wiring::Held) = (files::pool(spec), wiring) {
        handle.push(trial::canary(spec, edge, &transport(trial::canary_upstreams(spec, edge))));
        handle.push(former::handler(spec, edge, transport(former::upstreams(spec, edge))));
        handle.extend(public::handler(spec, edge, public::PUBLIC_OF));
    }
    handle.extend(files::old(spec, || proxy(spec, edge, wiring)));
    handle.extend(files::images(spec, || proxy(spec, edge, wiring)));
    handle.push(proxy(spec, edge, wiring));
    let mut value = json!({"handle": handle, "terminal": true});
    let matcher = matcher(hosts, prefix);
    if !matcher.is_empty() {
        value["match"] = json!([matcher]);
    }
    value
}

/// Where requests go that the replaced release did not answer, since it has just ended, or whose file the edge may not
/// read: to the service, as if they had come now.
fn second_way(spec: &ServiceSpec, hosts: &[String], prefix: &str, edge: &str, wiring: Wiring<'_>) -> Option<Value> {
    files::pool(spec)?;
    let mut handle = vec![files::not_forever()];
    handle.extend(stripped(spec, prefix));
    handle.extend(compression::handlers());
    handle.push(proxy(spec, edge, wiring));
    let is = |var: &str, errors: &str| {
        let mut one = matcher(hosts, prefix);
        one.insert("vars".into(), json!({var: [spec.name.as_str()]}));
        one.insert("expression".into(), errors.into());
        one
    };
    let again = format!("{GATEWAY_ERRORS} && {HARMLESS}");
    let is_meant = json!([is(former::VAR, &again), is(files::VAR, FILE_ERRORS)]);
    Some(json!({"match": is_meant, "handle": handle, "terminal": true}))
}

/// A development server refuses what is asked for by pages of other hosts, and it does not know under which host the edge
/// serves its own. Only requests of these pages are passed on as local ones: those whose origin is the host that they
/// ask.
fn local_origin(paths: &[String]) -> Value {
    let prefixes: Vec<String> = paths.iter().flat_map(|path| [path.clone(), format!("{path}/*")]).collect();
    let same = "{http.request.header.Origin}.endsWith('://' + {http.request.hostport})";
    json!({"handler": "subroute", "routes": [{
        "match": [{"path": prefixes, "expression": same}],
        "handle": [{"handler": "headers", "request": {"set": {"Origin": ["http://localhost"]}}}],
    }]})
}

/// While Caddy stops, each response closes its connection: a request in flight on one that Caddy closes would be lost.
fn farewell() -> Value {
    json!({
        "match": [{"vars": {"{http.shutting_down}": ["true"]}}],
        "handle": [{"handler": "headers", "response": {"set": {"Connection": ["close"]}}}],
    })
}

fn proxy(spec: &ServiceSpec, edge: &str, wiring: Wiring<'_>) -> Value {
    let upstreams: Vec<Value> = match wiring {
        Wiring::Held => (0..pointers(spec.replicas))
            .map(|number| json!({"dial": placeholder(edge, spec, &pointer(number))}))
            .collect(),
        Wiring::Direct(addresses) => {
            addresses.get(&spec.name).into_iter().flatten().map(|address| json!({"dial": address})).collect()
        }
    };
    patient(transport(upstreams))
}

/// Requests that are safe to repeat are retried while nothing answers.
fn patient(mut proxy: Value) -> Value {
    proxy["load_balancing"] = json!({"try_duration": "5s", "try_interval": "100ms"});
    proxy
}

/// A proxy to these upstreams, which tries one of them once.
fn transport(upstreams: Vec<Value>) -> Value {
    json!({
        "handler": "reverse_proxy",
        "upstreams": upstreams,
        // No compression between Caddy and the app: Caddy would have to undo it, at thirteen times the cost.
        "transport": {
            "protocol": "http",
            "compression": false,
            "dial_timeout": "2s",
            "keep_alive": {"idle_timeout": "2s"},
        },
        // An app that trusted these headers would trust any client.
        "headers": {"request": {"delete": UNBELIEVED}},
        "stream_close_delay": "5m",
        "flush_interval": -1,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use core_manifest::spec::{BinaryRef, Kind, PortSpec, Protocol, Route};
    use core_manifest::{Identifier, ServiceName};

    use super::*;
    use crate::networks::{PRIVATE, PRIVATE_RANGES, is_network};

    fn service(name: &str, hosts: &[&str], paths: &[&str]) -> ServiceSpec {
        let mut spec = ServiceSpec::bare(ServiceName::new(name).unwrap(), "serve");
        let port = Identifier::new("http").unwrap();
        spec.route = Some(Route {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            paths: paths.iter().map(ToString::to_string).collect(),
            strip_prefix: name == "api",
            own_hosts: Vec::new(),
            local_origin: Vec::new(),
            port,
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
        assert_eq!(verify.len(), 3 * 16);
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
        edge.edge.trusted_proxies = vec!["10.0.0.0/33".into()];
        let faults = crate::expand(edge, around).unwrap_err();
        assert!(faults[0].message.contains("`10.0.0.0/33`"), "{}", faults[0].message);
        for good in ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"] {
            assert!(is_network(good), "{good}");
        }
        for bad in ["", "10.0.0", "10.0.0.0/", "10.0.0.0/x", "example.com", "fd00::/129"] {
            assert!(!is_network(bad), "{bad}");
        }
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
        let ways = in_order(around, |spec, hosts, prefix| second_way(spec, hosts, prefix, "/run/edge", Wiring::Held));
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
