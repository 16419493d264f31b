//! Certificates for names that no route has: those of customers, and those of previews. Before Caddy gets one for a customer, it
//! asks the service that would answer for such a name, and then core, which counts; of a preview that there is, only core.

use core_engine::driver::Surroundings;
use core_manifest::Diagnostic;
use core_manifest::spec::{OnDemand, ServiceSpec, Tls};
use serde_json::{Value, json};

use crate::pointer::served;
use crate::proxy::proxy;
use crate::{Wiring, ports, trial};

/// Where Caddy asks itself, on the port without certificates.
const ASK_PATH: &str = "/.well-known/core-certificate";
/// The socket, beside the pointers, on which core says whether there may be one more.
pub const COUNTER: &str = ".certificates";
/// The path on it for names of previews.
pub const PREVIEW_PATH: &str = "/preview";
/// How long core may be away, while another supervisor takes over.
const AWAY: &str = "5s";

/// What is wrong with it.
pub(crate) fn check(edge: &ServiceSpec, around: Surroundings<'_>) -> Result<(), Vec<Diagnostic>> {
    let Some(on_demand) = &edge.edge.on_demand else { return Ok(()) };
    let fault = |message: String, help: &str| {
        Err(vec![Diagnostic::new("bad-config", message).service(edge.name.as_str()).help(help)])
    };
    if edge.edge.tls == Tls::Off || (edge.edge.tls == Tls::Auto && !edge.edge.asks_ca) {
        let message = format!("`on_demand` of `{}`: no CA is asked for certificates", edge.name);
        return fault(message, "give an \"email\", with which a CA is asked, or take `on_demand` away");
    }
    if asked_of(on_demand, around).is_none() {
        let ask = &on_demand.ask;
        let message = format!("`on_demand` of `{}`: `{ask}` for an unknown host goes to no service", edge.name);
        return fault(
            message,
            "the service that says which names may have one needs a route without `hosts` with this path",
        );
    }
    if ports::plain(edge).is_none() {
        let message = format!("`on_demand` of `{}` needs a port without certificates", edge.name);
        return fault(message, "give the edge one: \"http\": {\"port\": 80, \"protocol\": \"http\"}");
    }
    Ok(())
}

/// The service that answers at this path for names that no route has.
fn asked_of<'a>(on_demand: &OnDemand, around: Surroundings<'a>) -> Option<&'a ServiceSpec> {
    let length = |spec: &ServiceSpec| {
        let route = spec.route.as_ref().filter(|route| route.hosts.is_empty())?;
        let is_below = |path: &&String| {
            let prefix = path.trim_end_matches('/');
            on_demand.ask.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        route.paths.iter().filter(is_below).map(String::len).max()
    };
    served(around)
        .filter_map(|spec| Some((length(spec)?, spec)))
        .max_by_key(|(length, _)| *length)
        .map(|(_, spec)| spec)
}

/// Whom Caddy asks.
pub(crate) fn permission(edge: &ServiceSpec) -> Option<Value> {
    let port = ports::plain(edge)?;
    let endpoint = format!("http://{}:{}{ASK_PATH}", host(&port.address), port.number?);
    Some(json!({"permission": {"module": "http", "endpoint": endpoint}}))
}

/// At which address this host reaches a port that is bound to one.
fn host(address: &str) -> String {
    match address {
        "0.0.0.0" => "127.0.0.1".into(),
        "::" => "localhost".into(),
        other if other.contains(':') => format!("[{other}]"),
        other => other.into(),
    }
}

/// The route for that question, on the port without certificates. Nobody else may ask it.
pub(crate) fn route(edge: &ServiceSpec, around: Surroundings<'_>, wiring: Wiring<'_>) -> Option<Value> {
    let previews = trial::asked_for(edge, around);
    let on_demand = edge.edge.on_demand.as_ref();
    if !matches!(wiring, Wiring::Held) || (on_demand.is_none() && previews.is_empty()) {
        return None;
    }
    let own = ports::plain(edge)?.address.clone();
    let of_customers = on_demand.and_then(|on_demand| ask_app(on_demand, around, wiring));
    let others = of_customers.unwrap_or_else(|| json!({"handler": "static_response", "status_code": 403}));
    let mut routes = Vec::new();
    if !previews.is_empty() {
        let mut ask = ask_core(around);
        ask["rewrite"] = json!({"uri": format!("{PREVIEW_PATH}?{{http.request.uri.query}}")});
        let names = json!({"{http.request.uri.query.domain}": trial::full_names(&previews, around)});
        routes.push(json!({"match": [{"vars": names}], "handle": [ask], "terminal": true}));
    }
    // A customer may have a name below a host, too.
    routes.push(json!({"handle": [others]}));
    Some(json!({
        "match": [{"path": [ASK_PATH], "method": ["GET"], "remote_ip": {"ranges": ["127.0.0.0/8", "::1", own]}}],
        "handle": [{"handler": "subroute", "routes": routes}],
        "terminal": true,
    }))
}

/// Asks the app, and then core, which counts.
fn ask_app(on_demand: &OnDemand, around: Surroundings<'_>, wiring: Wiring<'_>) -> Option<Value> {
    let service = asked_of(on_demand, around)?;
    let mut ask = proxy(service, around.edge, wiring);
    ask["rewrite"] = json!({"method": "GET", "uri": format!("{}?{{http.request.uri.query}}", on_demand.ask)});
    ask["handle_response"] = json!([
        {"match": {"status_code": [200]}, "routes": [{"handle": [ask_core(around)]}]},
        {"routes": [{"handle": [{"handler": "static_response", "status_code": 403}]}]},
    ]);
    Some(ask)
}

fn ask_core(around: Surroundings<'_>) -> Value {
    json!({
        "handler": "reverse_proxy",
        "upstreams": [{"dial": format!("unix/{}/{COUNTER}", around.edge)}],
        "load_balancing": {"try_duration": AWAY, "try_interval": "100ms"},
    })
}

/// Plain requests for names of customers, which are sent on to where their certificate is. An address has none, nor has this
/// machine's own name.
pub(crate) fn redirected(edge: &ServiceSpec) -> Option<Value> {
    edge.edge.on_demand.as_ref()?;
    let is_name = "{http.request.host}.matches('[a-z]') && !{http.request.host}.contains(':')";
    let is_local = "{http.request.host}.endsWith('localhost')";
    Some(json!({"expression": format!("{is_name} && !{is_local}")}))
}
