//! Rate limits: the edge asks a small program of core for each request that one is for, by a request of its own, and goes on
//! if it may. Where that program does not answer, everybody may: it is known to be away from the first one that waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_engine::driver::Surroundings;
use core_manifest::spec::{Check, GeneratedFile, HttpAnswer, Key, Probe, Rate, Restart, Strategy};
use core_manifest::{Diagnostic, ServiceName, ServiceSpec, Template};
use serde_json::{Map, Value, json};

use crate::pointer::served;
use crate::prefix::matcher;
use crate::{in_run, template};

/// File name of its socket in the folder of the pointers, where any instance of the edge finds it.
const ASK: &str = ".limits";
/// File name of the same socket in its own run folder: who answers there is this instance.
const OWN: &str = "limits.sock";
/// File name of its limits in its run folder.
const FILE: &str = "limits.json";
/// File name, in the run folder of the edge, of the socket that lets everybody through.
const OPEN: &str = "open.sock";

/// The name of the route that asks.
const ROUTE: &str = "limits";
/// The variable with the limits that a request is for, each after a `*`, which is in no path.
const VAR: &str = "core_limits";
/// Where it is asked. Who asks for the same with a GET that has a body loses that, and nothing else.
const PATH: &str = "/.core/limits";

/// Bytes of the headers of a request, where nothing else is said: those of Go.
const HEADER_BYTES: u64 = 1 << 20;
/// What may come on top of the headers that are passed on.
const SLACK: u64 = 64 << 10;

/// How long it may take for its answer. It takes a tenth of a millisecond; a machine may be busy.
const PATIENCE: &str = "250ms";
/// How often it is looked whether it is there, and after how many looks it is not: at the first one, when the edge starts, the
/// socket that lets everybody through is not open yet.
const LOOK: &str = "500ms";
const LOOKS: u32 = 2;
/// For how long it counts as away after a request that it did not answer. By then these looks have told, so nobody waits for
/// it again.
const AWAY: &str = "2s";

/// The limits of a service.
fn rates(spec: &ServiceSpec) -> &[Rate] {
    spec.route.as_ref().map_or(&[], |route| &route.terms.rates)
}

/// What the limits of all services are told by, besides addresses, in a fixed order.
fn keys(around: Surroundings<'_>) -> Vec<&Key> {
    let all: BTreeSet<&Key> = served(around).flat_map(rates).map(|rate| &rate.key).collect();
    all.into_iter().filter(|key| **key != Key::Address).collect()
}

/// Whether anything is limited.
pub(crate) fn are_there(around: Surroundings<'_>) -> bool {
    served(around).any(|spec| !rates(spec).is_empty())
}

/// The name of a limit: for whom it is. While a change is carried out, the edge and the service that counts may have different
/// files, and what one of them says must not be something else to the other.
fn id(spec: &ServiceSpec, index: usize) -> String {
    let all = rates(spec);
    let for_whom = |rate: &Rate| (rate.paths.clone(), rate.key.clone());
    let Some(rate) = all.get(index) else { return String::new() };
    let before = all[..index].iter().filter(|other| for_whom(other) == for_whom(rate)).count();
    let by = header(&rate.key).unwrap_or_default();
    [spec.name.as_str(), &rate.paths.join(" "), &by, &before.to_string()].join("  ")
}

/// The header that tells the value of a key, if that is not the address.
fn header(key: &Key) -> Option<String> {
    match key {
        Key::Address => None,
        Key::Header(name) => Some(format!("X-Header-{name}")),
        // Capitals make another cookie, and not another header.
        Key::Cookie(name) => {
            Some(format!("X-Cookie-{}", name.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()))
        }
    }
}

/// A handler that notes the limits that a request is for, by the path that the client asks for.
pub(crate) fn marks(spec: &ServiceSpec) -> Option<Value> {
    let one = |(index, rate): (usize, &Rate)| {
        let noted = format!("{{http.vars.{VAR}}}*{}", id(spec, index));
        let mut route = json!({"handle": [{"handler": "vars", VAR: noted}]});
        let matchers: Vec<Value> =
            rate.paths.iter().map(|path| matcher(&[], path.trim_end_matches('/')).into()).collect();
        if !matchers.is_empty() {
            route["match"] = json!(matchers);
        }
        route
    };
    let routes: Vec<Value> = rates(spec).iter().enumerate().map(one).collect();
    (!routes.is_empty()).then(|| json!({"handler": "subroute", "routes": routes}))
}

/// A handler that asks about requests with a limit, and passes on those that may go on and those without one.
pub(crate) fn ask(spec: &ServiceSpec) -> Option<Value> {
    let all = rates(spec);
    let asked = json!({"handler": "invoke", "name": ROUTE});
    if all.iter().any(|rate| rate.paths.is_empty()) {
        return Some(asked);
    }
    let is_limited = json!({"not": [{"vars": {format!("{{http.vars.{VAR}}}"): [""]}}]});
    let route = json!({"match": [is_limited], "handle": [asked]});
    (!all.is_empty()).then(|| json!({"handler": "subroute", "routes": [route]}))
}

/// The named routes of a server: one asks for all services, so that it is known once whether anybody answers.
pub(crate) fn named_routes(around: Surroundings<'_>) -> Map<String, Value> {
    let mut headers = json!({
        // Without one, Go writes the path of the socket.
        "Host": ["limits"],
        "X-Limits": [format!("{{http.vars.{VAR}}}")],
        "X-Client": ["{http.vars.client_ip}"],
    });
    for key in keys(around) {
        let value = match key {
            Key::Header(name) => format!("{{http.request.header.{name}}}"),
            Key::Cookie(name) => format!("{{http.request.cookie.{name}}}"),
            Key::Address => continue,
        };
        headers[header(key).unwrap_or_default()] = json!([value]);
    }
    let ask = json!({"handle": [{
        "handler": "reverse_proxy",
        "rewrite": {"method": "GET", "uri": PATH},
        "upstreams": [
            {"dial": format!("unix/{}/{ASK}", around.edge)},
            {"dial": format!("unix/@RUN@/{OPEN}")},
        ],
        "load_balancing": {"selection_policy": {"policy": "first"}, "retries": 2},
        "health_checks": {
            "passive": {"fail_duration": AWAY, "max_fails": 1},
            // Caddy calls all sockets by one name when it looks, and so keeps their connections together: a look at one of
            // them would be answered by the other.
            "active": {
                "uri": PATH, "interval": LOOK, "timeout": PATIENCE, "fails": LOOKS, "headers": {"Connection": ["close"]},
            },
        },
        "transport": {
            "protocol": "http",
            "compression": false,
            "dial_timeout": PATIENCE,
            "response_header_timeout": PATIENCE,
            // Who waits in a crowd may come with it again: a connection each, which is kept.
            "keep_alive": {"max_idle_conns_per_host": 1024},
        },
        // Nothing else of the request concerns it.
        "headers": {"request": {"delete": ["*"], "set": headers}},
        // Only a refusal is copied. With anything else it is gone on; for that, one handler is needed that does nothing.
        "handle_response": [
            {"match": {"status_code": [429, 431]}, "routes": [{"handle": [{"handler": "copy_response"}]}]},
            {"routes": [{"handle": [{"handler": "vars"}]}]},
        ],
    }]});
    Map::from_iter([(ROUTE.to_owned(), ask)])
}

/// The server that lets everybody through.
pub(crate) fn open() -> Value {
    json!({
        "listen": [format!("unix/@RUN@/{OPEN}|0600")],
        "automatic_https": {"disable": true},
        "protocols": ["h1"],
        "routes": [{"handle": [{"handler": "static_response", "status_code": 200}]}],
    })
}

/// The service that counts, if anything is limited.
///
/// # Errors
/// When another service has its name.
pub(crate) fn service(edge: &ServiceSpec, around: Surroundings<'_>) -> Result<Option<ServiceSpec>, Vec<Diagnostic>> {
    if !are_there(around) {
        return Ok(None);
    }
    let fault = |code, message: String| vec![Diagnostic::new(code, message).service(edge.name.as_str())];
    let name =
        service_of(&edge.name).map_err(|rule| fault("bad-name", format!("the limits of it: its name {rule}")))?;
    if around.services.contains_key(&name) {
        let message =
            format!("`{}` makes a service `{name}` for rate limits, and another service has that name", edge.name);
        return Err(vec![
            Diagnostic::new("duplicate-name", message)
                .service(edge.name.as_str())
                .help("rename the folder of the other service"),
        ]);
    }
    let mut spec = ServiceSpec::bare(name, around.core);
    spec.description = Some("Counts the requests that have a rate limit".into());
    let mut args = vec![
        Template::literal("serve-limits"),
        in_run(FILE),
        Template::literal("--socket"),
        in_run(OWN),
        Template::literal("--link"),
        Template::literal(format!("{}/{ASK}", around.edge)),
    ];
    if let Some(user) = &edge.identity.user {
        args.extend(["--for-user", user].map(Template::literal));
    }
    spec.args = args;
    spec.availability.restart = Restart::Always;
    spec.readiness = Some(probe(Duration::from_secs(2), Duration::from_secs(1), 2));
    // A machine may be busy; one that never answers again is replaced.
    spec.liveness = Some(probe(Duration::from_secs(5), Duration::from_secs(5), 3));
    // The next one takes the place of its socket as soon as it listens.
    spec.update.strategy = Strategy::Swap;
    spec.update.successes = 1;
    spec.update.observe = Duration::ZERO;
    let text = serde_json::to_string_pretty(&file(edge, around)).unwrap_or_default().replace('$', "$$");
    spec.files = vec![GeneratedFile { path: Template::literal(FILE), contents: template(edge, &text)? }];
    Ok(Some(spec))
}

/// The name of the service that counts for an edge.
///
/// # Errors
/// When that is not a valid name.
pub fn service_of(edge: &ServiceName) -> Result<ServiceName, String> {
    ServiceName::made(&format!("{edge}-limits"))
}

/// The limits, as the service reads them.
fn file(edge: &ServiceSpec, around: Surroundings<'_>) -> Value {
    let header_bytes = edge.edge.header_bytes.unwrap_or(HEADER_BYTES);
    let mut limits = BTreeMap::new();
    for spec in served(around) {
        for (index, rate) in rates(spec).iter().enumerate() {
            limits.insert(
                id(spec, index),
                json!({
                    "name": named(spec, rate),
                    "count": rate.count,
                    "seconds": rate.seconds,
                    "burst": rate.burst,
                    "key": header(&rate.key),
                    "dry_run": rate.dry_run,
                }),
            );
        }
    }
    // More than any client can send: what it could not read would be let through.
    let head_bytes = (header_bytes + SLACK) * (keys(around).len() as u64 + 1);
    json!({"head_bytes": head_bytes, "limits": limits})
}

/// A limit in words.
fn named(spec: &ServiceSpec, rate: &Rate) -> String {
    let paths = if rate.paths.is_empty() { String::new() } else { format!(" {}", rate.paths.join(" ")) };
    let time = if rate.seconds == 1 { "second" } else { "minute" };
    let by = match &rate.key {
        Key::Address => String::new(),
        Key::Header(name) => format!(" by header {name}"),
        Key::Cookie(name) => format!(" by cookie {name}"),
    };
    format!("{}{paths}, {} a {time}{by}", spec.name, rate.count)
}

/// Whether it answers on its own socket.
fn probe(period: Duration, timeout: Duration, failure_threshold: u32) -> Probe {
    Probe {
        check: Check::HttpUnix {
            socket: in_run(OWN),
            path: Template::literal(PATH),
            answer: HttpAnswer { headers: BTreeMap::new(), status: 200, body_contains: None },
        },
        initial_delay: Duration::ZERO,
        period,
        timeout,
        success_threshold: 1,
        failure_threshold,
    }
}

#[cfg(test)]
mod tests {
    use core_manifest::Identifier;
    use core_manifest::spec::{BinaryRef, Kind, PortSpec, Protocol, Route, Terms};

    use super::*;
    use crate::Wiring;
    use crate::{config, routes};

    fn rate(paths: &[&str], count: u32, key: Key) -> Rate {
        let paths = paths.iter().map(ToString::to_string).collect();
        Rate { paths, count, seconds: 1, burst: count, key, dry_run: false }
    }

    /// An edge, and a service with releases and these limits.
    fn stack(rates: Vec<Rate>) -> (ServiceSpec, BTreeMap<ServiceName, ServiceSpec>) {
        let name = |name| ServiceName::new(name).unwrap();
        let port = Identifier::new("http").unwrap();
        let mut edge = ServiceSpec::bare(name("caddy"), "caddy");
        edge.kind = Kind::Caddy;
        let held = PortSpec { number: Some(80), protocol: Protocol::Http, address: "::".into(), hold: true };
        edge.ports.insert(port.clone(), held);
        let mut web = ServiceSpec::bare(name("web"), "node");
        let path = "/stack/.releases/web/2026-x/app".into();
        let app = BinaryRef { folder: None, path, version: String::new(), source: "next-build".into() };
        web.binaries = BTreeMap::from([(Identifier::new("app").unwrap(), app)]);
        web.route = Some(Route { terms: Terms { rates, ..Terms::default() }, ..Route::bare(port) });
        (edge, BTreeMap::from([(web.name.clone(), web)]))
    }

    #[test]
    fn a_name_says_for_whom_and_not_how_much() {
        let by = |name: &str| Key::Cookie(name.into());
        let names = |limits: Vec<Rate>| {
            let (_, services) = stack(limits);
            let spec = services.values().next().unwrap();
            (0..rates(spec).len()).map(|index| id(spec, index)).collect::<Vec<_>>()
        };
        let few = names(vec![rate(&["/a"], 1, Key::Address), rate(&[], 1, by("s"))]);
        assert_eq!(few, names(vec![rate(&["/a"], 9, Key::Address), rate(&[], 7, by("s"))]));
        assert_ne!(few[0], names(vec![rate(&["/b"], 1, Key::Address)])[0]);
        assert_ne!(few[1], names(vec![rate(&[], 1, by("S"))])[0]);
        let twice = names(vec![rate(&[], 1, Key::Address), rate(&[], 9, Key::Address)]);
        assert_ne!(twice[0], twice[1]);
    }

    #[test]
    fn only_where_something_is_limited_it_is_asked_and_once() {
        let count = |rates: Vec<Rate>, wiring: Wiring<'_>| {
            let (edge, services) = stack(rates);
            let around = Surroundings { edge: "/run/edge", core: "core", ..Surroundings::of(&services) };
            let text = config::build(&edge, around, wiring);
            let service = service(&edge, around).unwrap();
            let again = serde_json::to_string(&routes::second_ways(&edge, around)).unwrap();
            assert!(!again.contains("\"invoke\""), "what is sent a second time was counted");
            (text.matches("\"invoke\"").count(), text.matches("/.limits\"").count(), service.is_some())
        };
        assert_eq!(count(Vec::new(), Wiring::Held), (0, 0, false));
        let two = || vec![rate(&["/a"], 1, Key::Address), rate(&[], 1, Key::Header("X-Api-Key".into()))];
        // The service itself, and each of its previews.
        assert_eq!(count(two(), Wiring::Held), (1 + 8, 1, true));
        assert_eq!(count(two(), Wiring::Direct(&BTreeMap::new())), (0, 0, true));
    }

    #[test]
    fn nothing_else_of_a_request_is_sent() {
        let (_, services) = stack(vec![rate(&[], 1, Key::Header("X-Api-Key".into()))]);
        let routes = named_routes(Surroundings::of(&services));
        let proxy = &routes[ROUTE]["handle"][0];
        let look = &proxy["health_checks"]["active"]["headers"];
        assert_eq!(look, &json!({"Connection": ["close"]}), "a look at one socket would be answered by the other");
        let headers = &proxy["headers"]["request"];
        assert_eq!(headers["delete"], json!(["*"]));
        let names: Vec<&String> = headers["set"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["Host", "X-Limits", "X-Client", "X-Header-X-Api-Key"]);
    }

    #[test]
    fn the_service_runs_for_the_user_of_the_edge_and_is_nobody_elses_name() {
        let (mut edge, mut services) = stack(vec![rate(&[], 1, Key::Address)]);
        edge.identity.user = Some("www".into());
        let around = Surroundings { core: "/usr/bin/core", ..Surroundings::of(&services) };
        let made = service(&edge, around).unwrap().unwrap();
        assert_eq!(made.name.as_str(), "caddy-limits");
        let words: Vec<String> = made.args.iter().map(ToString::to_string).collect();
        assert_eq!(words[words.len() - 2..], ["--for-user", "www"]);
        let other = ServiceSpec::bare(made.name.clone(), "x");
        services.insert(made.name, other);
        assert_eq!(service(&edge, Surroundings::of(&services)).unwrap_err()[0].code, "duplicate-name");
    }
}
