//! Held sockets: opened for a service, and kept open while it is replaced or restarted. Shims keep copies of their
//! service's sockets, so that these outlive a supervisor.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use core_manifest::{Identifier, ServiceName, ServiceSpec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::descriptors;

/// How many connections may wait while no process accepts them.
const BACKLOG: i32 = 4096;

/// All held sockets, by service and port, with the address that each is bound to.
#[derive(Debug, Default)]
pub struct Held(BTreeMap<(String, String), (Option<SocketAddr>, OwnedFd)>);

impl Held {
    /// The held sockets of a service, in the order of their descriptors; missing ones are opened.
    ///
    /// # Errors
    /// The port that could not be opened, and why.
    pub(super) fn open(&mut self, spec: &ServiceSpec) -> Result<Vec<(String, OwnedFd)>, (u16, io::Error)> {
        let mut all = Vec::new();
        for (name, port) in spec.held_ports() {
            let number = port.number.unwrap_or(0);
            let failed = |error: io::Error| (number, error);
            let address: IpAddr = port.address.parse().map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
            let address = possible(SocketAddr::new(address, number));
            let key = (spec.name.to_string(), name.to_string());
            // Another port number or address needs another socket.
            let is_other = self.0.get(&key).is_some_and(|(bound, _)| bound.is_some_and(|bound| bound != address));
            let old = if is_other { self.0.remove(&key) } else { None };
            let socket = match self.0.entry(key) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let beside = old.as_ref().map(|(_, socket)| socket);
                    let opened = descriptors::with_reserve(|| match beside {
                        Some(old) => open_beside(old, address),
                        None => open_socket(address, false),
                    });
                    entry.insert((Some(address), opened.map_err(failed)?))
                }
            };
            all.push((name.to_string(), copy(&socket.1).map_err(failed)?));
        }
        Ok(all)
    }

    /// Copies of a service's open sockets.
    pub(super) fn of(&self, service: &ServiceName) -> Vec<(String, OwnedFd)> {
        let of_service = self.0.iter().filter(|((of, _), _)| of == service.as_str());
        of_service.filter_map(|((_, port), (_, socket))| Some((port.clone(), copy(socket).ok()?))).collect()
    }

    /// Keeps sockets that a shim held.
    pub(super) fn keep(&mut self, service: &ServiceName, sockets: Vec<(String, OwnedFd)>) {
        for (name, socket) in sockets {
            let bound = rustix::net::getsockname(&socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
            self.0.entry((service.to_string(), name)).or_insert((bound, socket));
        }
    }

    /// Closes all sockets but these.
    pub(super) fn retain(&mut self, ports: &BTreeSet<(ServiceName, Identifier)>) {
        let wanted: BTreeSet<(&str, &str)> =
            ports.iter().map(|(service, port)| (service.as_str(), port.as_str())).collect();
        self.0.retain(|(service, port), _| wanted.contains(&(service.as_str(), port.as_str())));
    }
}

fn copy(socket: &OwnedFd) -> io::Result<OwnedFd> {
    descriptors::with_reserve(|| socket.try_clone())
}

/// The address as this host can bind it: one without IPv6 has all addresses with those of IPv4.
fn possible(address: SocketAddr) -> SocketAddr {
    let is_all = address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED);
    if is_all && open_socket(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), false).is_err() {
        return SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    }
    address
}

/// Opens a socket that may have the port of the one that it replaces: the same port on all addresses instead of one. The
/// old one serves until its program ends. Both are marked as sharing only while this one is bound; other users could not
/// join them even then.
fn open_beside(old: &OwnedFd, address: SocketAddr) -> io::Result<OwnedFd> {
    sockopt::set_socket_reuseport(old, true)?;
    let opened = open_socket(address, true);
    sockopt::set_socket_reuseport(old, false)?;
    let opened = opened?;
    sockopt::set_socket_reuseport(&opened, false)?;
    Ok(opened)
}

fn open_socket(address: SocketAddr, shares: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if shares {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    if address.is_ipv6() {
        // `::` means all addresses, IPv4 and IPv6.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_port_moves_to_all_addresses_while_it_is_open_on_one() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let one = open_socket(SocketAddr::from(([127, 0, 0, 1], port)), false).unwrap();
        let all = SocketAddr::from(([0, 0, 0, 0], port));
        assert_eq!(open_socket(all, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let both = open_beside(&one, all).unwrap();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        TcpStream::connect(("127.0.0.2", port)).unwrap();
        assert!(open_socket(SocketAddr::from(([127, 0, 0, 1], port)), false).is_err());
        drop(one);
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        drop(both);
    }
}
