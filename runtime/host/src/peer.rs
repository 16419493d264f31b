//! Checks the peer of a socket to which core has connected.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;

use crate::users;

/// Checks that the peer is a process of our user or root, or, if we are root, of the owner of the socket's folder.
/// Returns the PID of the process that opened the socket at `path`, if the kernel reports it.
///
/// # Errors
/// Which user it is instead.
pub(crate) fn check(socket: &impl AsFd, path: &Path) -> io::Result<Option<u32>> {
    let peer = getsockopt(socket, sockopt::PeerCredentials)?;
    let mine = geteuid();
    let owner = || path.parent().and_then(|folder| fs::metadata(folder).ok()).map(|meta| meta.uid());
    if peer.uid() == mine.as_raw() || peer.uid() == 0 || mine.is_root() && owner() == Some(peer.uid()) {
        return Ok(u32::try_from(peer.pid()).ok().filter(|pid| *pid > 0));
    }
    let who = users::name(peer.uid()).unwrap_or_else(|| peer.uid().to_string());
    let message = format!("{} is answered by a process of {who}", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}
