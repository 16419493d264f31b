//! Networks, as a manifest names them.

use core::net::IpAddr;

/// The word for all private networks.
pub const PRIVATE_RANGES: &str = "private_ranges";

/// Whether a text can be the name of a host: labels of letters, digits, `-` and `_`, with dots between them (RFC 1035, section
/// 2.3.4, has the lengths).
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether this is an address, a network in CIDR form, or the word for private ones.
pub fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return text == PRIVATE_RANGES };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_names() {
        assert!(["a", "a.example", "x_y.b-c.example"].into_iter().all(is_host_name));
        let long = "x".repeat(64);
        assert!(!["", ".", "a..b", "a.", "../x", "a b", "[::1]", &long].into_iter().any(is_host_name));
    }

    #[test]
    fn networks_are_addresses_with_a_length() {
        for good in ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", PRIVATE_RANGES] {
            assert!(is_network(good), "{good}");
        }
        for bad in ["", "10.0.0", "10.0.0.0/", "10.0.0.0/x", "example.com", "fd00::/129"] {
            assert!(!is_network(bad), "{bad}");
        }
    }
}
