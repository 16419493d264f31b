//! Reads sockets from the kernel with `sock_diag(7)`. That visits only sockets in the requested state, while a read of
//! `/proc/net/tcp` walks the whole hash table of connections.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};

use super::State;

/// Local port and inode of each TCP socket in a state.
///
/// # Errors
/// Netlink is not available here, or the answer cannot be parsed.
pub(super) fn sockets(state: State) -> io::Result<Vec<(u16, u64)>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut all = Vec::new();
    for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let states = match state {
            State::Listening => StateFlags::LISTEN,
            State::Established => StateFlags::ESTABLISHED,
        };
        let extensions = ExtensionFlags::empty();
        let request = InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        socket.send(&bytes, 0)?;
        receive(&socket, &mut all)?;
    }
    Ok(all)
}

/// Reads messages until the one that marks the end.
fn receive(socket: &Socket, all: &mut Vec<(u16, u64)>) -> io::Result<()> {
    // The kernel fills a datagram only up to the buffer size that its reader has shown, from 8 KiB on.
    let mut buffer = Vec::with_capacity(32 << 10);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
            let length = usize::try_from(message.header.length).unwrap_or(0);
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    all.push((response.header.socket_id.source_port, u64::from(response.header.inode)));
                }
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
            // Messages are aligned to four bytes.
            rest = length
                .checked_next_multiple_of(4)
                .filter(|next| *next > 0)
                .and_then(|next| rest.get(next..))
                .unwrap_or_default();
        }
    }
}
