//! Supervisor and keeper. One message a packet (`SOCK_SEQPACKET`), so frames need no length here; the form is the same.

use super::codec::{Reader, Truncated, Writer};
use super::{MAX_FDS, VERSION};

/// What the supervisor asks of the keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperRequest {
    /// Fork shims for these instances; beside the packet comes one socket for each, its line to the supervisor.
    Fork {
        /// Names of instances.
        instances: Vec<String>,
    },
    /// The supervisor answers its users: from a second after this on, its death is no failed start.
    Answering,
    /// The stack has ended; when the supervisor is gone the keeper goes too.
    Farewell {
        /// Exit code of the stack.
        code: i32,
    },
    /// The answer to `Look`.
    Here,
    /// The run folder was taken away and made anew: the keeper is to be found in it again. (An older one passes over it.)
    BeFound,
}

/// What the keeper tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperReport {
    /// A shim could not be forked.
    ForkFailed {
        /// The instance.
        instance: String,
        /// The error number.
        errno: i32,
    },
    /// A child of the keeper died that was a shim.
    ShimDied {
        /// The instance.
        instance: String,
        /// Its process.
        pid: u32,
        /// Wait status.
        status: i32,
    },
    /// A process died whose shim had died before.
    OrphanDied {
        /// Its process.
        pid: u32,
        /// Wait status.
        status: i32,
    },
    /// These shims were forked.
    Forked {
        /// The instance and the process of each.
        shims: Vec<(String, u32)>,
    },
    /// A shim was stopped (SIGSTOP): until it goes on it does nothing.
    ShimStopped {
        /// The instance.
        instance: String,
        /// Its process.
        pid: u32,
    },
    /// Somebody says that the supervisor does not answer. Answer: `Here`, soon, or another takes its place.
    Look,
}

impl KeeperRequest {
    /// The most instances in one packet.
    pub const MOST: usize = MAX_FDS;

    /// As a packet.
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

    /// From a packet; `None` for a kind this build does not know.
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
    /// As a packet.
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

    /// From a packet; `None` for a kind this build does not know.
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
