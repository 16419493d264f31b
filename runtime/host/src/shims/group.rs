//! Sockets that share a port: each instance has one of its own, and the kernel is told which of them gets all new
//! connections (`SO_REUSEPORT` and a classic BPF program, `socket(7)`).
//!
//! Two edges that accept on one socket are enough where a request comes with its connection. Over TLS it comes after a
//! handshake: a server that ends (Go's `net/http`) drops the request of a connection that it has accepted a moment ago. So
//! the old edge gets no more connections from when the new one serves; it ends seconds later.
//!
//! Datagrams (QUIC) are not like that: those of a living connection come to the same port as those of a new one, and only
//! the program that made it can read them. So they go to the old edge until it is gone, but for those that begin a
//! connection: these are dropped, and browsers use TCP, which they try beside QUIC. When the old edge ends it tells its
//! clients (GOAWAY), who finish what they have begun and connect anew.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use core_engine::InstanceId;
use rustix::net::SocketType;

use super::filter;
use super::socket::{copy, open_socket};
use crate::descriptors;

/// What stands between the name of a port and the number of a socket.
const MARK: char = '#';

/// The sockets of a port.
#[derive(Debug)]
pub(super) struct Group {
    kind: SocketType,
    address: SocketAddr,
    /// In the kernel's order, if that is known: then none is closed, since that would change the order, and one that no
    /// instance has any more is used again.
    sockets: Vec<Member>,
    is_ordered: bool,
    /// Which of them gets new connections, if that is known.
    directed: Option<usize>,
}

#[derive(Debug)]
struct Member {
    /// Its place when it was opened, which its shim knows.
    number: usize,
    socket: OwnedFd,
    user: Option<InstanceId>,
}

impl Group {
    /// A group with one socket, for an instance. `before` is that of the same port in the spec that is replaced.
    pub(super) fn open(
        kind: SocketType,
        address: SocketAddr,
        user: &InstanceId,
        before: Option<&Self>,
    ) -> io::Result<Self> {
        // A socket that shares its port does not notice another program that does, so one is opened first that does not;
        // where the port is ours already, on another address, that would meet our own.
        if before.is_none_or(|before| before.address.port() != address.port()) {
            drop(open_socket(kind, address, false)?);
        }
        let mut group = Self { kind, address, sockets: Vec::new(), is_ordered: true, directed: None };
        group.add(user)?;
        Ok(group)
    }

    /// The group of the sockets that shims have kept for their instances, `(number, user, socket)`.
    pub(super) fn of_kept(kind: SocketType, address: SocketAddr, mut kept: Vec<(usize, InstanceId, OwnedFd)>) -> Self {
        kept.sort_by_key(|(number, ..)| *number);
        let member = |(number, user, socket)| Member { number, socket, user: Some(user) };
        let sockets: Vec<Member> = kept.into_iter().map(member).collect();
        let mut group = Self { kind, address, sockets, is_ordered: true, directed: None };
        group.look_at_order();
        group
    }

    /// What no instance had was closed with the supervisor that held it, and the last one took its place. Where the order is
    /// not known, the kernel chooses for each connection, as between two that accept on one socket.
    fn look_at_order(&mut self) {
        let is_as_opened = self.sockets.iter().enumerate().all(|(at, one)| one.number == at);
        self.is_ordered = self.sockets.len() == 1 || is_as_opened;
        if !self.is_ordered {
            self.directed = None;
            if let Some(one) = self.sockets.first() {
                filter::choose_none(&one.socket);
            }
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number and a copy of the socket of an instance, which gets one if it has none.
    pub(super) fn socket_of(&mut self, user: &InstanceId) -> io::Result<(usize, OwnedFd)> {
        let at = match self.place_of(user).or_else(|| self.sockets.iter().position(|one| one.user.is_none())) {
            Some(at) => at,
            None => self.add(user)?,
        };
        self.sockets[at].user = Some(user.clone());
        let has_others = self.sockets.iter().any(|one| one.user.as_ref().is_some_and(|other| other != user));
        if !has_others {
            self.direct(user);
        }
        Ok((self.sockets[at].number, copy(&self.sockets[at].socket)?))
    }

    /// Adds a socket that a shim has kept, and that was opened before this group was known.
    pub(super) fn keep(&mut self, number: usize, user: &InstanceId, socket: OwnedFd) {
        if self.place_of(user).is_some() {
            return;
        }
        self.sockets.push(Member { number, socket, user: Some(user.clone()) });
        self.sockets.sort_by_key(|one| one.number);
        self.directed = None;
        self.look_at_order();
    }

    /// A copy of the socket of an instance, and its number.
    pub(super) fn kept_for(&self, user: &InstanceId) -> Option<(usize, OwnedFd)> {
        let one = &self.sockets[self.place_of(user)?];
        Some((one.number, copy(&one.socket).ok()?))
    }

    fn place_of(&self, user: &InstanceId) -> Option<usize> {
        self.sockets.iter().position(|one| one.user.as_ref() == Some(user))
    }

    /// From now on all new connections are for this instance. Those of datagrams that others have stay theirs until they are
    /// gone, and new ones are refused meanwhile: a server that ends would still shake hands with them.
    pub(super) fn hand_over(&mut self, user: &InstanceId) {
        if self.kind == SocketType::STREAM {
            return self.direct(user);
        }
        for one in &self.sockets {
            if one.user.as_ref().is_none_or(|other| other == user) {
                filter::refuse_none(&one.socket);
            } else if let Err(error) = filter::refuse_new(&one.socket) {
                tracing::warn!(instance = %user, "new connections of HTTP/3 may wait until the old edge has ended: {error}");
            }
        }
    }

    /// The kernel chooses the socket of this instance.
    fn direct(&mut self, user: &InstanceId) {
        let Some(at) = self.place_of(user) else { return };
        if self.directed == Some(at) || !self.is_ordered {
            return;
        }
        match filter::choose(&self.sockets[at].socket, at) {
            Ok(()) => self.directed = Some(at),
            Err(error) => {
                tracing::warn!(instance = %user, "the kernel chooses who gets connections: {error}");
                self.is_ordered = false;
                self.directed = None;
            }
        }
    }

    /// The instance is gone. What it had is used again.
    pub(super) fn leave(&mut self, user: &InstanceId) {
        let Some(at) = self.place_of(user) else { return };
        if self.is_ordered {
            self.sockets[at].user = None;
            if self.kind == SocketType::DGRAM {
                filter::refuse_none(&self.sockets[at].socket);
            }
        } else {
            // It must not get its share of the connections.
            self.sockets.remove(at);
            self.look_at_order();
        }
        self.direct_to_somebody();
    }

    /// Adds a socket, which gets no connections yet if others do.
    fn add(&mut self, user: &InstanceId) -> io::Result<usize> {
        // What the last supervisor has told the kernel may mean another socket by now.
        self.direct_to_somebody();
        let socket = descriptors::with_reserve(|| open_socket(self.kind, self.address, true))?;
        let at = self.sockets.len();
        self.sockets.push(Member { number: at, socket, user: Some(user.clone()) });
        self.direct_to_somebody();
        Ok(at)
    }

    /// If it is not known who gets new connections, the oldest does: whoever comes later may not serve yet.
    fn direct_to_somebody(&mut self) {
        if self.directed.is_none_or(|at| self.sockets[at].user.is_none()) {
            let users = self.sockets.iter().filter_map(|one| one.user.clone());
            if let Some(oldest) = users.min_by_key(|user| user.generation) {
                self.direct(&oldest);
            }
        }
    }
}

/// The name of a port's socket with this number.
pub(super) fn name_of(port: &str, number: usize) -> String {
    format!("{port}{MARK}{number}")
}

/// The port and the number in the name of a socket, if it is one of several.
pub(super) fn number_of(name: &str) -> Option<(&str, usize)> {
    let (port, number) = name.split_once(MARK)?;
    Some((port, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};

    use super::*;

    fn free(ip: IpAddr) -> SocketAddr {
        TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
    }

    /// How many of some new connections each socket gets.
    fn spread(group: &Group, ip: IpAddr) -> Vec<usize> {
        let listeners: Vec<TcpListener> = group
            .sockets
            .iter()
            .map(|one| {
                let listener = TcpListener::from(one.socket.try_clone().unwrap());
                listener.set_nonblocking(true).unwrap();
                listener
            })
            .collect();
        let open: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect((ip, group.address.port())).unwrap()).collect();
        let counts = listeners.iter().map(|one| std::iter::from_fn(|| one.accept().ok()).count()).collect();
        drop(open);
        counts
    }

    #[test]
    fn new_connections_go_where_they_are_directed() {
        let [one, two, three] = ["a-0@1", "a-0@2", "a-0@3"].map(|name| name.parse::<InstanceId>().unwrap());
        let all = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::UNSPECIFIED.into()];
        for ip in all.into_iter().filter(|ip| TcpListener::bind((*ip, 0)).is_ok()) {
            let mut group = Group::open(SocketType::STREAM, free(ip), &one, None).unwrap();
            assert_eq!(group.socket_of(&one).unwrap().0, 0);
            assert_eq!(group.socket_of(&two).unwrap().0, 1);
            let client = IpAddr::from(Ipv4Addr::LOCALHOST);
            assert_eq!(spread(&group, client), [20, 0], "the one that serves has them all");
            group.direct(&two);
            assert_eq!(spread(&group, client), [0, 20]);
            group.direct(&one);
            assert_eq!(spread(&group, client), [20, 0], "put back");
            // The next one has the socket that is not used any more.
            group.direct(&two);
            group.leave(&one);
            assert_eq!(group.socket_of(&three).unwrap().0, 0);
            assert_eq!(spread(&group, client), [0, 20]);
            group.leave(&two);
            assert_eq!(spread(&group, client), [20, 0], "nobody else is left");
        }
    }

    #[test]
    fn another_supervisor_knows_the_order() {
        let [one, two] = ["a-0@1", "a-0@2"].map(|name| name.parse::<InstanceId>().unwrap());
        let mut group = Group::open(SocketType::STREAM, free(Ipv4Addr::LOCALHOST.into()), &one, None).unwrap();
        let kept: Vec<_> = [&one, &two]
            .map(|user| group.socket_of(user).map(|(number, socket)| (number, user.clone(), socket)).unwrap())
            .into();
        let address = group.address;
        drop(group);
        let mut after = Group::of_kept(SocketType::STREAM, address, kept);
        let client = Ipv4Addr::LOCALHOST.into();
        after.direct(&two);
        assert_eq!(spread(&after, client), [0, 20]);
        // The first one ends meanwhile, and its socket with it: what the kernel was told would mean the next one.
        let last = after.kept_for(&two).unwrap();
        drop(after);
        let mut alone = Group::of_kept(SocketType::STREAM, address, vec![(last.0, two.clone(), last.1)]);
        alone.direct(&two);
        assert_eq!(spread(&alone, client), [20]);
        assert_eq!(alone.socket_of(&one).unwrap().0, 1);
        assert_eq!(spread(&alone, client), [20, 0]);
    }

    #[test]
    fn shims_report_in_any_order() {
        let [one, two] = ["a-0@2", "a-0@3"].map(|name| name.parse::<InstanceId>().unwrap());
        let mut group = Group::open(SocketType::STREAM, free(Ipv4Addr::LOCALHOST.into()), &two, None).unwrap();
        let [first, second] = [&two, &one].map(|user| group.socket_of(user).unwrap());
        let address = group.address;
        drop(group);
        // The older instance has the second socket, and its shim comes first.
        let mut after = Group::of_kept(SocketType::STREAM, address, Vec::new());
        after.keep(second.0, &one, second.1);
        after.keep(first.0, &two, first.1);
        after.direct(&two);
        let client = Ipv4Addr::LOCALHOST.into();
        assert_eq!(spread(&after, client), [20, 0]);
        after.leave(&one);
        assert_eq!(spread(&after, client), [20, 0]);
    }

    #[test]
    fn an_unknown_order_loses_nobody() {
        let [one, two] = ["a-0@2", "a-0@3"].map(|name| name.parse::<InstanceId>().unwrap());
        let mut group = Group::open(SocketType::STREAM, free(Ipv4Addr::LOCALHOST.into()), &one, None).unwrap();
        let [first, second] = [&one, &two].map(|user| group.socket_of(user).unwrap().1);
        let address = group.address;
        drop(group);
        let mut after =
            Group::of_kept(SocketType::STREAM, address, vec![(1, one.clone(), first), (1, two.clone(), second)]);
        after.direct(&two);
        let client = Ipv4Addr::LOCALHOST.into();
        assert_eq!(spread(&after, client).into_iter().sum::<usize>(), 20);
        after.leave(&one);
        assert_eq!(spread(&after, client), [20]);
    }

    #[test]
    fn a_port_of_another_program_is_not_shared() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let one: InstanceId = "a-0@1".parse().unwrap();
        let error = Group::open(SocketType::STREAM, other.local_addr().unwrap(), &one, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_port_moves_to_all_addresses_while_it_is_open_on_one() {
        let [one, two] = ["a-0@1", "a-0@2"].map(|name| name.parse::<InstanceId>().unwrap());
        let group = Group::open(SocketType::STREAM, free(Ipv4Addr::LOCALHOST.into()), &one, None).unwrap();
        let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, group.address.port()));
        assert!(Group::open(SocketType::STREAM, all, &two, None).is_err());
        let wide = Group::open(SocketType::STREAM, all, &two, Some(&group)).unwrap();
        assert_eq!(spread(&wide, Ipv4Addr::new(127, 0, 0, 2).into()), [20]);
    }

    #[test]
    fn datagrams_of_connections_stay_with_the_old_edge() {
        let [one, two] = ["a-0@1", "a-0@2"].map(|name| name.parse::<InstanceId>().unwrap());
        let address = free(Ipv4Addr::LOCALHOST.into());
        let mut group = Group::open(SocketType::DGRAM, address, &one, None).unwrap();
        let [old, new] = [&one, &two].map(|user| {
            let socket = UdpSocket::from(group.socket_of(user).unwrap().1);
            socket.set_nonblocking(true).unwrap();
            socket
        });
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (begins, goes_on) = (0xc0_u8, 0x40_u8);
        let came = |server: &UdpSocket| {
            let mut first = [0];
            std::iter::from_fn(|| server.recv(&mut first).ok().map(|_| first[0])).collect::<Vec<_>>()
        };
        let send = || [begins, goes_on].map(|first| client.send_to(&[first], address).unwrap());
        send();
        assert_eq!((came(&old), came(&new)), (vec![begins, goes_on], vec![]));
        group.hand_over(&two);
        send();
        assert_eq!((came(&old), came(&new)), (vec![goes_on], vec![]));
        // Put back, and then for good.
        group.hand_over(&one);
        send();
        assert_eq!((came(&old), came(&new)), (vec![begins, goes_on], vec![]));
        group.hand_over(&two);
        group.leave(&one);
        send();
        assert_eq!((came(&old), came(&new)), (vec![], vec![begins, goes_on]));
    }

    #[test]
    fn names_have_numbers() {
        assert_eq!(number_of(&name_of("https", 1)), Some(("https", 1)));
        assert_eq!(number_of("https"), None);
    }
}
