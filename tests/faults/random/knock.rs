//! Whoever comes to a socket of core's and does not behave.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use core_shim::wire::Request;

use super::dice::Dice;

/// How somebody comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// And says nothing.
    Idle,
    /// And says half of something.
    Half,
    /// And says what makes no sense.
    Garbage,
    /// Twenty of them.
    Many,
    /// And asks for something that a supervisor may ask for: the line is his from then on, and he leaves.
    Request,
}

/// Each manner, and what it is called.
pub(crate) const MANNERS: [(Manner, &str); 5] = [
    (Manner::Idle, "an idle connection"),
    (Manner::Half, "half a frame"),
    (Manner::Garbage, "garbage"),
    (Manner::Many, "20 connections"),
    (Manner::Request, "a request, and away"),
];

/// Comes to a socket. Returns what is to be held.
pub(crate) fn knock(socket: &Path, manner: Manner, dice: &mut Dice) -> Vec<UnixStream> {
    let count = if manner == Manner::Many { 20 } else { 1 };
    let mut held = Vec::new();
    for _ in 0..count {
        // A queue that is full is what a socket may have, and blocks whoever comes: then he does not come.
        let Some(mut stream) = connect(socket) else { continue };
        let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
        let request = Request::Kill { number: 0 }.encode();
        let _ = match manner {
            Manner::Idle | Manner::Many => Ok(()),
            Manner::Half => stream.write_all(&request[..request.len() - 2]),
            Manner::Garbage => {
                let bytes: Vec<u8> = (0..200).map(|_| u8::try_from(dice.below(256)).unwrap_or(0)).collect();
                stream.write_all(&bytes)
            }
            Manner::Request => stream.write_all(&request),
        };
        if manner != Manner::Request {
            held.push(stream);
        }
    }
    held
}

/// Connects, unless that would have to be waited for.
pub(crate) fn connect(path: &Path) -> Option<UnixStream> {
    use std::os::fd::{AsRawFd as _, FromRawFd as _};

    use nix::libc;

    // SAFETY: a plain system call that makes a descriptor.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
    if fd < 0 {
        return None;
    }
    // SAFETY: it was just made, and nobody else knows it.
    let stream = unsafe { UnixStream::from_raw_fd(fd) };
    // SAFETY: all zeros is an address without a path.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).ok()?;
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.len() >= address.sun_path.len() {
        return None;
    }
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_un>()).ok()?;
    // SAFETY: the pointer is to a live address of that length.
    let done = unsafe { libc::connect(stream.as_raw_fd(), (&raw const address).cast(), length) };
    stream.set_nonblocking(false).ok()?;
    (done == 0).then_some(stream)
}
