//! Networks, as a manifest names them.

use core_manifest::network::PRIVATE_RANGES;

/// Private networks and this host (RFC 1918, RFC 4193, RFC 4291), as in Caddy's own `private_ranges`.
pub(crate) const PRIVATE: [&str; 6] =
    ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1"];

/// The networks in a list as it was written.
pub(crate) fn named(written: &[String]) -> Vec<&str> {
    written.iter().flat_map(|one| if one == PRIVATE_RANGES { PRIVATE.to_vec() } else { vec![one.as_str()] }).collect()
}
