//! Networks, as a manifest names them.

use core_manifest::named::{LIST, Lists, entries};
use core_manifest::network::PRIVATE_RANGES;

/// Private networks and this host (RFC 1918, RFC 4193, RFC 4291), as in Caddy's own `private_ranges`.
pub(crate) const PRIVATE: [&str; 6] =
    ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1"];

/// The networks in a list as it was written, with those in the files that it names.
pub(crate) fn named<'a>(written: &'a [String], lists: &'a Lists) -> Vec<&'a str> {
    let in_file = |path: &str| {
        let file = lists.get(path).and_then(Option::as_ref);
        file.into_iter().flat_map(|file| entries(&file.text)).map(|(_, entry)| entry).collect()
    };
    let all = written.iter().flat_map(|one| one.strip_prefix(LIST).map_or_else(|| vec![one.as_str()], in_file));
    all.flat_map(|one| if one == PRIVATE_RANGES { PRIVATE.to_vec() } else { vec![one] }).collect()
}

/// A network, or an address as the network that has only this one: where Caddy takes no addresses.
pub(crate) fn as_prefix(one: &str) -> String {
    match one {
        network if network.contains('/') => network.to_owned(),
        address if address.contains(':') => format!("{address}/128"),
        address => format!("{address}/32"),
    }
}
