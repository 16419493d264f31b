//! Reads sockets from the files in `/proc/net`.

use std::fs;
use std::io::{self, ErrorKind};

use super::State;

/// Local port and inode of each TCP socket in a state. A file that does not exist or may not be read counts as empty.
///
/// # Errors
/// Any other error of reading them.
pub(super) fn sockets(state: State) -> io::Result<Vec<(u16, u64)>> {
    let wanted = match state {
        State::Listening => "0A",
        State::Established => "01",
    };
    let mut all = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = match fs::read_to_string(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => continue,
            read => read?,
        };
        for line in text.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let (Some(local), Some(state), Some(inode)) = (words.nth(1), words.nth(1), words.nth(5)) else { continue };
            let port = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
            if let (Some(port), Ok(inode), true) = (port, inode.parse(), state == wanted) {
                all.push((port, inode));
            }
        }
    }
    Ok(all)
}
