//! Which sockets listen, and which are connected.

mod proc;
mod sock_diag;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use core_shim::sys::Stat;

use crate::descriptors;

/// The state of a TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Listening,
    Established,
}

/// The listening TCP sockets of this host, as inodes by port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening(BTreeMap<u16, Vec<u64>>);

impl Listening {
    /// Reads the present sockets; empty if they cannot be read.
    pub(crate) fn read() -> Self {
        descriptors::with_reserve(Self::try_read).unwrap_or_default()
    }

    /// Reads the present sockets.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub(crate) fn try_read() -> io::Result<Self> {
        let mut all: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
        for (port, inode) in sockets(State::Listening)? {
            all.entry(port).or_default().push(inode);
        }
        Ok(Self(all))
    }

    /// All ports that a process listens on.
    pub(crate) fn ports(&self) -> BTreeSet<u16> {
        self.0.keys().copied().collect()
    }

    /// Inodes of the sockets that listen on a port.
    pub(crate) fn sockets(&self, port: u16) -> &[u64] {
        self.0.get(&port).map_or(&[], Vec::as_slice)
    }
}

/// The number of established connections to these ports.
///
/// # Errors
/// Why they cannot be counted.
pub(crate) fn established(ports: &[u16]) -> io::Result<u32> {
    let count = sockets(State::Established)?.iter().filter(|(port, _)| ports.contains(port)).count();
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Local port and inode of each TCP socket in a state. Asks the kernel; without netlink (in a sandbox), reads
/// `/proc/net` instead, which takes fifty times as long.
fn sockets(state: State) -> io::Result<Vec<(u16, u64)>> {
    sock_diag::sockets(state).or_else(|_| proc::sockets(state))
}

/// Checks whether the kernel can be asked as in `sockets`.
pub(crate) fn can_ask() -> io::Result<()> {
    sock_diag::sockets(State::Listening).map(drop)
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

/// The process that listens, as PID and command, as far as we may see it.
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

/// A process as text for people: PID and command line.
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
    fn both_sources_say_the_same() {
        let listeners = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("[::1]:0").unwrap()];
        for listener in listeners {
            let address = listener.local_addr().unwrap();
            let _client = TcpStream::connect(address).unwrap();
            let _accepted = listener.accept().unwrap();
            let of_port = |all: Vec<(u16, u64)>| {
                let all: BTreeSet<(u16, u64)> = all.into_iter().filter(|(port, _)| *port == address.port()).collect();
                all
            };
            for state in [State::Listening, State::Established] {
                let asked = of_port(sock_diag::sockets(state).unwrap());
                assert_eq!(asked.len(), 1, "{state:?}");
                assert_eq!(asked, of_port(proc::sockets(state).unwrap()));
            }
        }
    }

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
        assert_eq!(established(&[port]).unwrap(), 0);
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let accepted = listener.accept().unwrap();
        assert_eq!(established(&[port]).unwrap(), 1);
        drop((client, accepted));
    }
}
