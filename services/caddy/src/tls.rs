//! Certificates: which names have one, where they come from, and what becomes of plain requests.

use std::collections::BTreeSet;

use core_engine::driver::Surroundings;
use core_manifest::spec::{OwnCertificate, Route, ServiceSpec, Tls};
use core_manifest::{Diagnostic, ServiceName};
use serde_json::{Value, json};

use crate::pointer::served;
use crate::{TLS_LOG, on_demand, ports, trial};

/// The directory of the second CA, where nobody has chosen: Caddy gets credentials for it by the e-mail address.
const ZEROSSL: &str = "https://acme.zerossl.com/v2/DV90";
/// What this host is called by its own programs.
const LOCALHOST: &str = "localhost";

/// The names that get a certificate, of an edge in front of these services.
pub fn names<'a>(edge: &ServiceSpec, services: impl Iterator<Item = &'a ServiceSpec> + Clone) -> BTreeSet<String> {
    let routes = || services.clone().filter(|spec| !spec.name.is_trial()).filter_map(|spec| spec.route.as_ref());
    let hosts = routes().flat_map(Route::names).cloned();
    match edge.edge.tls {
        Tls::Off => BTreeSet::new(),
        Tls::Auto => hosts.collect(),
        Tls::Internal => {
            let own = routes().flat_map(|route| &route.own_hosts).flat_map(|host| [host.clone(), format!("*.{host}")]);
            let previews = services.clone().filter(|spec| !spec.name.is_trial()).flat_map(trial::names);
            hosts.chain(own).chain(previews).chain([LOCALHOST.to_owned()]).collect()
        }
    }
}

/// What is wrong with the certificates that are asked for.
pub(crate) fn check(edge: &ServiceSpec, around: Surroundings<'_>) -> Result<(), Vec<Diagnostic>> {
    let fault = |code: &'static str, message: String, service: &ServiceName, help: &str| {
        Err(vec![Diagnostic::new(code, message).service(service.as_str()).help(help)])
    };
    on_demand::check(edge, around)?;
    if edge.edge.tls == Tls::Off {
        return Ok(());
    }
    if ports::secure(edge).is_none() {
        let message = format!("the edge `{}` has no port for its certificates", edge.name);
        return fault(
            "no-held-port",
            message,
            &edge.name,
            "give it one: \"https\": {\"port\": 443, \"protocol\": \"https\"}",
        );
    }
    if edge.edge.tls == Tls::Internal {
        return Ok(());
    }
    let without: Vec<String> = automated(edge, around).into_iter().collect();
    if let (Some(first), false) = (without.first(), edge.edge.asks_ca) {
        let message = match without.len() {
            1 => format!("no certificate in `certificates` of `{}` is for `{first}`", edge.name),
            count => {
                format!("no certificate in `certificates` of `{}` is for `{first}` and {} more", edge.name, count - 1)
            }
        };
        let help = "add one that is, or give an \"email\": then a CA is asked for those that no file has";
        return fault("no-certificate", message, &edge.name, help);
    }
    let names = names(edge, around.services.values());
    if names.is_empty() && edge.edge.on_demand.is_none() {
        let message = format!("`{}` is to get certificates, and no route names a host", edge.name);
        let help =
            "a certificate is for a name: give a route its \"hosts\": [\"www.example.org\"], or set \"tls\": \"off\"";
        return fault("no-host", message, &edge.name, help);
    }
    for spec in served(around) {
        let mut hosts = spec.route.iter().flat_map(Route::names);
        if let Some(host) = hosts.find(|host| host.contains('*') && !edge.edge.has_file_for(host)) {
            let message =
                format!("`{host}` of `{}` cannot get a certificate by ACME: that needs a single name", spec.name);
            let help = "write each host on its own, or name the file of a certificate for it in `certificates`";
            return fault("bad-route", message, &spec.name, help);
        }
    }
    Ok(())
}

/// The names whose certificate Caddy gets.
fn automated(edge: &ServiceSpec, around: Surroundings<'_>) -> BTreeSet<String> {
    let mut names = names(edge, around.services.values());
    names.retain(|name| !edge.edge.has_file_for(name));
    names
}

/// Caddy's app for certificates.
pub(crate) fn app(edge: &ServiceSpec, around: Surroundings<'_>) -> Value {
    let names = automated(edge, around);
    // A copy has both in it.
    let one = |own: &OwnCertificate| json!({"certificate": own.file, "key": own.file});
    let files: Vec<Value> = edge.edge.certificates.iter().map(one).collect();
    let mut app = json!({"certificates": {"automate": names}});
    if !files.is_empty() {
        app["certificates"]["load_files"] = files.into();
    }
    let named = (!names.is_empty()).then(|| json!({"subjects": names, "issuers": issuers(edge)}));
    let previews = trial::asked_for(edge, around);
    let of_previews =
        (!previews.is_empty()).then(|| json!({"subjects": previews, "on_demand": true, "issuers": issuers(edge)}));
    // Without subjects, a policy is for every name.
    let of_others = edge.edge.on_demand.as_ref().map(|_| json!({"on_demand": true, "issuers": issuers(edge)}));
    let is_asked = of_previews.is_some() || of_others.is_some();
    let permission = if is_asked { on_demand::permission(edge) } else { None };
    let policies: Vec<Value> = named.into_iter().chain(of_previews).chain(of_others).collect();
    if !policies.is_empty() {
        app["automation"] = json!({"policies": policies});
    }
    if let Some(permission) = permission {
        app["automation"]["on_demand"] = permission;
    }
    app
}

/// Caddy's app for CAs of its own: their root certificate is installed on this host only when a person asks for that.
pub(crate) fn pki() -> Value {
    json!({"certificate_authorities": {"local": {"install_trust": false}}})
}

fn issuers(edge: &ServiceSpec) -> Vec<Value> {
    if edge.edge.tls == Tls::Internal {
        return vec![json!({"module": "internal"})];
    }
    let email = edge.edge.email.as_ref();
    let acme = |directory: Option<&str>| {
        let mut one = json!({"module": "acme"});
        if let Some(directory) = directory {
            one["ca"] = directory.into();
        }
        if let Some(email) = email {
            one["email"] = email.as_str().into();
        }
        if !edge.edge.roots.is_empty() {
            one["trusted_roots_pem_files"] = json!(edge.edge.roots);
        }
        one
    };
    if edge.edge.directories.is_empty() {
        // Without a directory, Caddy asks Let's Encrypt.
        return [None].into_iter().chain(email.map(|_| Some(ZEROSSL))).map(acme).collect();
    }
    edge.edge.directories.iter().map(|directory| acme(Some(directory))).collect()
}

/// How connections with certificates are made: by which name, if the client says none.
pub(crate) fn connections(edge: &ServiceSpec) -> Value {
    match edge.edge.tls {
        Tls::Internal => json!([{"default_sni": LOCALHOST}]),
        Tls::Off | Tls::Auto => json!([{}]),
    }
}

/// How addresses begin that clients are sent on to; without certificates, as the one that they asked.
pub(crate) fn scheme(edge: &ServiceSpec) -> &'static str {
    if edge.edge.tls == Tls::Off { "" } else { "https:" }
}

/// What follows a name with a certificate in an address.
pub(crate) fn port(edge: &ServiceSpec) -> String {
    let number = ports::secure(edge).filter(|_| edge.edge.tls != Tls::Off).and_then(|port| port.number);
    number.filter(|number| *number != 443).map_or_else(String::new, |number| format!(":{number}"))
}

/// Sends plain requests for names with certificates to where these are.
pub(crate) fn redirect(edge: &ServiceSpec, around: Surroundings<'_>) -> Value {
    let port = port(edge);
    let of_routes = json!({"host": names(edge, around.services.values())});
    let of_previews = trial::secured(edge, around);
    let matchers: Vec<Value> = [of_routes].into_iter().chain(of_previews).chain(on_demand::redirected(edge)).collect();
    json!({
        "match": matchers,
        "handle": [{
            "handler": "static_response",
            "status_code": 308,
            "headers": {"Location": [format!("https://{{http.request.host}}{port}{{http.request.uri}}")]},
        }],
        "terminal": true,
    })
}

/// Where Caddy says why a certificate could not be had, for core.
pub(crate) fn log() -> Value {
    json!({
        "writer": {"output": "file", "filename": format!("@RUN@/{TLS_LOG}"), "roll_size_mb": 1, "roll_keep": 1},
        "encoder": {"format": "json"},
        "level": "ERROR",
        "include": ["tls.obtain", "tls.renew", "tls.issuance"],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use core_manifest::Identifier;
    use core_manifest::spec::{Kind, PortSpec, Protocol};

    use super::*;

    fn edge(tls: Tls) -> ServiceSpec {
        let mut spec = ServiceSpec::bare(ServiceName::new("caddy").unwrap(), "caddy");
        spec.kind = Kind::Caddy;
        spec.edge.tls = tls;
        spec.edge.asks_ca = tls == Tls::Auto;
        for (name, number, protocol) in [("http", 80, Protocol::Http), ("https", 443, Protocol::Https)] {
            let port = PortSpec { number: Some(number), protocol, address: "::".into(), hold: true };
            spec.ports.insert(Identifier::new(name).unwrap(), port);
        }
        spec
    }

    fn web(hosts: &[&str]) -> BTreeMap<ServiceName, ServiceSpec> {
        let mut spec = ServiceSpec::bare(ServiceName::new("web").unwrap(), "serve");
        spec.route = Some(Route {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            own_hosts: vec!["web.localhost".into()],
            ..Route::bare(Identifier::new("http").unwrap())
        });
        [(spec.name.clone(), spec)].into()
    }

    #[test]
    fn a_ca_is_asked_for_names_of_the_world_only() {
        let services = web(&["b.example", "a.example"]);
        let of = |tls| Vec::from_iter(names(&edge(tls), services.values()));
        assert_eq!(of(Tls::Auto), ["a.example", "b.example"]);
        assert_eq!(of(Tls::Internal), ["*.web.localhost", "a.example", "b.example", "localhost", "web.localhost"]);
        assert!(of(Tls::Off).is_empty());
    }

    #[test]
    fn what_cannot_have_a_certificate_is_refused() {
        let refused = |edge: &ServiceSpec, hosts: &[&str]| {
            let services = web(hosts);
            check(edge, Surroundings::of(&services)).map_err(|faults| faults[0].message.clone()).err()
        };
        let auto = edge(Tls::Auto);
        assert_eq!(refused(&auto, &["a.example"]), None);
        assert!(refused(&auto, &[]).unwrap().contains("no route names a host"));
        assert!(refused(&auto, &["*.example"]).unwrap().contains("`*.example` of `web`"));
        let mut without = edge(Tls::Internal);
        without.ports.retain(|_, port| port.protocol != Protocol::Https);
        assert!(refused(&without, &[]).unwrap().contains("no port for its certificates"));
    }

    #[test]
    fn a_ca_is_not_asked_for_what_a_file_has() {
        let services = web(&["*.a.example", "b.example"]);
        let around = Surroundings::of(&services);
        let mut edge = edge(Tls::Auto);
        let file = "/copy.pem".to_owned();
        edge.edge.certificates = vec![OwnCertificate { names: vec!["*.a.example".into()], file: file.clone() }];
        assert!(check(&edge, around).is_ok());
        let app = app(&edge, around);
        assert_eq!(app["certificates"]["automate"], json!(["b.example"]));
        assert_eq!(app["certificates"]["load_files"], json!([{"certificate": file, "key": file}]));
        edge.edge.asks_ca = false;
        let said = check(&edge, around).unwrap_err()[0].message.clone();
        assert_eq!(said, "no certificate in `certificates` of `caddy` is for `b.example`");
    }

    #[test]
    fn cas_are_asked_in_their_order() {
        let mut edge = edge(Tls::Auto);
        assert_eq!(issuers(&edge), [json!({"module": "acme"})]);
        edge.edge.email = Some("a@b.example".into());
        assert_eq!(issuers(&edge)[1], json!({"module": "acme", "ca": ZEROSSL, "email": "a@b.example"}));
        edge.edge.directories = vec!["https://one/dir".into(), "https://two/dir".into()];
        edge.edge.roots = vec!["/root.pem".into()];
        let all = issuers(&edge);
        assert_eq!((all[0]["ca"].as_str(), all[1]["ca"].as_str()), (Some("https://one/dir"), Some("https://two/dir")));
        assert_eq!(all[0]["trusted_roots_pem_files"], json!(["/root.pem"]));
    }

    #[test]
    fn plain_requests_go_where_the_certificates_are() {
        let services = web(&["a.example"]);
        let of = |edge: &ServiceSpec| {
            let route = redirect(edge, Surroundings::of(&services));
            route["handle"][0]["headers"]["Location"][0].as_str().map(str::to_owned)
        };
        let mut edge = edge(Tls::Auto);
        assert_eq!(of(&edge).as_deref(), Some("https://{http.request.host}{http.request.uri}"));
        edge.ports.get_mut("https").unwrap().number = Some(8443);
        assert_eq!(of(&edge).as_deref(), Some("https://{http.request.host}:8443{http.request.uri}"));
    }
}
