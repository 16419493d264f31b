//! Whether the names of a stack lead to it, as the world sees it: what DNS answers, where the addresses lead, and which
//! certificate is served there.

mod ask;
mod dns;
mod proof;
mod seen;
mod verdict;

use std::io;
use std::net::{IpAddr, SocketAddr};

use core_manifest::ServiceSpec;
use core_manifest::spec::{EdgeSpec, PortSpec, Protocol, Tls};
use core_stack::{Stack, drivers};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::paths::Paths;
use dns::Servers;
use proof::Proof;
pub use seen::{Address, Answering, Family, Fault, Name, Records, Report, Served};
use seen::{Answer, Port};
use verdict::Expected;

/// The ports of names that the world knows, without certificates and with.
pub const PORTS: (u16, u16) = (80, 443);

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The names.
    pub names: Vec<String>,
    /// The name server that is asked, instead of those of this host.
    pub resolver: Option<SocketAddr>,
    /// Where the world reaches the names, without certificates and with.
    pub ports: (u16, u16),
}

/// The names of a stack that are to have certificates, and that others than this host ask for.
pub fn names(stack: &Stack) -> Vec<String> {
    let all = edge(stack).map(|edge| drivers::certified(edge, &stack.topology)).unwrap_or_default();
    let is_asked = |name: &String| !name.contains('*') && name != "localhost" && !name.ends_with(".localhost");
    all.into_iter().filter(is_asked).collect()
}

/// Whether its certificates come from a CA that reaches the names over the internet.
pub fn is_of_the_world(stack: &Stack) -> bool {
    edge(stack).is_some_and(|edge| asks_the_world(&edge.edge))
}

fn edge(stack: &Stack) -> Option<&ServiceSpec> {
    stack.topology.edge().map(AsRef::as_ref)
}

/// Looks at each name. While no edge runs, its ports are open for that time.
///
/// # Errors
/// What this host lacks for that.
pub async fn examine(paths: &Paths, stack: &Stack, question: &Question) -> io::Result<Report> {
    let edge = edge(stack);
    let port = |is_secure: bool| {
        let all = edge.into_iter().flat_map(ServiceSpec::held_ports).map(|(_, port)| port);
        // Over UDP is what TCP has as well.
        let mut all = all.filter(|port| port.protocol != Protocol::Udp);
        let found = all.find(|port| (port.protocol == Protocol::Https) == is_secure);
        found.cloned().unwrap_or_else(|| usual(is_secure))
    };
    let proof = Proof::begin(&paths.edge(), &port(false), Some(&port(true))).await?;
    let expected = Expected {
        answering: proof.answering.clone(),
        ports: question.ports,
        issuers: edge.map(drivers::issuers).unwrap_or_default(),
        asks_the_world: edge.is_some_and(|spec| asks_the_world(&spec.edge)),
        has_certificates: edge.is_some_and(|spec| spec.edge.tls != Tls::Off),
    };
    let servers = Servers::of(question.resolver);
    let mut all = JoinSet::new();
    for (at, name) in question.names.iter().cloned().enumerate() {
        let (servers, expected) = (servers.clone(), expected.clone());
        let (path, secret) = (proof.path.clone(), proof.secret.clone());
        all.spawn(async move { (at, look(&name, &servers, &expected, &path, &secret).await) });
    }
    let mut names = all.join_all().await;
    names.sort_by_key(|(at, _)| *at);
    let names = names.into_iter().map(|(_, name)| name).collect();
    Ok(Report { faults: verdict::of_host(&expected), answering: proof.answering.clone(), names })
}

/// Whether certificates come from a CA that asks over the internet.
fn asks_the_world(edge: &EdgeSpec) -> bool {
    edge.asks_ca && edge.directories.is_empty()
}

/// A port as an edge has it in production.
fn usual(is_secure: bool) -> PortSpec {
    let (number, protocol) = if is_secure { (PORTS.1, Protocol::Https) } else { (PORTS.0, Protocol::Http) };
    PortSpec { number: Some(number), protocol, address: "::".into(), hold: true }
}

async fn look(name: &str, servers: &Servers, expected: &Expected, path: &str, secret: &str) -> Name {
    let (mut records, mut failure) = (Vec::new(), None);
    for family in [Family::A, Family::Aaaa] {
        match servers.addresses(name, family).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                let mut addresses = Vec::new();
                for address in found {
                    addresses.push(ask(address, name, expected, path, secret).await);
                }
                records.push(Records { family, addresses, leads_here: None, faults: Vec::new() });
            }
            Err(why) => failure = Some(why),
        }
    }
    // What a CA would be refused by matters only if a name leads anywhere.
    let caa = if records.is_empty() { Ok(None) } else { servers.issuers(name).await };
    let (caa, failure) = match caa {
        Ok(caa) => (caa, failure),
        Err(why) => (None, failure.or(Some(why))),
    };
    let mut name = Name { name: name.to_owned(), records, caa, faults: Vec::new() };
    verdict::judge(&mut name, failure, expected);
    name
}

async fn ask(address: IpAddr, name: &str, expected: &Expected, path: &str, secret: &str) -> Address {
    let (plain, secure) = expected.ports;
    let at = |port| SocketAddr::new(address, port);
    let answer = ask::plain(at(plain), name, path, secret).await;
    let secure = if expected.answering == Answering::Check {
        // Whoever answers there has no certificate for this check.
        match ask::plain(at(secure), name, path, secret).await {
            Port::Reached(Answer { is_ours: true, .. }) => Port::Reached(None),
            Port::Reached(_) => ask::secure(at(secure), name, Timestamp::now()).await,
            Port::Closed(why) => Port::Closed(why),
        }
    } else {
        ask::secure(at(secure), name, Timestamp::now()).await
    };
    Address { address, plain: answer, secure }
}
