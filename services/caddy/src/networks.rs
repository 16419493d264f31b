//! Networks, as a manifest names them.

use core::net::IpAddr;

/// The word for all private networks.
pub(crate) const PRIVATE_RANGES: &str = "private_ranges";
/// Private networks and this host (RFC 1918, RFC 4193, RFC 4291), as in Caddy's own `private_ranges`.
pub(crate) const PRIVATE: [&str; 6] =
    ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1"];

/// The networks of the trusted proxies.
pub(crate) fn trusted(written: &[String]) -> Vec<&str> {
    written.iter().flat_map(|one| if one == PRIVATE_RANGES { PRIVATE.to_vec() } else { vec![one.as_str()] }).collect()
}

/// Whether this is an address, or a network in CIDR form.
pub(crate) fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}
