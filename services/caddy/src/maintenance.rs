//! What is answered in the place of a service while it is in maintenance. Files beside the pointers say whether it is, and
//! who is answered as usual: it begins and ends without any change of this configuration.

use core_engine::driver::Surroundings;
use core_manifest::ServiceSpec;
use serde_json::{Value, json};

use crate::pointer::{key, placeholder, served};
use crate::{GATE, HOLDS, MAINTENANCE, VERIFY, maintenance_file};

/// The cookie of those who are answered as usual, and the parameter that sets it.
pub const BYPASS: &str = "core_maintenance";
/// The variable that says that a request was held.
const HELD: &str = "core_held";
/// The path, on the socket for core alone, that is answered at once.
pub(crate) const OPEN: &str = "/open";

/// Whether a service is in maintenance.
fn is_on(spec: &ServiceSpec, edge: &str) -> Value {
    json!({"not": [{"vars": {placeholder(edge, spec, MAINTENANCE): [""]}}]})
}

/// What comes before anything else that is done with a request for a service.
pub(crate) fn gate(spec: &ServiceSpec, edge: &str) -> Value {
    let file = |what| placeholder(edge, spec, &maintenance_file(what));
    let pass = file("pass");
    let is_pass = |of: String| json!({"vars": {of.clone(): [pass]}, "not": [{"vars": {of: [""]}}]});
    let by_link = is_pass(format!("{{http.request.uri.query.{BYPASS}}}"));
    let by_cookie = is_pass(format!("{{http.request.cookie.{BYPASS}}}"));
    // A pattern for each family: none is the empty text, which every address would match.
    let by_network = |what: &str, family: &str| {
        let pattern = key(edge, spec, &maintenance_file(what));
        let of_family = format!("{family}{{http.vars.client_ip}}.contains(':')");
        json!({"expression": format!(
            "{of_family} && ph(req, '{pattern}') != '' && {{http.vars.client_ip}}.matches(ph(req, '{pattern}'))"
        )})
    };
    let enter = json!({
        "handler": "static_response",
        "status_code": 303,
        "headers": {
            "Location": ["{http.request.uri.path}"],
            "Set-Cookie": [format!("{BYPASS}={pass}; Path=/; HttpOnly; SameSite=Lax")],
            "Cache-Control": ["no-store"],
        },
    });
    let holds = HOLDS.iter().map(|seconds| {
        json!({
            "match": [{"vars": {file("hold"): [seconds.to_string()]}}],
            "handle": [{"handler": "vars", HELD: spec.name.as_str()}, hold(&file(GATE), *seconds)],
            "group": "hold",
        })
    });
    let is_held = json!({"vars": {file("hold"): [""]}});
    let mut refuse: Vec<Value> = vec![json!({"match": [is_held], "handle": [page(spec, edge)], "terminal": true})];
    refuse.extend(holds);
    json!({"handler": "subroute", "routes": [{
        // Nothing else is looked at while there is none.
        "match": [is_on(spec, edge)],
        "handle": [{"handler": "subroute", "routes": [
            {"match": [by_link], "handle": [enter], "terminal": true},
            {
                "match": [{"not": [by_cookie, by_network("v4", "!"), by_network("v6", "")]}],
                "handle": [{"handler": "subroute", "routes": refuse}],
            },
        ]}],
    }]})
}

/// A handler that passes a request on once a socket is there to be asked, and fails if that takes too long. The request itself
/// is not sent there, nor is its body touched.
fn hold(gate: &str, seconds: u32) -> Value {
    json!({
        "handler": "reverse_proxy",
        "rewrite": {"method": "GET", "uri": OPEN},
        "upstreams": [{"dial": format!("unix/@RUN@/{gate}")}],
        "load_balancing": {"try_duration": format!("{seconds}s"), "try_interval": "100ms"},
        "transport": {"protocol": "http", "keep_alive": {"enabled": false}},
        "handle_response": [{"match": {"status_code": [2]}, "routes": []}],
    })
}

/// The page.
fn page(spec: &ServiceSpec, edge: &str) -> Value {
    json!({
        "handler": "static_response",
        "status_code": 503,
        "headers": {
            "Retry-After": [placeholder(edge, spec, MAINTENANCE)],
            "Cache-Control": ["no-store"],
            "Content-Type": ["text/html; charset=utf-8"],
        },
        "body": placeholder(edge, spec, &maintenance_file("html")),
    })
}

/// What is answered to requests that were held for too long.
pub(crate) fn late(around: Surroundings<'_>, errors: &str) -> Vec<Value> {
    let of = |spec: &ServiceSpec| {
        let mut matcher = is_on(spec, around.edge);
        matcher["vars"] = json!({format!("{{http.vars.{HELD}}}"): [spec.name.as_str()]});
        matcher["expression"] = errors.into();
        json!({"match": [matcher], "handle": [page(spec, around.edge)], "terminal": true})
    };
    served(around).filter(|spec| spec.route.is_some()).map(of).collect()
}

/// The contents of the file [`GATE`] while requests are passed on.
pub const IS_OPEN: &str = VERIFY;
