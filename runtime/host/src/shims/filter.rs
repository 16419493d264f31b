//! What the kernel is told to do with what comes to sockets, as classic BPF programs (`socket(7)`): anybody may attach these.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use rustix::net::sockopt;

/// Bytes of the header of UDP, where a filter begins to read.
const UDP_HEADER: u32 = 8;
/// The bits of the first byte of a QUIC packet that say that it has a long header, and that it is not of a handshake which
/// has begun (RFC 9000, section 17.2; RFC 9369, section 3.2).
const FIRST: u32 = 0b1010_0000;
/// Those bits of a packet that begins a connection: Initial or 0-RTT.
const BEGINS: u32 = 0b1000_0000;

/// Has the kernel choose the socket with this number, of all that share the port of `socket`.
pub(super) fn choose(socket: &OwnedFd, number: usize) -> io::Result<()> {
    if !sockopt::socket_reuseport(socket)? {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let number = u32::try_from(number).map_err(io::Error::other)?;
    attach(socket, libc::SO_ATTACH_REUSEPORT_CBPF, &mut [instruction(libc::BPF_RET | libc::BPF_K, 0, 0, number)])
}

/// The kernel chooses by itself among the sockets that share the port of this one.
pub(super) fn choose_none(socket: &OwnedFd) {
    // The error is that there was no program.
    let _ = set(socket, libc::SO_DETACH_REUSEPORT_BPF, &0);
}

/// Drops datagrams that begin a QUIC connection, and no others.
pub(super) fn refuse_new(socket: &OwnedFd) -> io::Result<()> {
    let mut program = [
        instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, UDP_HEADER),
        instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, FIRST),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, BEGINS),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ];
    attach(socket, libc::SO_ATTACH_FILTER, &mut program)
}

/// Lets all datagrams in.
pub(super) fn refuse_none(socket: &OwnedFd) {
    // The error is that there was no program.
    let _ = set(socket, libc::SO_DETACH_FILTER, &0);
}

/// An instruction; a jump goes so many instructions further if its test is true, or false.
fn instruction(code: u32, if_true: u8, if_false: u8, k: u32) -> libc::sock_filter {
    // All codes are below 256.
    let [low, ..] = code.to_le_bytes();
    libc::sock_filter { code: low.into(), jt: if_true, jf: if_false, k }
}

fn attach(socket: &OwnedFd, option: libc::c_int, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let len = program.len().try_into().map_err(io::Error::other)?;
    set(socket, option, &libc::sock_fprog { len, filter: program.as_mut_ptr() })
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the value is valid for its size, and the kernel copies it.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, std::ptr::from_ref(value).cast(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_begins_a_connection_is_dropped() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let socket = OwnedFd::from(server.try_clone().unwrap());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        // Initial, 0-RTT, Handshake and a short header, with bits that are encrypted.
        let all: [u8; 4] = [0xc3, 0xd1, 0xe2, 0x4f];
        let sent = || {
            for first in all {
                client.send(&[first, 0, 0, 0, 1]).unwrap();
            }
        };
        let got = || {
            let mut buffer = [0; 16];
            server.recv(&mut buffer).unwrap();
            buffer[0]
        };
        refuse_new(&socket).unwrap();
        sent();
        assert_eq!([got(), got()], [0xe2, 0x4f]);
        refuse_none(&socket);
        sent();
        assert_eq!([got(), got(), got(), got()], all);
    }
}
