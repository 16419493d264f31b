//! On which terms clients are answered: who, with how large a body, and which headers are added.

use std::collections::BTreeMap;

use core_engine::driver::Surroundings;
use core_manifest::ServiceSpec;
use core_manifest::named::Lists;
use core_manifest::spec::{EdgeSpec, Terms, Tls};
use serde_json::{Map, Value, json};

use crate::networks::named;
use crate::pages::Pages;
use crate::pointer::served;

/// Headers that are added with certificates, for an app that has none of its own: no guessing of types, no full addresses for
/// other sites, no frames of other sites, no interests for advertisers.
const GOOD: [(&str, &str); 4] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Permissions-Policy", "browsing-topics=()"),
];
/// HTTPS only, for a year.
const STRICT: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

/// What comes before anything else that is done with a request for a service.
pub(crate) fn handlers(edge: &ServiceSpec, spec: &ServiceSpec) -> Vec<Value> {
    let none = Terms::default();
    let own = spec.route.as_ref().map_or(&none, |route| &route.terms);
    let all = &edge.edge.terms;
    let mut handlers: Vec<Value> = headers(&edge.edge, own);
    let refuses = |terms: &Terms| !terms.allow.is_empty() || !terms.deny.is_empty();
    let named = [(all, ALL.to_owned()), (own, of_service(spec))].into_iter().filter(|(terms, _)| refuses(terms));
    handlers.extend(named.map(|(_, name)| json!({"handler": "invoke", "name": name})));
    let body = own.body_bytes.or(all.body_bytes);
    handlers.extend(body.map(|bytes| json!({"handler": "request_body", "max_size": bytes})));
    handlers
}

/// Handlers that add headers to answers which have none of that name.
fn headers(edge: &EdgeSpec, own: &Terms) -> Vec<Value> {
    let mut all: BTreeMap<String, Option<&str>> = BTreeMap::new();
    let mut add = |name: &str, value| all.insert(name.to_ascii_lowercase(), value);
    if edge.tls != Tls::Off {
        for (name, value) in GOOD.into_iter().chain(edge.is_strict.then_some(STRICT)) {
            add(name, Some(value));
        }
    }
    for (name, value) in edge.terms.headers.iter().chain(&own.headers) {
        add(name, value.as_deref());
    }
    let one = |(name, value): (String, Option<&str>)| {
        let name = spelled(&name);
        let (value, absent) = (value?, name.clone());
        Some(json!({"handler": "headers", "response": {
            "deferred": true, "require": {"headers": {absent: null}}, "set": {name: [value]},
        }}))
    };
    all.into_iter().filter_map(one).collect()
}

/// A name as it is usually written: Caddy wants it in that form.
fn spelled(name: &str) -> String {
    let part =
        |part: &str| part.get(..1).map(str::to_ascii_uppercase).unwrap_or_default() + part.get(1..).unwrap_or_default();
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// What the route is called that refuses clients of all services.
const ALL: &str = "networks";

/// And clients of one.
fn of_service(spec: &ServiceSpec) -> String {
    format!("{ALL} of {}", spec.name)
}

/// The routes that refuse clients of some networks, by their names. Lists may be long: each is there once, however many
/// routes need it.
pub(crate) fn refusals(edge: &ServiceSpec, around: Surroundings<'_>) -> Map<String, Value> {
    let pages = Pages::of(edge, around);
    let of_route = |spec| Some((of_service(spec), refusal(&spec.route.as_ref()?.terms, around.lists, &pages)?));
    let all = refusal(&edge.edge.terms, around.lists, &pages).map(|refusal| (ALL.to_owned(), refusal));
    let named = all.into_iter().chain(served(around).filter_map(of_route));
    named.map(|(name, refusal)| (name, json!({"handle": [refusal]}))).collect()
}

/// A handler that refuses clients of some networks.
fn refusal(terms: &Terms, lists: &Lists, pages: &Pages) -> Option<Value> {
    let ranges = |written: &[String]| json!({"client_ip": {"ranges": named(written, lists)}});
    let denied = (!terms.deny.is_empty()).then(|| ranges(&terms.deny));
    let others = (!terms.allow.is_empty()).then(|| json!({"not": [ranges(&terms.allow)]}));
    let refused: Vec<Value> = denied.into_iter().chain(others).collect();
    (!refused.is_empty()).then(|| {
        let text = "This is not for you: your network is not admitted.\n";
        let handle = pages.answer(&["403"], &json!(403), &[("Cache-Control", "no-store")], text);
        json!({"handler": "subroute", "routes": [{"match": refused, "terminal": true, "handle": handle}]})
    })
}

/// Routes that send requests for further names of a service on to its first one, whatever the path. `port` is what follows a
/// name in an address.
pub(crate) fn redirects<'a>(services: impl Iterator<Item = &'a ServiceSpec>, scheme: &str, port: &str) -> Vec<Value> {
    let one = |spec: &ServiceSpec| {
        let route = spec.route.as_ref().filter(|route| !route.terms.redirect_hosts.is_empty())?;
        let to = route.hosts.first()?;
        Some(json!({
            "match": [{"host": route.terms.redirect_hosts}],
            "handle": [{
                "handler": "static_response",
                "status_code": 308,
                "headers": {"Location": [format!("{scheme}//{to}{port}{{http.request.uri}}")]},
            }],
            "terminal": true,
        }))
    };
    services.filter(|spec| !spec.name.is_trial()).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_usual() {
        assert_eq!(spelled("x-frame-options"), "X-Frame-Options");
        assert_eq!(spelled("etag"), "Etag");
    }

    #[test]
    fn headers_of_a_service_win() {
        let mut edge = EdgeSpec { tls: Tls::Auto, is_strict: true, ..EdgeSpec::default() };
        let names = |edge: &EdgeSpec, own: &Terms| {
            let all = headers(edge, own);
            let name = |one: &Value| one["response"]["set"].as_object().unwrap().keys().next().unwrap().clone();
            all.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(&edge, &Terms::default()).len(), 5);
        edge.terms.headers.insert("X-Frame-Options".into(), None);
        edge.terms.headers.insert("X-Robots-Tag".into(), Some("none".into()));
        let own = Terms { headers: [("x-robots-tag".to_owned(), None)].into(), ..Terms::default() };
        let left = ["Permissions-Policy", "Referrer-Policy", "Strict-Transport-Security", "X-Content-Type-Options"];
        assert_eq!(names(&edge, &own), left);
        assert!(names(&EdgeSpec::default(), &Terms::default()).is_empty(), "a development machine is left alone");
    }
}
