//! Networks, as a manifest names them.

use core::net::IpAddr;

use core_engine::driver::Surroundings;
use core_manifest::spec::Terms;
use core_manifest::{Diagnostic, ServiceSpec};

/// The word for all private networks.
pub(crate) const PRIVATE_RANGES: &str = "private_ranges";
/// Private networks and this host (RFC 1918, RFC 4193, RFC 4291), as in Caddy's own `private_ranges`.
pub(crate) const PRIVATE: [&str; 6] =
    ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1"];

/// The networks in a list as it was written.
pub(crate) fn named(written: &[String]) -> Vec<&str> {
    written.iter().flat_map(|one| if one == PRIVATE_RANGES { PRIVATE.to_vec() } else { vec![one.as_str()] }).collect()
}

/// Checks all lists of networks.
pub(crate) fn check(edge: &ServiceSpec, around: Surroundings<'_>) -> Result<(), Vec<Diagnostic>> {
    let of = |terms: &'_ Terms| [("allow", terms.allow.clone()), ("deny", terms.deny.clone())];
    let own = [("trusted_proxies", edge.edge.trusted_proxies.clone())].into_iter().chain(of(&edge.edge.terms));
    let mut all: Vec<(&ServiceSpec, &str, Vec<String>)> = own.map(|(key, list)| (edge, key, list)).collect();
    for spec in around.services.values() {
        let lists = spec.route.iter().flat_map(|route| of(&route.terms));
        all.extend(lists.map(|(key, list)| (spec, key, list)));
    }
    let is_good = |one: &String| one == PRIVATE_RANGES || is_network(one);
    for (spec, key, list) in all {
        if let Some(wrong) = list.iter().find(|one| !is_good(one)) {
            let message = format!("`{wrong}` in `{key}` of `{}` is not an address or a network", spec.name);
            let help = "write an address (203.0.113.7), a network (10.0.0.0/8), or private_ranges";
            return Err(vec![Diagnostic::new("bad-config", message).service(spec.name.as_str()).help(help)]);
        }
    }
    Ok(())
}

/// Whether this is an address, or a network in CIDR form.
pub(crate) fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}
