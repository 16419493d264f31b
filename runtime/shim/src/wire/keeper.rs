//! Messages between supervisor and keeper. One per packet (`SOCK_SEQPACKET`), so without a length; otherwise as frames.

use super::codec::{Reader, Truncated, Writer};
use super::{MAX_FDS, VERSION};

/// A request of the supervisor to the keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperRequest {
    /// Fork shims for these instances. One socket for each comes with the packet: its connection to the supervisor.
    Fork {
        /// Names of the instances.
        instances: Vec<String>,
    },
    /// The supervisor answers its clients: from a second later on, its death does not count as a failed start.
    Answering,
    /// The stack has stopped; the keeper exits when the supervisor is gone.
    Farewell {
        /// Exit code of the stack.
        code: i32,
    },
    /// The answer to `Look`.
    Here,
    /// The run folder was removed and created again: make the keeper findable in it. (An older keeper ignores this.)
    BeFound,
}

/// A report of the keeper to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperReport {
    /// A shim could not be forked.
    ForkFailed {
        /// Name of the instance.
        instance: String,
        /// The error number.
        errno: i32,
    },
    /// A shim, which is a child of the keeper, has died.
    ShimDied {
        /// Name of the instance.
        instance: String,
        /// PID of the shim.
        pid: u32,
        /// Wait status.
        status: i32,
    },
    /// A process whose shim had died before has died.
    OrphanDied {
        /// PID of the process.
        pid: u32,
        /// Wait status.
        status: i32,
    },
    /// These shims were forked.
    Forked {
        /// The instance and the PID of each.
        shims: Vec<(String, u32)>,
    },
    /// A shim was stopped (SIGSTOP): it does nothing until it continues.
    ShimStopped {
        /// Name of the instance.
        instance: String,
        /// PID of the shim.
        pid: u32,
    },
    /// A client reports that the supervisor does not answer. Without the answer `Here` in time, it is replaced.
    Look,
}

impl KeeperRequest {
    /// The most instances in one packet.
    pub const MOST: usize = MAX_FDS;

    /// Encodes this as a packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        match self {
            Self::Fork { instances } => {
                writer.u8(1);
                writer.list(instances, |writer, name| writer.bytes(name.as_bytes()));
            }
            Self::Answering => writer.u8(2),
            Self::Farewell { code } => {
                writer.u8(3);
                writer.i32(*code);
            }
            Self::Here => writer.u8(4),
            Self::BeFound => writer.u8(5),
        }
        writer.into_bytes()
    }

    /// Decodes a packet; `None` for a kind that this build does not know.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(bytes);
        let _version = reader.u8()?;
        Ok(match reader.u8()? {
            1 => Some(Self::Fork { instances: reader.list(Reader::text)? }),
            2 => Some(Self::Answering),
            3 => Some(Self::Farewell { code: reader.i32()? }),
            4 => Some(Self::Here),
            5 => Some(Self::BeFound),
            _ => None,
        })
    }
}

impl KeeperReport {
    /// Encodes this as a packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        match self {
            Self::ForkFailed { instance, errno } => {
                writer.u8(1);
                writer.bytes(instance.as_bytes());
                writer.i32(*errno);
            }
            Self::ShimDied { instance, pid, status } => {
                writer.u8(2);
                writer.bytes(instance.as_bytes());
                writer.u32(*pid);
                writer.i32(*status);
            }
            Self::OrphanDied { pid, status } => {
                writer.u8(3);
                writer.u32(*pid);
                writer.i32(*status);
            }
            Self::Forked { shims } => {
                writer.u8(4);
                writer.list(shims, |writer, (instance, pid)| {
                    writer.bytes(instance.as_bytes());
                    writer.u32(*pid);
                });
            }
            Self::ShimStopped { instance, pid } => {
                writer.u8(5);
                writer.bytes(instance.as_bytes());
                writer.u32(*pid);
            }
            Self::Look => writer.u8(6),
        }
        writer.into_bytes()
    }

    /// Decodes a packet; `None` for a kind that this build does not know.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(bytes);
        let _version = reader.u8()?;
        Ok(match reader.u8()? {
            1 => Some(Self::ForkFailed { instance: reader.text()?, errno: reader.i32()? }),
            2 => Some(Self::ShimDied { instance: reader.text()?, pid: reader.u32()?, status: reader.i32()? }),
            3 => Some(Self::OrphanDied { pid: reader.u32()?, status: reader.i32()? }),
            4 => Some(Self::Forked { shims: reader.list(|reader| Ok((reader.text()?, reader.u32()?)))? }),
            5 => Some(Self::ShimStopped { instance: reader.text()?, pid: reader.u32()? }),
            6 => Some(Self::Look),
            _ => None,
        })
    }
}
