//! Who listens, and who is connected: read from `/proc/net`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use core_shim::sys::Stat;

/// What the kernel calls a listening socket.
const LISTEN: &str = "0A";
/// What the kernel calls an open connection.
const ESTABLISHED: &str = "01";

/// The listening TCP sockets of this host: port to socket inodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening(BTreeMap<u16, Vec<u64>>);

impl Listening {
    /// As it is now.
    pub(crate) fn read() -> Self {
        let mut all: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
        each_socket(|local, state, inode| {
            if state == LISTEN {
                all.entry(local).or_default().push(inode);
            }
        });
        Self(all)
    }

    /// All ports somebody listens on.
    pub(crate) fn ports(&self) -> BTreeSet<u16> {
        self.0.keys().copied().collect()
    }

    /// The sockets that listen on a port.
    pub(crate) fn sockets(&self, port: u16) -> &[u64] {
        self.0.get(&port).map_or(&[], Vec::as_slice)
    }
}

/// How many connections to these ports are open.
pub(crate) fn established(ports: &[u16]) -> u32 {
    let mut count = 0;
    each_socket(|local, state, _| count += u32::from(state == ESTABLISHED && ports.contains(&local)));
    count
}

/// Calls `see` with local port, state and inode of each TCP socket.
fn each_socket(mut see: impl FnMut(u16, &str, u64)) {
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(path).unwrap_or_default();
        for line in text.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let (Some(local), Some(state), Some(inode)) = (words.nth(1), words.nth(1), words.nth(5)) else { continue };
            let port = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
            if let (Some(port), Ok(inode)) = (port, inode.parse()) {
                see(port, state, inode);
            }
        }
    }
}

/// Whether one of these processes holds one of these sockets.
pub(crate) fn holds(processes: impl IntoIterator<Item = u32>, sockets: &[u64]) -> bool {
    let wanted: Vec<String> = sockets.iter().map(|inode| format!("socket:[{inode}]")).collect();
    processes.into_iter().any(|pid| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|link| link.to_str().is_some_and(|link| wanted.iter().any(|one| one == link)))
    })
}

/// Who listens on a port, in words: process and command, as far as we may see it.
pub(crate) fn owner_in_words(sockets: &[u64]) -> String {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        if holds([pid], sockets) {
            return describe(pid);
        }
    }
    "a process of another user".into()
}

/// A process in words: number and command line.
pub(crate) fn describe(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .filter(|word| !word.is_empty())
        .collect();
    let command: String = words.join(" ").chars().take(80).collect();
    let command = if command.is_empty() { "no command line".to_owned() } else { command };
    match Stat::of(pid) {
        Some(_) => format!("process {pid} ({command})"),
        None => format!("process {pid}, which is gone"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn listeners_and_connections_are_seen_and_owned() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let listening = Listening::read();
        let sockets = listening.sockets(port);
        assert_eq!(sockets.len(), 1);
        assert!(listening.ports().contains(&port));
        assert!(holds([std::process::id()], sockets));
        assert!(!holds([1], &[1]));
        assert!(owner_in_words(sockets).contains(&std::process::id().to_string()));
        assert_eq!(established(&[port]), 0);
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let accepted = listener.accept().unwrap();
        assert_eq!(established(&[port]), 1);
        drop((client, accepted));
    }
}
