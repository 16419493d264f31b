//! Releases that run beside the live one of a service. Which requests are theirs is read from files beside the pointers:
//! one comes, changes its share and goes without any change of this configuration.

use std::collections::{BTreeMap, BTreeSet};

use core_engine::driver::Surroundings;
use core_engine::trial::PREVIEWS;
use core_manifest::ServiceSpec;
use core_manifest::spec::Route;
use serde_json::{Value, json};

use crate::auth::Guard;
use crate::pointer::{key, placeholder, served};
use crate::prefix::{matcher, stripped};
use crate::{CANARY_POINTERS, Wiring, access, files, former, limits, ports, public, terms};

/// The ID of the release that gets a share of the clients, beside the pointers; empty while there is none.
pub const CANARY: &str = "canary";
/// The share: clients whose number is below it, as three hexadecimal digits.
pub const SHARE: &str = "canary.share";
/// The cookie with the number of a client.
const NUMBER: &str = "core_share";
/// The cookie of those who may see previews.
const MAY_SEE: &str = "core_preview";
/// The variable that says that a request is for a preview of this service.
pub(crate) const VAR: &str = "core_preview";
/// How long a client keeps its number, in seconds.
const MONTH: u32 = 30 * 24 * 3600;

/// File name of a pointer to an instance of a canary.
pub fn canary_pointer(number: u32) -> String {
    format!("{CANARY}.{number}.addr")
}

/// File name of what is known of a preview of this set: its name (`name`), what lets people see it by their password (`key`)
/// and after that by a cookie (`pass`), or its address (`addr`).
pub fn preview_file(set: u32, what: &str) -> String {
    format!("preview.{set}.{what}")
}

/// The pointers to instances of a canary.
pub(crate) fn canary_upstreams(spec: &ServiceSpec, edge: &str) -> Vec<Value> {
    let pointer = |number| json!({"dial": placeholder(edge, spec, &canary_pointer(number))});
    (0..CANARY_POINTERS).map(pointer).collect()
}

/// A handler that sends the share of a canary there, by `proxy`, and passes on all other requests. One that names a release
/// is of a page of that release. Its public files are served as those of the live release are: both servers count their
/// answers, and are compared by them.
pub(crate) fn canary(spec: &ServiceSpec, edge: &str, proxy: &Value) -> Value {
    let share = key(edge, spec, SHARE);
    let id = placeholder(edge, spec, CANARY);
    let note = json!({"handler": "vars", former::VAR: spec.name.as_str()});
    let private = former::private();
    let named = former::named_by(spec, &id);
    // The number of a client is its cookie's, else that of the request, which becomes its cookie.
    let cookie = format!("{{http.request.cookie.{NUMBER}}}");
    let has_number = format!("{cookie}.matches('^[0-9a-f]{{3}}')");
    let is_below = |number: &str| format!("{number}.substring(0, 3) < ph(req, '{share}')");
    let by_cookie = format!("{has_number} && {}", is_below(&cookie));
    let by_request = format!("!{has_number} && {}", is_below("{http.request.uuid}"));
    // Who takes pages is a browser, which keeps its number; others would be drawn anew each time.
    let is_page = json!({"Accept": ["*text/html*"]});
    let nameless = former::any(spec);
    let number = json!({"handler": "subroute", "routes": [{
        "match": [{"header": is_page, "not": [{"expression": has_number}]}],
        "handle": [private, {"handler": "headers", "response": {"deferred": true, "add": {"Set-Cookie": [
            format!("{NUMBER}={{http.request.uuid}}; Path=/; Max-Age={MONTH}; HttpOnly; SameSite=Lax"),
        ]}}}],
    }]});
    let serve: Vec<Value> = public::handler(spec, edge, CANARY).into_iter().chain([proxy.clone()]).collect();
    let serve = json!({"handler": "subroute", "routes": [{"handle": serve}]});
    let mut routes = named.routes(spec, &serve);
    routes.extend([
        json!({"match": [{"not": nameless}], "handle": [number]}),
        json!({
            "match": [
                {"not": nameless, "expression": by_cookie},
                {"not": nameless, "header": is_page, "expression": by_request},
            ],
            "handle": [note, private, serve],
            "terminal": true,
        }),
    ]);
    json!({"handler": "subroute", "routes": [{
        // Nothing else is looked at while there is none.
        "match": [{"not": [{"vars": {format!("{{{share}}}"): [""]}}]}],
        "handle": [{"handler": "subroute", "routes": routes}],
    }]})
}

/// The routes of the previews of a service: of each host that it has, and of its own name on this machine. Each of these
/// names is the preview's alone, with all paths.
pub(crate) fn previews(
    caddy: &ServiceSpec,
    spec: &ServiceSpec,
    edge: &str,
    guard: &Guard,
    proxy: impl Fn(Vec<Value>) -> Value,
) -> Vec<Value> {
    let Some(route) = spec.route.as_ref().filter(|_| files::pool(spec).is_some()) else { return Vec::new() };
    let local = format!("{}.localhost", spec.name);
    // Labels are numbered from the last one: that of a preview is the same for all hosts with so many.
    let mut hosts: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for host in parents(route).chain([&local]) {
        hosts.entry(host.split('.').count()).or_default().push(format!("*.{host}"));
    }
    let of_hosts = hosts.into_iter().map(|(labels, hosts)| {
        let label = format!("{{http.request.host.labels.{labels}}}");
        let sets = (0..PREVIEWS).zip(first_labels(edge, spec)).map(|(set, name)| {
            let mut handle: Vec<Value> = access::of(caddy, spec, Wiring::Held).into_iter().collect();
            handle.extend(access::of_preview(caddy, &label));
            handle.extend(terms::handlers(caddy, spec));
            handle.extend(preview(spec, edge, set, guard, &proxy));
            json!({
                // A host may begin with a dot, and a set that nobody has is without a name.
                "match": [{"vars": {label.clone(): [name]}, "not": [{"vars": {label.clone(): [""]}}]}],
                "handle": handle,
                "terminal": true,
            })
        });
        let sets: Vec<Value> = sets.collect();
        json!({"match": [{"host": hosts}], "handle": [{"handler": "subroute", "routes": sets}]})
    });
    // Nobody else has the names of this machine; below a host of its own, others may.
    of_hosts.chain([nobody(&local)]).collect()
}

/// The hosts below which a service has names for previews.
fn parents(route: &Route) -> impl Iterator<Item = &String> {
    route.hosts.iter().filter(|host| !host.contains('*'))
}

/// The names of previews in the world, of a service that may have some: one pattern for each of its hosts.
pub(crate) fn names(spec: &ServiceSpec) -> impl Iterator<Item = String> {
    let route = spec.route.as_ref().filter(|_| files::pool(spec).is_some());
    route.into_iter().flat_map(parents).map(|host| format!("*.{}", host.to_ascii_lowercase()))
}

/// The names of previews, as patterns: a CA is asked for a certificate of such a name once there is a preview and somebody
/// comes.
pub(crate) fn asked_for(edge: &ServiceSpec, around: Surroundings<'_>) -> BTreeSet<String> {
    let asks = edge.edge.asks_ca && ports::plain(edge).is_some();
    let all = served(around).filter(|_| asks).flat_map(names);
    all.filter(|name| !edge.edge.has_file_for(name)).collect()
}

/// The first labels of the names of a service's previews, as placeholders: empty for a set that nobody has.
fn first_labels(edge: &str, spec: &ServiceSpec) -> impl Iterator<Item = String> {
    (0..PREVIEWS).map(|set| placeholder(edge, spec, &preview_file(set, "name")))
}

/// The names of the previews that there are below these patterns, with placeholders.
pub(crate) fn full_names(patterns: &BTreeSet<String>, around: Surroundings<'_>) -> Vec<String> {
    let of_service = |spec| {
        let below: Vec<String> = names(spec).filter(|name| patterns.contains(name)).collect();
        let of_host = move |label: String| {
            below.iter().map(|name| format!("{label}{}", name.trim_start_matches('*'))).collect::<Vec<_>>()
        };
        first_labels(around.edge, spec).flat_map(of_host)
    };
    served(around).flat_map(of_service).collect()
}

/// Requests for previews that there are, under names that can have certificates. Other names below a host may be anybody's.
pub(crate) fn secured(edge: &ServiceSpec, around: Surroundings<'_>) -> Vec<Value> {
    let asked = asked_for(edge, around);
    let mut all = Vec::new();
    for spec in served(around) {
        let mut hosts: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for name in names(spec).filter(|name| asked.contains(name) || edge.edge.has_file_for(name)) {
            hosts.entry(name.split('.').count() - 1).or_default().push(name);
        }
        let sets: Vec<String> = first_labels(around.edge, spec).collect();
        all.extend(hosts.into_iter().map(|(labels, hosts)| {
            let label = format!("{{http.request.host.labels.{labels}}}");
            json!({"host": hosts, "vars": {label.clone(): sets}, "not": [{"vars": {label: [""]}}]})
        }));
    }
    all
}

/// What is said of a preview that there is not.
fn nobody(local: &str) -> Value {
    json!({"match": [{"host": [format!("*.{local}")]}], "handle": [{
        "handler": "static_response",
        "status_code": 404,
        "headers": {"Cache-Control": ["no-store"], "Content-Type": ["text/plain; charset=utf-8"]},
        "body": "There is no such preview.\n",
    }], "terminal": true})
}

/// What is done with a request for a preview.
fn preview(
    spec: &ServiceSpec,
    edge: &str,
    set: u32,
    guard: &Guard,
    proxy: &impl Fn(Vec<Value>) -> Value,
) -> Vec<Value> {
    let file = |what| placeholder(edge, spec, &preview_file(set, what));
    let (key, pass, address) = (file("key"), file("pass"), file("addr"));
    let by_password = json!({"vars": {"{http.request.header.Authorization}": [format!("Basic {key}")]}});
    let cookie = format!("{{http.request.cookie.{MAY_SEE}}}");
    let by_cookie = json!({"vars": {cookie.clone(): [pass]}, "not": [{"vars": {cookie: [""]}}]});
    let is_public = json!({"vars": {key.clone(): [PUBLIC]}});
    // A file that cannot be read lets nobody in.
    let is_locked = json!({"vars": {key.clone(): [""]}});
    let refused = json!({
        "handler": "static_response",
        "status_code": 401,
        "headers": {"WWW-Authenticate": ["Basic realm=\"preview\""], "Cache-Control": ["no-store"]},
        "body": "This preview wants a password.\n",
    });
    let stays = format!("{MAY_SEE}={pass}; Path=/; HttpOnly; SameSite=Lax");
    let gate = json!({"handler": "subroute", "routes": [
        {"match": [is_locked], "handle": [refused], "terminal": true},
        // One that is for everybody is for everybody whom the service is for. Of these two, the first one that fits counts.
        {"match": [is_public], "handle": guard.check, "group": "gate"},
        {
            "match": [{"not": [by_password, by_cookie]}],
            "handle": [refused],
            "terminal": true,
            "group": "gate",
        },
        {
            // Requests of its pages may have words of their own there, and the app never sees the password.
            "match": [by_password],
            "handle": [{
                "handler": "headers",
                "request": {"delete": ["Authorization"]},
                "response": {"deferred": true, "add": {"Set-Cookie": [stays]}},
            }],
        },
    ]});
    // The longest one counts, and it alone.
    let prefixes = spec.route.iter().flat_map(|route| &route.paths).map(|path| path.trim_end_matches('/'));
    let mut prefixes: Vec<&str> = prefixes.collect();
    prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
    let stripped = prefixes.into_iter().filter_map(|prefix| {
        let handler = stripped(spec, prefix)?;
        Some(json!({"match": [matcher(&[], prefix)], "handle": [handler], "group": "prefix"}))
    });
    let stripped: Vec<Value> = stripped.collect();
    let mut handle: Vec<Value> = guard.strip.iter().cloned().chain(limits::marks(spec)).collect();
    handle.extend([
        json!({"handler": "vars", VAR: spec.name.as_str()}),
        json!({"handler": "headers", "response": {"deferred": true, "set": {"X-Robots-Tag": ["noindex"]}}}),
        gate,
    ]);
    handle.extend((!stripped.is_empty()).then(|| json!({"handler": "subroute", "routes": stripped})));
    handle.extend(files::hashed(spec));
    handle.extend(limits::ask(spec));
    handle.extend(crate::compression::handlers());
    handle.push(proxy(vec![json!({"dial": address})]));
    handle
}

/// The word in the place of a key that says that everybody may see a preview.
pub const PUBLIC: &str = "public";

/// What is said of a preview that does not answer.
pub(crate) fn not_there(errors: &str) -> Value {
    json!({
        "match": [{"not": [{"vars": {format!("{{http.vars.{VAR}}}"): [""]}}], "expression": errors}],
        "handle": [{
            "handler": "static_response",
            "status_code": 503,
            "headers": {
                "Retry-After": ["2"], "Refresh": ["2"], "Cache-Control": ["no-store"],
                "Content-Type": ["text/plain; charset=utf-8"],
            },
            "body": "This preview does not answer now; it may be starting. The page loads again by itself.\n",
        }],
        "terminal": true,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use core_manifest::spec::{BinaryRef, Route};
    use core_manifest::{Identifier, ServiceName};

    use super::*;

    fn web(hosts: &[&str]) -> ServiceSpec {
        let mut spec = ServiceSpec::bare(ServiceName::new("web").unwrap(), "node");
        let path = "/stack/.releases/web/2026-x/app".into();
        let app = BinaryRef { folder: None, path, version: String::new(), source: "next-build".into() };
        spec.binaries = BTreeMap::from([(Identifier::new("app").unwrap(), app)]);
        spec.route = Some(Route {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            ..Route::bare(Identifier::new("http").unwrap())
        });
        spec
    }

    #[test]
    fn previews_have_a_name_below_each_host() {
        let spec = web(&["example.com", "*.example.org"]);
        let all = previews(&spec, &spec, "/edge", &Guard::default(), |upstreams| json!({"to": upstreams}));
        let hosts: Vec<&Value> = all.iter().map(|route| &route["match"][0]["host"]).collect();
        assert_eq!(hosts, [&json!(["*.example.com", "*.web.localhost"]), &json!(["*.web.localhost"])]);
        let sets = all[0]["handle"][0]["routes"].as_array().unwrap();
        assert_eq!(sets.len(), PREVIEWS as usize);
        assert_eq!(all[1]["handle"][0]["status_code"], json!(404));
        let label = "{http.request.host.labels.2}";
        assert_eq!(sets[3]["match"][0]["vars"][label], json!(["{file./edge/web/preview.3.name}"]));
        let proxy = sets[3]["handle"].as_array().unwrap().last().unwrap();
        assert_eq!(proxy, &json!({"to": [{"dial": "{file./edge/web/preview.3.addr}"}]}));
    }

    #[test]
    fn only_a_service_with_releases_has_previews() {
        let mut spec = web(&["example.com"]);
        spec.binaries.clear();
        assert!(previews(&spec, &spec, "/edge", &Guard::default(), |_| json!({})).is_empty());
    }
}
