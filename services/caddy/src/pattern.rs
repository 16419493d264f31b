//! Networks as regular expressions over addresses as Caddy writes them: it takes networks only from its configuration, and
//! these come and go without a change of that.

use std::net::{IpAddr, Ipv6Addr};

use core_manifest::named::Lists;

use crate::networks::named;

/// Any number of an IPv4 address, and any group of an IPv6 address: what is matched is an address.
const ANY: [&str; 2] = ["[0-9]+", "[0-9a-f]+"];

/// Expressions that match the addresses of these networks, of IPv4 and of IPv6; empty if none is of that family.
pub fn patterns(networks: &[String]) -> [String; 2] {
    let (mut four, mut six) = (Vec::new(), Vec::new());
    // Those of a command name no files.
    let none = Lists::new();
    for network in named(networks, &none) {
        let (address, length) = network.split_once('/').map_or((network, None), |(one, length)| (one, Some(length)));
        let length = |most: u32| length.and_then(|text| text.parse().ok()).unwrap_or(most).min(most);
        match address.parse() {
            Ok(IpAddr::V4(one)) => four.push(of_four(u32::from(one), length(32))),
            Ok(IpAddr::V6(one)) => six.push(of_six(one, length(128))),
            Err(_) => {}
        }
    }
    [four, six].map(|all| if all.is_empty() { String::new() } else { format!("^({})$", all.join("|")) })
}

/// How many of a part's bits a prefix of this length fixes.
fn fixed(length: u32, part: u32, bits: u32) -> u32 {
    length.saturating_sub(part * bits).min(bits)
}

fn of_four(address: u32, length: u32) -> String {
    let number = |part: u32| {
        let bits = fixed(length, part, 8);
        let first = (address >> (24 - 8 * part)) & 0xff & (0xff_u32 << (8 - bits));
        match bits {
            0 => ANY[0].to_owned(),
            8 => first.to_string(),
            bits => {
                let all: Vec<String> = (first..first + (1 << (8 - bits))).map(|one| one.to_string()).collect();
                format!("({})", all.join("|"))
            }
        }
    };
    (0..4).map(number).collect::<Vec<_>>().join("\\.")
}

/// A run of groups that are 0 may be written as `::`, wherever it is: all ways to write an address are tried that the network
/// admits.
fn of_six(address: Ipv6Addr, length: u32) -> String {
    let groups = address.segments();
    let group = |part: usize| {
        let bits = fixed(length, u32::try_from(part).unwrap_or(0), 16);
        (u32::from(groups[part]) & !(0xffff_u32 >> bits) & 0xffff, bits)
    };
    let written = |parts: std::ops::Range<usize>| {
        let one = |part| {
            let (first, bits) = group(part);
            of_group(first, bits)
        };
        parts.map(one).collect::<Vec<_>>().join(":")
    };
    let may_be_zero = |part: usize| group(part).0 == 0;
    let mut all = vec![written(0..8)];
    for start in 0..8 {
        for end in start + 1..=8 {
            if (start..end).all(may_be_zero) {
                all.push(format!("{}::{}", written(0..start), written(end..8)));
            }
        }
    }
    format!("({})", all.join("|"))
}

/// Groups whose first bits are those of `first`, as they are written: without zeros in front.
fn of_group(first: u32, bits: u32) -> String {
    if bits == 0 {
        return ANY[1].to_owned();
    }
    // The first and last digit at each of the four places.
    let last = first | (0xffff_u32 >> bits);
    let digit = |number: u32, place: u32| (number >> (12 - 4 * place)) & 0xf;
    let class = |place: u32, least: u32| {
        let (from, to) = (digit(first, place).max(least), digit(last, place));
        let all: String = (from..=to).filter_map(|one| char::from_digit(one, 16)).collect();
        if all.len() == 1 { all } else { format!("[{all}]") }
    };
    let from_place = |place: u32, least: u32| {
        let rest: String = (place + 1..4).map(|place| class(place, 0)).collect();
        class(place, least) + &rest
    };
    let mut all = Vec::new();
    for place in 0..4 {
        // Those that begin at this place: it is not 0, unless it is the last one.
        let least = u32::from(place < 3);
        if digit(last, place) >= least {
            all.push(from_place(place, least));
        }
        if digit(first, place) > 0 {
            break;
        }
    }
    format!("({})", all.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_matches_if_it_is_in_the_network() {
        let is_in = |network: &str, address: &str| {
            let [four, six] = patterns(&[network.to_owned()]);
            let pattern = if address.contains(':') { six } else { four };
            !pattern.is_empty() && fancy_regex::Regex::new(&pattern).unwrap().is_match(address).unwrap()
        };
        let truly = |network: &str, address: &str| {
            let (base, length) = network.split_once('/').unwrap();
            let length: u32 = length.parse().unwrap();
            match (base.parse().unwrap(), address.parse().unwrap()) {
                (IpAddr::V4(base), IpAddr::V4(one)) => {
                    (u32::from(base) ^ u32::from(one)).checked_shr(32 - length).unwrap_or(0) == 0
                }
                (IpAddr::V6(base), IpAddr::V6(one)) => {
                    (u128::from(base) ^ u128::from(one)).checked_shr(128 - length).unwrap_or(0) == 0
                }
                _ => false,
            }
        };
        let networks = [
            "10.0.0.0/8",
            "192.168.4.0/22",
            "127.0.0.1/32",
            "0.0.0.0/0",
            "172.16.0.0/12",
            "2001:db8::/32",
            "2001:db8:0:12::/60",
            "fd00::/8",
            "fc00::/7",
            "::1/128",
            "fe80::/10",
            "::/0",
            "2001:db8:1:8000::/49",
            "2001:db8:0:3::/63",
        ];
        let addresses = [
            "10.1.2.3",
            "11.1.2.3",
            "192.168.7.255",
            "192.168.8.0",
            "127.0.0.1",
            "127.0.0.11",
            "172.31.0.1",
            "172.32.0.1",
            "::",
            "::1",
            "::11",
            "1::",
            "2001:db8::",
            "2001:db8::1",
            "2001:db8:0:1::",
            "2001:db8:0:12::",
            "2001:db8:0:1f::1",
            "2001:db8:0:20::1",
            "2001:db9::1",
            "fd00::1",
            "fd12:3456::1",
            "fc00::1",
            "fe00::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "2001:db8:1:8000::",
            "2001:db8:1:ffff:1:2:3:4",
            "2001:db8:1:7fff:1:2:3:4",
            "2001:db8:0:2:0:5::",
            "2001:db8:0:3::",
            "2001:db8:0:13:1:2:3:4",
            "2001:db8:0:0:1::",
            "2001:db8:1:0:0:1::",
            "d00::1",
        ];
        for network in networks {
            for address in addresses {
                assert_eq!(is_in(network, address), truly(network, address), "{address} in {network}");
            }
        }
    }

    #[test]
    fn what_is_of_no_family_matches_nothing() {
        assert_eq!(patterns(&["10.0.0.0/8".into()])[1], "");
        assert_eq!(patterns(&[]), ["", ""]);
    }
}
