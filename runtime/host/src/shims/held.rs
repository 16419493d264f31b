//! Held sockets: opened for a service, and kept open while it is replaced or restarted. Shims keep copies of their
//! service's sockets, so that these outlive a supervisor.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use core_engine::InstanceId;
use core_manifest::spec::Protocol;
use core_manifest::{Identifier, ServiceName, ServiceSpec};

use rustix::net::{SocketType, sockopt};

use super::group::{self, Group};
use super::socket::{copy, open_beside, open_socket, possible};
use crate::descriptors;

/// A service and the name of its port.
type Key = (String, String);

/// All held sockets.
#[derive(Debug, Default)]
pub struct Held {
    /// Those that all instances of a service share, with the address that each is bound to.
    shared: BTreeMap<Key, (Option<SocketAddr>, OwnedFd)>,
    /// Those of which each instance has its own.
    groups: BTreeMap<Key, Group>,
}

impl Held {
    /// The held sockets of an instance, in the order of their descriptors; missing ones are opened.
    ///
    /// # Errors
    /// The port that could not be opened, and why.
    pub(super) fn open(
        &mut self,
        spec: &ServiceSpec,
        instance: &InstanceId,
    ) -> Result<Vec<(String, OwnedFd)>, (u16, io::Error)> {
        let mut all = Vec::new();
        for (name, port) in spec.held_ports() {
            let number = port.number.unwrap_or(0);
            let failed = |error: io::Error| (number, error);
            let address: IpAddr = port.address.parse().map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
            let address = possible(SocketAddr::new(address, number));
            let key = (spec.name.to_string(), name.to_string());
            let opened = if spec.has_own_socket(port) {
                let is_datagram = port.protocol == Protocol::Udp;
                let kind = if is_datagram { SocketType::DGRAM } else { SocketType::STREAM };
                self.open_own(key, kind, address, instance)
            } else {
                self.open_shared(key, address).map(|socket| (name.to_string(), socket))
            };
            all.push(opened.map_err(failed)?);
        }
        Ok(all)
    }

    fn open_shared(&mut self, key: Key, address: SocketAddr) -> io::Result<OwnedFd> {
        // Another port number or address needs another socket.
        let is_other = self.shared.get(&key).is_some_and(|(bound, _)| bound.is_some_and(|bound| bound != address));
        let old = if is_other { self.shared.remove(&key) } else { None };
        if let Some((_, socket)) = self.shared.get(&key) {
            return copy(socket);
        }
        let opened = descriptors::with_reserve(|| match &old {
            Some((_, old)) => open_beside(old, address),
            None => open_socket(SocketType::STREAM, address, false),
        })?;
        let socket = copy(&opened);
        self.shared.insert(key, (Some(address), opened));
        socket
    }

    fn open_own(
        &mut self,
        key: Key,
        kind: SocketType,
        address: SocketAddr,
        instance: &InstanceId,
    ) -> io::Result<(String, OwnedFd)> {
        let group = match self.groups.entry(key.clone()) {
            Entry::Occupied(mut entry) => {
                if entry.get().address() != address {
                    entry.insert(Group::open(kind, address, instance, Some(entry.get()))?);
                }
                entry.into_mut()
            }
            Entry::Vacant(entry) => entry.insert(Group::open(kind, address, instance, None)?),
        };
        let (number, socket) = group.socket_of(instance)?;
        Ok((group::name_of(&key.1, number), socket))
    }

    /// Copies of the open sockets of an instance.
    pub(super) fn of(&self, instance: &InstanceId) -> Vec<(String, OwnedFd)> {
        let service = instance.service().as_str();
        let shared = self.shared.iter().filter(|((of, _), _)| of == service);
        let shared = shared.filter_map(|((_, port), (_, socket))| Some((port.clone(), copy(socket).ok()?)));
        let own = self.groups.iter().filter(|((of, _), _)| of == service).filter_map(|((_, port), group)| {
            let (number, socket) = group.kept_for(instance)?;
            Some((group::name_of(port, number), socket))
        });
        let mut all: Vec<_> = shared.chain(own).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// Keeps sockets that a shim held.
    pub(super) fn keep(&mut self, instance: &InstanceId, sockets: Vec<(String, OwnedFd)>) {
        let service = instance.service().to_string();
        for (name, socket) in sockets {
            let bound = rustix::net::getsockname(&socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
            let kind = sockopt::socket_type(&socket).ok();
            match (group::number_of(&name), bound, kind) {
                (Some((port, number)), Some(bound), Some(kind)) => {
                    let key = (service.clone(), port.to_owned());
                    // One on another address is of a configuration that is being replaced.
                    let group = self.groups.entry(key).or_insert_with(|| Group::of_kept(kind, bound, Vec::new()));
                    if group.address() == bound {
                        group.keep(number, instance, socket);
                    }
                }
                _ => {
                    self.shared.entry((service.clone(), name)).or_insert((bound, socket));
                }
            }
        }
    }

    /// New connections to a service go to this instance from now on, where it has a socket of its own for them.
    pub(super) fn direct(&mut self, instance: &InstanceId) {
        self.groups_of(instance).for_each(|group| group.hand_over(instance));
    }

    /// An instance is gone.
    pub(super) fn leave(&mut self, instance: &InstanceId) {
        self.groups_of(instance).for_each(|group| group.leave(instance));
    }

    fn groups_of(&mut self, instance: &InstanceId) -> impl Iterator<Item = &mut Group> {
        self.groups.iter_mut().filter(|((of, _), _)| of == instance.service().as_str()).map(|(_, group)| group)
    }

    /// Closes all sockets but these.
    pub(super) fn retain(&mut self, ports: &BTreeSet<(ServiceName, Identifier)>) {
        let wanted: BTreeSet<(&str, &str)> =
            ports.iter().map(|(service, port)| (service.as_str(), port.as_str())).collect();
        let is_wanted = |(service, port): &Key| wanted.contains(&(service.as_str(), port.as_str()));
        self.shared.retain(|key, _| is_wanted(key));
        self.groups.retain(|key, _| is_wanted(key));
    }
}
