//! Who is let in, and what the app is told of that.

use std::collections::BTreeSet;

use core_engine::driver::Surroundings;
use core_manifest::spec::{Asked, Auth};
use core_manifest::{ServiceSpec, UNBELIEVED};
use serde_json::{Value, json};

use crate::Wiring;
use crate::proxy::{patient, proxy, transport};

/// The header with the name of a user who has sent the password.
const USER: &str = "Remote-User";
/// How long a service may take that is asked about a request.
const PATIENCE: &str = "10s";
/// Stands in the place of the `$` of a hole of a template: the hash of a user is known by its name only.
pub(crate) const HOLE: char = '\u{e000}';

/// What is done with requests for a service before it gets them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    /// A handler that removes what clients say of who they are; without `auth`, that is left alone.
    pub(crate) strip: Option<Value>,
    /// Handlers that let requests pass only of those who may.
    pub(crate) check: Vec<Value>,
}

/// Both, in order.
pub(crate) fn handlers(
    edge: &ServiceSpec,
    spec: &ServiceSpec,
    around: Surroundings<'_>,
    wiring: Wiring<'_>,
) -> Vec<Value> {
    let Guard { strip, check } = guard(edge, spec, around, wiring);
    strip.into_iter().chain(check).collect()
}

/// The guard of a service: its own, else that of the edge.
pub(crate) fn guard(edge: &ServiceSpec, spec: &ServiceSpec, around: Surroundings<'_>, wiring: Wiring<'_>) -> Guard {
    let all = edge.edge.terms.auth.as_ref();
    let own = spec.route.as_ref().and_then(|route| route.terms.auth.as_ref());
    // What is asked about everybody has pages of its own, on which people say who they are.
    let common = all
        .filter(|auth| !matches!(auth, Auth::Forward { asked: Asked::Service { name, .. }, .. } if *name == spec.name));
    let check = match own.or(common) {
        None | Some(Auth::Off) => Vec::new(),
        Some(Auth::Basic(users)) => {
            let accounts = users.iter().map(|(name, hash)| {
                let hole = hash.written().replacen('$', &HOLE.to_string(), 1);
                json!({"username": name, "password": hole})
            });
            basic(accounts.collect())
        }
        Some(Auth::Forward { asked, headers }) => vec![forward(asked, headers, around, wiring)],
    };
    // Where one route is for everybody, its app may still believe what those of other routes believe.
    let names: BTreeSet<String> = [own, all].into_iter().flatten().flat_map(claims).collect();
    let strip = (!names.is_empty()).then(|| json!({"handler": "headers", "request": {"delete": names}}));
    Guard { strip, check }
}

/// The headers that say who a client is, in all ways to spell them: some apps take `_` for `-`.
fn claims(auth: &Auth) -> Vec<String> {
    let names: Vec<&str> = match auth {
        Auth::Off => Vec::new(),
        Auth::Basic(_) => vec![USER],
        Auth::Forward { headers, .. } => headers.iter().map(String::as_str).collect(),
    };
    names.into_iter().flat_map(spellings).collect()
}

fn spellings(name: &str) -> Vec<String> {
    let mut words = name.split(['-', '_']);
    let first = vec![words.next().unwrap_or_default().to_owned()];
    words.fold(first, |all, word| {
        all.iter().flat_map(|start| [format!("{start}-{word}"), format!("{start}_{word}")]).collect()
    })
}

/// Asks for name and password. The app gets the name; the password stays here.
fn basic(accounts: Vec<Value>) -> Vec<Value> {
    vec![
        json!({"handler": "authentication", "providers": {"http_basic": {
            "hash": {"algorithm": "bcrypt"},
            "accounts": accounts,
            "realm": "restricted",
            // A hash is meant to be slow; each password is hashed once, and not once for each request.
            "hash_cache": {},
        }}}),
        json!({"handler": "headers", "request": {
            "delete": ["Authorization"],
            "set": {USER: ["{http.auth.user.id}"]},
        }}),
    ]
}

/// Asks a service about each request. With 2xx the request goes on; any other answer is that of the client. If it does not
/// answer, that is an error of the edge.
fn forward(asked: &Asked, headers: &[String], around: Surroundings<'_>, wiring: Wiring<'_>) -> Value {
    let (mut ask, path) = match asked {
        Asked::Address { dial, is_secure, path } => {
            let mut ask = patient(transport(vec![json!({"dial": dial})]));
            if *is_secure {
                ask["transport"]["tls"] = json!({});
            }
            (ask, path)
        }
        Asked::Service { name, path } => match around.services.get(name) {
            Some(spec) => (proxy(spec, around.edge, wiring), path),
            None => (patient(transport(Vec::new())), path),
        },
    };
    ask["transport"]["response_header_timeout"] = PATIENCE.into();
    // What the client asks for is no question to this service.
    let uri = if path.contains('?') { path.clone() } else { format!("{path}?") };
    ask["rewrite"] = json!({"method": "GET", "uri": uri});
    let unasked: Vec<&str> = UNBELIEVED.into_iter().chain(["Connection", "Upgrade"]).collect();
    ask["headers"]["request"] = json!({"delete": unasked, "set": {
        "X-Forwarded-Method": ["{http.request.method}"],
        "X-Forwarded-Uri": ["{http.request.uri}"],
    }});
    let copied = headers.iter().map(|name| {
        let value = format!("{{http.reverse_proxy.header.{name}}}");
        json!({
            "match": [{"not": [{"vars": {value.clone(): [""]}}]}],
            "handle": [{"handler": "headers", "request": {"set": {name: [value]}}}],
        })
    });
    let nothing = json!({"handle": [{"handler": "vars"}]});
    let routes: Vec<Value> = [nothing].into_iter().chain(copied).collect();
    ask["handle_response"] = json!([{"match": {"status_code": [2]}, "routes": routes}]);
    ask
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use core_manifest::origin::{Origin, Value as Known};
    use core_manifest::spec::Route;
    use core_manifest::template::Piece;
    use core_manifest::{Identifier, ServiceName, Template};

    use super::*;

    fn basic_of(user: &str) -> Auth {
        let hash = Piece::From(Origin::Secret(format!("web-users/{user}")), Known::known("$2b$10$x"));
        Auth::Basic([(user.to_owned(), Template::from_pieces([hash]))].into())
    }

    fn service(name: &str, auth: Option<Auth>) -> ServiceSpec {
        let mut spec = ServiceSpec::bare(ServiceName::new(name).unwrap(), "serve");
        let mut route = Route::bare(Identifier::new("http").unwrap());
        route.terms.auth = auth;
        spec.route = Some(route);
        spec
    }

    fn guard_of(all: Option<Auth>, spec: &ServiceSpec) -> Guard {
        let mut edge = service("edge", None);
        edge.edge.terms.auth = all;
        guard(&edge, spec, Surroundings::of(&BTreeMap::new()), Wiring::Held)
    }

    #[test]
    fn a_password_is_hashed_once() {
        let guard = guard_of(None, &service("web", Some(basic_of("ann"))));
        let provider = &guard.check[0]["providers"]["http_basic"];
        assert_eq!(provider["hash_cache"], json!({}));
        let account = provider["accounts"][0]["password"].as_str().unwrap();
        assert!(account.starts_with(HOLE) && !account.contains("2b"), "{account}");
        assert_eq!(guard.check[1]["request"]["delete"], json!(["Authorization"]));
        assert_eq!(guard.strip.unwrap()["request"]["delete"], json!(["Remote-User", "Remote_User"]));
    }

    #[test]
    fn a_route_has_its_own_else_that_of_the_edge() {
        let users = |guard: &Guard| {
            guard.check.first().map(|one| one["providers"]["http_basic"]["accounts"][0]["username"].clone())
        };
        let own = guard_of(Some(basic_of("ann")), &service("web", Some(basic_of("bob"))));
        assert_eq!(users(&own), Some(json!("bob")));
        assert_eq!(users(&guard_of(Some(basic_of("ann")), &service("web", None))), Some(json!("ann")));
        let open = guard_of(Some(basic_of("ann")), &service("web", Some(Auth::Off)));
        assert!(open.check.is_empty() && open.strip.is_some());
        let none = guard_of(None, &service("web", None));
        assert!(none.check.is_empty() && none.strip.is_none());
        let asked = Asked::Service { name: ServiceName::new("login").unwrap(), path: "/".into() };
        let all = Auth::Forward { asked, headers: vec!["X-Who".into()] };
        assert!(guard_of(Some(all.clone()), &service("login", None)).check.is_empty());
        assert_eq!(guard_of(Some(all), &service("web", None)).check.len(), 1);
    }

    #[test]
    fn a_name_is_spelled_in_all_ways() {
        assert_eq!(spellings("A-B_c"), ["A-B-c", "A-B_c", "A_B-c", "A_B_c"]);
    }
}
