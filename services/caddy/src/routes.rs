//! Which requests are for which service, and what is done with them.

use core_engine::driver::Surroundings;
use core_manifest::ServiceSpec;
use serde_json::{Value, json};

use crate::pointer::served;
use crate::prefix::{matcher, stripped};
use crate::proxy::{proxy, transport};
use crate::{Wiring, access, auth, compression, files, former, limits, maintenance, public, terms, tls, trial};

/// What is said of an instance that does not answer.
pub(crate) const GATEWAY_ERRORS: &str = "{http.error.status_code} in [502, 503, 504]";
/// Whether a request may be sent once more: it did not reach anyone, or does no harm twice.
const HARMLESS: &str = "({http.request.method} in ['GET', 'HEAD'] || {http.error.message}.contains('dial'))";

/// What is said of a file that cannot be read.
const FILE_ERRORS: &str = "{http.error.status_code} in [403, 500]";

/// The routes that no certificate is for: those for any host, and for names of this machine where a CA is asked.
pub(crate) fn nameless(edge: &ServiceSpec, around: Surroundings<'_>, wiring: Wiring<'_>) -> Vec<Value> {
    let names = tls::names(edge, around.services.values());
    in_order(around, |spec, hosts, prefix| {
        let is_nameless = !hosts.iter().any(|host| names.contains(host));
        is_nameless.then(|| one_route(edge, spec, hosts, prefix, around, wiring))
    })
}

/// One route per host and path of each service.
pub(crate) fn all(edge: &ServiceSpec, around: Surroundings<'_>, wiring: Wiring<'_>) -> Vec<Value> {
    in_order(around, |spec, hosts, prefix| Some(one_route(edge, spec, hosts, prefix, around, wiring)))
}

/// Where requests go that could not be answered where they went first, in the same order.
pub(crate) fn second_ways(edge: &ServiceSpec, around: Surroundings<'_>) -> Vec<Value> {
    in_order(around, |spec, hosts, prefix| second_way(edge, spec, hosts, prefix, around.edge))
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
fn one_route(
    caddy: &ServiceSpec,
    spec: &ServiceSpec,
    hosts: &[String],
    prefix: &str,
    around: Surroundings<'_>,
    wiring: Wiring<'_>,
) -> Value {
    let edge = around.edge;
    let is_held = matches!(wiring, Wiring::Held);
    let mut handle: Vec<Value> = access::of(caddy, spec, wiring).into_iter().collect();
    // Before all else, so that nothing of the service is seen.
    handle.extend(is_held.then(|| maintenance::gate(spec, edge)));
    handle.extend(terms::handlers(caddy, spec));
    handle.extend(auth::handlers(caddy, spec, around, wiring));
    handle.extend(limits::marks(spec).filter(|_| is_held));
    handle.extend(stripped(spec, prefix));
    let route = spec.route.as_ref();
    if let Some(paths) = route.map(|route| &route.local_origin).filter(|paths| !paths.is_empty()) {
        handle.push(local_origin(paths));
    }
    handle.extend(files::hashed(spec));
    handle.extend(limits::ask(spec).filter(|_| is_held));
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
fn second_way(caddy: &ServiceSpec, spec: &ServiceSpec, hosts: &[String], prefix: &str, edge: &str) -> Option<Value> {
    files::pool(spec)?;
    let mut handle = terms::handlers(caddy, spec);
    // Who may, was asked on the first way, and what the app is to know of that is still in the request.
    handle.push(files::not_forever());
    handle.extend(stripped(spec, prefix));
    handle.extend(compression::handlers());
    handle.push(proxy(spec, edge, Wiring::Held));
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
