//! Who is at the other end of a socket that we have called.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;

use crate::users;

/// Sees to it that whoever has opened the socket at `path` is us, or root; for root, whoever owns its folder, too.
/// Returns the process that has opened it, where the kernel says.
///
/// # Errors
/// Who it is instead.
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
