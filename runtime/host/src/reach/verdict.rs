//! What is wrong with a name, from what was seen of it, and what to do. Pure.

use std::net::IpAddr;

use core_stack::drivers;

use super::seen::{Address, Answer, Answering, Closed, Family, Fault, Name, Port, Records, Served};

/// What is needed of each name.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) answering: Answering,
    /// Where the world reaches the names, without certificates and with.
    pub(super) ports: (u16, u16),
    /// How the CAs call themselves in CAA records, if that is known.
    pub(super) issuers: Vec<&'static str>,
    /// Whether a CA on the internet has to reach them.
    pub(super) asks_the_world: bool,
    /// Whether the edge is to have certificates.
    pub(super) has_certificates: bool,
}

fn fault(code: &'static str, message: String, help: impl Into<String>) -> Fault {
    Fault { code, message, help: help.into() }
}

/// What is wrong with this host.
pub(super) fn of_host(expected: &Expected) -> Vec<Fault> {
    let Answering::Nobody(why) = &expected.answering else { return Vec::new() };
    let message = format!("it cannot be shown where the names lead: the edge does not run, and {why}");
    vec![fault("not-shown", message, "run this again while the stack runs, or as root with the port free")]
}

/// Adds what is wrong with a name; `failure` is why a part of it is not known.
pub(super) fn judge(name: &mut Name, failure: Option<String>, expected: &Expected) {
    if let Some(why) = failure {
        let message = format!("not all of `{}` is known: {why}", name.name);
        let help = "SERVFAIL is often a broken DNSSEC of the domain; else ask another name server: --resolver ADDRESS";
        name.faults.push(fault("dns-failed", message, help));
    } else if name.records.is_empty() {
        let message = format!("`{}` has neither an A nor an AAAA record", name.name);
        let help =
            "add an A record with the public address of this host; a new record is seen everywhere within its TTL";
        name.faults.push(fault("no-address", message, help));
    }
    name.faults.extend(caa(name, expected));
    let other_is_right = |family: Family| {
        name.records.iter().any(|records| records.family != family && leads_here(records, expected) == Some(true))
    };
    let right: Vec<bool> = name.records.iter().map(|records| other_is_right(records.family)).collect();
    for (records, other_is_right) in name.records.iter_mut().zip(right) {
        records.leads_here = leads_here(records, expected);
        let of = Of { name: &name.name, family: records.family, other_is_right };
        records.faults = records.addresses.iter().flat_map(|address| of.faults(address, expected)).collect();
    }
}

/// Whether a set of records leads to this stack.
fn leads_here(records: &Records, expected: &Expected) -> Option<bool> {
    if matches!(expected.answering, Answering::Nobody(_)) {
        return None;
    }
    let is_ours = |one: &Address| matches!(one.plain, Port::Reached(Answer { is_ours: true, .. }));
    Some(records.addresses.iter().all(is_ours))
}

fn caa(name: &Name, expected: &Expected) -> Option<Fault> {
    let (of, allowed) = name.caa.as_ref()?;
    let allowed: Vec<&str> = allowed.iter().map(|value| value.split(';').next().unwrap_or_default().trim()).collect();
    let is_allowed = expected.issuers.is_empty() || expected.issuers.iter().any(|one| allowed.contains(one));
    (!is_allowed).then(|| {
        let said: Vec<&str> = allowed.into_iter().filter(|one| !one.is_empty()).collect();
        let said = if said.is_empty() { "no CA".to_owned() } else { format!("only {}", said.join(", ")) };
        let message = format!("the CAA records of `{of}` allow {said} to issue certificates for `{}`", name.name);
        fault("caa", message, format!("add a CAA record to `{of}`: 0 issue \"{}\"", expected.issuers[0]))
    })
}

/// Of which records an address is.
struct Of<'a> {
    name: &'a str,
    family: Family,
    /// Whether the records of the other family lead here.
    other_is_right: bool,
}

impl Of<'_> {
    fn faults(&self, seen: &Address, expected: &Expected) -> Vec<Fault> {
        let address = seen.address;
        let is_known = !matches!(expected.answering, Answering::Nobody(_));
        let (plain, secure) = expected.ports;
        let mut all = Vec::new();
        if expected.asks_the_world && is_private(address) {
            let message = format!("the {} record of `{}` is {address}", self.family.word(), self.name);
            let help = "only this network reaches that address, and no CA: set the record to the public address";
            all.push(fault("private-address", message, help));
        }
        match &seen.plain {
            Port::Closed(why) => all.push(self.closed(address, plain, why)),
            Port::Reached(answer) if answer.is_ours => all.extend(self.in_front(address, answer)),
            Port::Reached(answer) if is_known => {
                all.push(self.elsewhere(address, answer));
                // What else is there is of another server.
                return all;
            }
            Port::Reached(_) => {}
        }
        match &seen.secure {
            Port::Closed(why) => all.push(self.closed(address, secure, why)),
            Port::Reached(Some(served)) => all.extend(self.certificate(address, secure, served)),
            Port::Reached(None) if all.is_empty() && expected.answering == Answering::Edge => {
                if expected.has_certificates {
                    let message = format!("there is not a certificate for `{}` yet", self.name);
                    all.push(fault(
                        "no-certificate",
                        message,
                        "`core status` says why; the edge tries again by itself",
                    ));
                }
            }
            Port::Reached(None) => {}
        }
        all
    }

    fn closed(&self, address: IpAddr, port: u16, why: &Closed) -> Fault {
        let (name, word) = (self.name, self.family.word());
        let of = format!("port {port} of {address}, the {word} record of `{name}`,");
        match why {
            Closed::Refused => fault(
                "port-closed",
                format!("{of} refuses connections"),
                "nobody listens there: is that the address of this host? Behind a router, forward the port to this host",
            ),
            Closed::Silent => fault(
                "port-closed",
                format!("{of} does not answer"),
                "open the port in the firewalls of this host and of its provider; behind a router, forward it. If others \
                 reach it, the router does not lead this host to its own address, and only they can tell",
            ),
            Closed::NoWay => fault(
                "no-way",
                format!("{of} is not reached: this host has no connection to addresses of that family"),
                format!("remove the {word} record of `{name}`, or give this host such an address"),
            ),
            Closed::Other(why) => fault(
                "port-closed",
                format!("{of} is not reached: {why}"),
                format!("set the {word} record to the public address of this host"),
            ),
        }
    }

    fn elsewhere(&self, address: IpAddr, answer: &Answer) -> Fault {
        let (name, word) = (self.name, self.family.word());
        let server = answer.server.as_deref().map_or_else(String::new, |server| format!(" ({server})"));
        let message = format!("the {word} record of `{name}`, {address}, leads to another server{server}");
        let help = if self.other_is_right && self.family == Family::Aaaa {
            "the A record is right, and clients and CAs prefer IPv6: remove the AAAA record, or set it to the IPv6 address \
             of this host"
                .to_owned()
        } else {
            format!(
                "set the {word} record to the public address of this host; if that server is a CDN in front of it, have \
                 it pass on the name as it is (\"DNS only\")"
            )
        };
        fault("leads-elsewhere", message, help)
    }

    /// What is answered by another server on behalf of this stack.
    fn in_front(&self, address: IpAddr, answer: &Answer) -> Option<Fault> {
        let server = answer.server.as_deref().unwrap_or("unnamed");
        (server != drivers::HERE.2).then(|| {
            let message = format!("`{}` comes here through another server ({server}), at {address}", self.name);
            let help = "clients see the certificate of that server: have it pass on the name as it is (\"DNS only\"), or \
                        set \"tls\": \"off\" and name it in `trusted_proxies`";
            fault("proxy-in-front", message, help)
        })
    }

    fn certificate(&self, address: IpAddr, port: u16, served: &Served) -> Option<Fault> {
        let Served { issuer, not_after, .. } = served;
        if !served.is_for_name {
            let message =
                format!("port {port} of {address} has a certificate of {issuer} that is not for `{}`", self.name);
            let help = "another server answers there: is the port forwarded to this host?";
            return Some(fault("wrong-certificate", message, help));
        }
        served.is_over.then(|| {
            let message = format!("the certificate of {issuer} for `{}` has ended: {not_after}", self.name);
            fault("certificate-expired", message, "`core status` says why it was not renewed")
        })
    }
}

/// Whether an address is none of the internet.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(one) => {
            // The last is RFC 6598: addresses between a provider's router and its customers'.
            let is_shared = one.octets()[0] == 100 && one.octets()[1] & 0xc0 == 64;
            one.is_private() || one.is_loopback() || one.is_link_local() || one.is_unspecified() || is_shared
        }
        IpAddr::V6(one) => {
            one.is_loopback() || one.is_unique_local() || one.is_unicast_link_local() || one.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(answering: Answering) -> Expected {
        let issuers = vec!["letsencrypt.org", "sectigo.com"];
        Expected { answering, ports: (80, 443), issuers, asks_the_world: true, has_certificates: true }
    }

    /// An address, and what came from its ports.
    type Seen<'a> = (&'a str, Port<Answer>, Port<Option<Served>>);

    /// What is said of a name with one address of each of these families.
    fn codes(records: &[Seen<'_>], caa: &[&str], expected: &Expected) -> Vec<String> {
        let of = |(address, plain, secure): &Seen<'_>| {
            let address: IpAddr = address.parse().unwrap();
            let family = if address.is_ipv4() { Family::A } else { Family::Aaaa };
            let addresses = vec![Address { address, plain: plain.clone(), secure: secure.clone() }];
            Records { family, addresses, leads_here: None, faults: Vec::new() }
        };
        let caa = (!caa.is_empty()).then(|| ("a.example".to_owned(), caa.iter().map(ToString::to_string).collect()));
        let records = records.iter().map(of).collect();
        let mut name = Name { name: "www.a.example".into(), records, caa, faults: Vec::new() };
        judge(&mut name, None, expected);
        let all = name.records.iter().flat_map(|records| records.faults.clone()).chain(name.faults.clone());
        all.map(|fault| format!("{}: {}", fault.code, fault.message)).collect()
    }

    fn ours() -> Port<Answer> {
        Port::Reached(Answer { status: 200, server: Some(drivers::HERE.2.into()), is_ours: true })
    }

    fn served(is_for_name: bool, is_over: bool) -> Port<Option<Served>> {
        Port::Reached(Some(Served {
            issuer: "CA".into(),
            not_after: "2026-01-01T00:00:00Z".into(),
            is_over,
            is_for_name,
        }))
    }

    #[test]
    fn what_is_served_is_looked_at() {
        let edge = expected(Answering::Edge);
        let of = |secure| codes(&[("203.0.113.7", ours(), secure)], &[], &edge);
        assert!(of(served(true, false)).is_empty());
        assert!(of(served(false, false))[0].starts_with("wrong-certificate: port 443 of 203.0.113.7"));
        assert!(of(served(true, true))[0].starts_with("certificate-expired"));
        assert!(of(Port::Reached(None))[0].starts_with("no-certificate"));
        assert!(of(Port::Closed(Closed::Silent))[0].starts_with("port-closed: port 443 of 203.0.113.7, the A record"));
        // Nobody expects one of a check.
        let check = expected(Answering::Check);
        assert!(codes(&[("203.0.113.7", ours(), Port::Reached(None))], &[], &check).is_empty());
    }

    #[test]
    fn a_ca_reaches_no_private_address() {
        let of = |address, asks_the_world| {
            let expected = Expected { asks_the_world, ..expected(Answering::Edge) };
            codes(&[(address, ours(), served(true, false))], &[], &expected)
        };
        for address in
            ["127.0.1.1", "10.0.0.1", "192.168.1.2", "169.254.1.1", "100.64.0.1", "::1", "fd00::1", "fe80::1"]
        {
            assert!(of(address, true)[0].starts_with("private-address"), "{address}");
            assert!(of(address, false).is_empty(), "{address}");
        }
        assert!(of("2001:db8::1", true).is_empty() && of("100.128.0.1", true).is_empty());
    }

    #[test]
    fn a_ca_must_be_allowed() {
        let of =
            |caa: &[&str], expected: &Expected| codes(&[("203.0.113.7", ours(), served(true, false))], caa, expected);
        let edge = expected(Answering::Edge);
        assert!(of(&["other.example", "sectigo.com; accounturi=x"], &edge).is_empty());
        assert!(of(&["other.example"], &edge)[0].contains("of `a.example` allow only other.example to issue"));
        assert!(of(&[";"], &edge)[0].contains("allow no CA"));
        assert!(of(&["other.example"], &Expected { issuers: vec![], ..edge }).is_empty());
    }

    #[test]
    fn an_address_of_a_family_that_the_host_has_not_is_named() {
        let (no_way, edge) = (Closed::NoWay, expected(Answering::Edge));
        let six = ("2001:db8::1", Port::Closed(no_way.clone()), Port::Closed(no_way));
        let all = codes(&[("203.0.113.7", ours(), served(true, false)), six], &[], &edge);
        assert!(all.iter().all(|one| one.starts_with("no-way: port")) && all.len() == 2, "{all:?}");
    }

    #[test]
    fn without_proof_nothing_is_said_of_where_a_name_leads() {
        let nobody = expected(Answering::Nobody("this user may not open port 80".into()));
        let other = Port::Reached(Answer { status: 404, server: None, is_ours: false });
        assert!(codes(&[("203.0.113.7", other, Port::Reached(None))], &[], &nobody).is_empty());
        assert!(of_host(&nobody)[0].message.contains("this user may not open port 80"));
    }
}
