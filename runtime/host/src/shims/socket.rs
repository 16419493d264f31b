//! Sockets that core opens for services.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::descriptors;

/// How many connections may wait while no process accepts them.
const BACKLOG: i32 = 4096;
/// Bytes of datagrams that may wait: what QUIC servers ask for, who may not have so much without core.
const WAITING: usize = 7 << 20;

/// A copy of its descriptor.
pub(super) fn copy(socket: &OwnedFd) -> io::Result<OwnedFd> {
    descriptors::with_reserve(|| socket.try_clone())
}

/// The address as this host can bind it: one without IPv6 has all addresses with those of IPv4.
pub(super) fn possible(address: SocketAddr) -> SocketAddr {
    let is_all = address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED);
    if is_all && open_socket(SocketType::STREAM, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), false).is_err() {
        return SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    }
    address
}

/// Opens a socket that may have the port of the one that it replaces: the same port on all addresses instead of one. The
/// old one serves until its program ends. Both are marked as sharing only while this one is bound; other users could not
/// join them even then.
pub(super) fn open_beside(old: &OwnedFd, address: SocketAddr) -> io::Result<OwnedFd> {
    sockopt::set_socket_reuseport(old, true)?;
    let opened = open_socket(SocketType::STREAM, address, true);
    sockopt::set_socket_reuseport(old, false)?;
    let opened = opened?;
    sockopt::set_socket_reuseport(&opened, false)?;
    Ok(opened)
}

/// A socket of this type that takes connections, or datagrams, there; with `shares`, beside others of this user that share
/// the port.
pub(super) fn open_socket(kind: SocketType, address: SocketAddr, shares: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    let is_stream = kind == SocketType::STREAM;
    if is_stream {
        // For datagrams it would mean that others may have the port as well.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    } else if sockopt::set_socket_recv_buffer_size_force(&socket, WAITING).is_err() {
        // As much as the host lets everybody have.
        sockopt::set_socket_recv_buffer_size(&socket, WAITING)?;
    }
    if shares {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    if address.is_ipv6() {
        // `::` means all addresses, IPv4 and IPv6.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    if is_stream {
        listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_port_moves_to_all_addresses_while_it_is_open_on_one() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let one = open_socket(SocketType::STREAM, SocketAddr::from(([127, 0, 0, 1], port)), false).unwrap();
        let all = SocketAddr::from(([0, 0, 0, 0], port));
        assert_eq!(open_socket(SocketType::STREAM, all, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let both = open_beside(&one, all).unwrap();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        TcpStream::connect(("127.0.0.2", port)).unwrap();
        assert!(open_socket(SocketType::STREAM, SocketAddr::from(([127, 0, 0, 1], port)), false).is_err());
        drop(one);
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        drop(both);
    }
}
