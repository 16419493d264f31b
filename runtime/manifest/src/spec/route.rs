//! Resolves the requests that the edge sends to a service.

use std::collections::BTreeMap;

use super::edge::Terms;
use super::faults::Faults;
use super::{Context, PortSpec, Route, auth, edge, networks, rate};
use crate::diagnostic::Diagnostic;
use crate::manifest::{self, Protocol};
use crate::name::{Identifier, nearest};

/// `own_host` is a host name of the service alone. Returns `None` if the port is not one of the service's.
pub(super) fn resolve(
    route: &manifest::Route,
    own_host: Option<&str>,
    ports: &BTreeMap<Identifier, PortSpec>,
    context: &Context,
    faults: &mut Faults<'_>,
) -> Option<Route> {
    let paths = route.paths.clone().unwrap_or_else(|| vec!["/".to_owned()]);
    let prefixes =
        paths.iter().map(|path| ("paths", path)).chain(route.local_origin.iter().map(|path| ("local_origin", path)));
    for (index, (key, path)) in prefixes.enumerate() {
        let index = if key == "paths" { index } else { index - paths.len() };
        if !path.starts_with('/') || path.contains(['*', '?', '#', ' ']) {
            faults.add(
                &["route", key, &index.to_string()],
                Diagnostic::new("bad-route", format!("`{path}` is not a path prefix"))
                    .help("a prefix starts with `/` and is plain text: \"/api\""),
            );
        }
    }
    let hosts = route.hosts.iter().enumerate().map(|one| ("hosts", one));
    for (key, (index, host)) in hosts.chain(route.redirect_hosts.iter().enumerate().map(|one| ("redirect_hosts", one)))
    {
        let plain = host.strip_prefix("*.").unwrap_or(host);
        if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') {
            faults.add(
                &["route", key, &index.to_string()],
                Diagnostic::new("bad-route", format!("`{host}` is not a host name"))
                    .help("write the name alone, without scheme, port or path: \"www.example.org\""),
            );
        }
    }
    if !route.redirect_hosts.is_empty() && route.hosts.first().is_none_or(|host| host.contains('*')) {
        let fault =
            Diagnostic::new("bad-route", "`redirect_hosts` are sent on to the first of `hosts`, and there is none");
        faults.add(&["route", "redirect_hosts"], fault.help("name it: \"hosts\": [\"example.org\"]"));
    }
    let terms = Terms {
        redirect_hosts: route.redirect_hosts.clone(),
        headers: edge::headers(&["route", "headers"], &route.headers, faults),
        body_bytes: route.limits.as_ref().and_then(|limits| limits.body_mb).map(|mb| u64::from(mb) << 20),
        allow: networks::resolve(&["route", "allow"], &route.allow, &context.lists, faults),
        deny: networks::resolve(&["route", "deny"], &route.deny, &context.lists, faults),
        auth: auth::resolve(&["route", "auth"], route.auth.as_ref(), context.users.as_deref(), faults),
        rates: rate::resolve(route.rate_limit.as_ref(), faults),
    };
    let Some((port, spec)) = ports.iter().find(|(name, _)| name.as_str() == route.port) else {
        let help = nearest(&route.port, ports.keys().map(Identifier::as_str))
            .map_or_else(|| "add it to `ports`".to_owned(), |guess| format!("did you mean `{guess}`?"));
        faults.add(
            &["route", "port"],
            Diagnostic::new("unknown-port", format!("the service has no port `{}`", route.port)).help(help),
        );
        return None;
    };
    if spec.protocol == Protocol::Udp {
        faults.add(&["route", "port"], Diagnostic::new("bad-route", "the edge speaks HTTP; this port is UDP"));
    }
    Some(Route {
        hosts: route.hosts.clone(),
        paths,
        strip_prefix: route.strip_prefix,
        own_hosts: own_host.map(str::to_owned).into_iter().collect(),
        local_origin: route.local_origin.clone(),
        terms,
        port: port.clone(),
    })
}
