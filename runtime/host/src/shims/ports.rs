//! Checks the ports of a start: no other process may listen on them.

use core_engine::action::StartOrder;
use core_engine::exit::Failure;
use core_manifest::spec::Protocol;

use super::Shims;
use crate::net::{self, Listening};

impl Shims {
    /// Refuses a start if another process listens on one of its ports.
    pub(super) fn check_ports(&mut self, order: &StartOrder) -> Result<(), Failure> {
        let spec = &order.spec;
        let tcp = spec.ports.iter().filter(|(_, port)| !port.hold && port.protocol != Protocol::Udp);
        for (name, port) in tcp {
            let Some(number) = port.number.or_else(|| order.ports.get(name).copied()) else {
                return Err(Failure::Host("no port of the range is free".into()));
            };
            let listening = self.listening.get_or_insert_with(Listening::read);
            let sockets = listening.sockets(number);
            if !sockets.is_empty() {
                return Err(Failure::PortTaken { port: number, owner: net::owner_in_words(sockets) });
            }
        }
        Ok(())
    }
}
