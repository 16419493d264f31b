//! Messages between supervisor and shim.

use super::codec::{Reader, Truncated, Writer};
use super::start::{LogPlace, Start};
use super::stream::frame;

/// A request of the supervisor to a shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Start an invocation. Its held sockets come with the frame. Answer: `Started` or `StartFailed`.
    Start(Box<Start>),
    /// Send a signal to the invocation, if it is the current one.
    Signal {
        /// Number of the invocation.
        number: u32,
        /// The signal number.
        signal: i32,
        /// The processes that get it.
        scope: Scope,
    },
    /// Kill all processes of the invocation. Answer: `Exited` without leftovers, or `Emptied`.
    Kill {
        /// Number of the invocation.
        number: u32,
    },
    /// No process is alive any more: exit.
    Release,
    /// Change the limits of the log.
    LogLimit {
        /// Size of a segment in bytes.
        segment_bytes: u64,
    },
    /// Hand over the held sockets. Answer: `Sockets`, with the descriptors.
    Sockets,
    /// Take over what another shim of this instance left when it died. Answer: `Adopted` or `AdoptFailed`.
    Adopt {
        /// Names of the held sockets of its service; the descriptors come with the frame.
        sockets: Vec<String>,
        /// Number of the last invocation as the supervisor knows it, in case the record cannot be read; 0 for none.
        number: u32,
        /// Where its output goes, for the same case.
        log: LogPlace,
        /// PID of the first process, if a handle on it comes as the last descriptor, after the sockets; 0 for none.
        leader: u32,
    },
}

/// A question that every shim of every version answers and that changes nothing: no invocation has this number, so
/// the answer is `Emptied` with it.
pub const ECHO: u32 = 0;

/// The processes that get a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The first process only.
    Leader,
    /// The process group of the first process.
    Group,
    /// Every process of the tree.
    Tree,
    /// Every process of the tree outside that process group. A shim that does not know this takes it for `Tree`.
    OutsideGroup,
}

/// A report of a shim to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The first message on every connection: the shim and its state. Messages pending on an older connection are void.
    Hello {
        /// Name of the instance.
        instance: String,
        /// PID of the shim itself.
        shim: u32,
        /// Number of the last invocation; 0 for none.
        number: u32,
        /// The note of that invocation.
        note: String,
        /// The state of the invocation.
        life: Life,
        /// Names of the held sockets that it keeps.
        sockets: Vec<String>,
    },
    /// The program was executed.
    Started {
        /// Number of the invocation.
        number: u32,
        /// PID of its first process.
        pid: u32,
    },
    /// The program was not executed; no process of it is alive.
    StartFailed {
        /// Number of the invocation.
        number: u32,
        /// The stage that failed.
        stage: String,
        /// The error number; 0 if there is none.
        errno: i32,
        /// What the failure concerned.
        detail: String,
    },
    /// The first process has exited. Its record was written before this was sent.
    Exited {
        /// Number of the invocation.
        number: u32,
        /// Wait status.
        status: i32,
        /// Whether other processes of its tree are still alive.
        leftovers: bool,
    },
    /// No process of the invocation is alive.
    Emptied {
        /// Number of the invocation.
        number: u32,
    },
    /// Output could not be written, and was dropped.
    Dropped {
        /// Number of bytes since the shim started.
        bytes: u64,
        /// The error number of the last attempt.
        errno: i32,
    },
    /// The held sockets come with this frame.
    Sockets {
        /// Their names, in the order of the descriptors.
        names: Vec<String>,
    },
    /// What another shim left was taken over.
    Adopted {
        /// Number of the last invocation; 0 for none.
        number: u32,
        /// The state of the invocation.
        life: Life,
    },
    /// It was not taken over; the shim that reports this exits.
    AdoptFailed {
        /// The error number; 0 if there is none.
        errno: i32,
        /// The reason.
        detail: String,
    },
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// No invocation yet, or the last start failed.
    Idle,
    /// Its first process runs.
    Running {
        /// PID of that process.
        pid: u32,
    },
    /// Its first process has exited.
    Exited {
        /// Wait status.
        status: i32,
        /// Whether other processes of its tree are still alive.
        leftovers: bool,
    },
}

impl Life {
    fn write(self, writer: &mut Writer) {
        match self {
            Self::Idle => writer.u8(0),
            Self::Running { pid } => {
                writer.u8(1);
                writer.u32(pid);
            }
            Self::Exited { status, leftovers } => {
                writer.u8(2);
                writer.i32(status);
                writer.flag(leftovers);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        Ok(match reader.u8()? {
            1 => Self::Running { pid: reader.u32()? },
            2 => Self::Exited { status: reader.i32()?, leftovers: reader.flag()? },
            _ => Self::Idle,
        })
    }
}

impl Request {
    /// Encodes this as a frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let kind = match self {
            Self::Start(start) => {
                start.write(&mut writer);
                1
            }
            Self::Signal { number, signal, scope } => {
                writer.u32(*number);
                writer.i32(*signal);
                writer.u8(match scope {
                    Scope::Leader => 0,
                    Scope::Group => 1,
                    Scope::Tree => 2,
                    Scope::OutsideGroup => 3,
                });
                2
            }
            Self::Kill { number } => {
                writer.u32(*number);
                3
            }
            Self::Release => 4,
            Self::LogLimit { segment_bytes } => {
                writer.u64(*segment_bytes);
                5
            }
            Self::Sockets => 6,
            Self::Adopt { sockets, number, log, leader } => {
                writer.list(sockets, |writer, one| writer.bytes(one.as_bytes()));
                writer.u32(*number);
                log.write(&mut writer);
                writer.u32(*leader);
                7
            }
        };
        frame(kind, &writer.into_bytes())
    }

    /// Number of descriptors that come with it.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Start(order) => order.sockets.len(),
            Self::Adopt { sockets, leader, .. } => sockets.len() + usize::from(*leader > 0),
            _ => 0,
        }
    }

    /// Decodes the kind and fields of a frame; `None` for a kind that this build does not know.
    pub fn decode(kind: u8, fields: &[u8]) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(fields);
        Ok(match kind {
            1 => Some(Self::Start(Box::new(Start::read(&mut reader)?))),
            2 => Some(Self::Signal {
                number: reader.u32()?,
                signal: reader.i32()?,
                scope: match reader.u8()? {
                    0 => Scope::Leader,
                    1 => Scope::Group,
                    3 => Scope::OutsideGroup,
                    _ => Scope::Tree,
                },
            }),
            3 => Some(Self::Kill { number: reader.u32()? }),
            4 => Some(Self::Release),
            5 => Some(Self::LogLimit { segment_bytes: reader.u64()? }),
            6 => Some(Self::Sockets),
            7 => {
                let sockets = reader.list(Reader::text)?;
                let (number, log) = if reader.is_at_end() {
                    (0, LogPlace::default())
                } else {
                    (reader.u32()?, LogPlace::read(&mut reader)?)
                };
                let leader = if reader.is_at_end() { 0 } else { reader.u32()? };
                Some(Self::Adopt { sockets, number, log, leader })
            }
            _ => None,
        })
    }
}

impl Report {
    /// Encodes this as a frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let kind = match self {
            Self::Hello { instance, shim, number, note, life, sockets } => {
                writer.bytes(instance.as_bytes());
                writer.u32(*shim);
                writer.u32(*number);
                writer.bytes(note.as_bytes());
                life.write(&mut writer);
                writer.list(sockets, |writer, name| writer.bytes(name.as_bytes()));
                1
            }
            Self::Started { number, pid } => {
                writer.u32(*number);
                writer.u32(*pid);
                2
            }
            Self::StartFailed { number, stage, errno, detail } => {
                writer.u32(*number);
                writer.bytes(stage.as_bytes());
                writer.i32(*errno);
                writer.bytes(detail.as_bytes());
                3
            }
            Self::Exited { number, status, leftovers } => {
                writer.u32(*number);
                writer.i32(*status);
                writer.flag(*leftovers);
                4
            }
            Self::Emptied { number } => {
                writer.u32(*number);
                5
            }
            Self::Dropped { bytes, errno } => {
                writer.u64(*bytes);
                writer.i32(*errno);
                6
            }
            Self::Sockets { names } => {
                writer.list(names, |writer, name| writer.bytes(name.as_bytes()));
                7
            }
            Self::Adopted { number, life } => {
                writer.u32(*number);
                life.write(&mut writer);
                8
            }
            Self::AdoptFailed { errno, detail } => {
                writer.i32(*errno);
                writer.bytes(detail.as_bytes());
                9
            }
        };
        frame(kind, &writer.into_bytes())
    }

    /// Decodes the kind and fields of a frame; `None` for a kind that this build does not know.
    pub fn decode(kind: u8, fields: &[u8]) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(fields);
        Ok(match kind {
            1 => Some(Self::Hello {
                instance: reader.text()?,
                shim: reader.u32()?,
                number: reader.u32()?,
                note: reader.text()?,
                life: Life::read(&mut reader)?,
                sockets: reader.list(Reader::text)?,
            }),
            2 => Some(Self::Started { number: reader.u32()?, pid: reader.u32()? }),
            3 => Some(Self::StartFailed {
                number: reader.u32()?,
                stage: reader.text()?,
                errno: reader.i32()?,
                detail: reader.text()?,
            }),
            4 => Some(Self::Exited { number: reader.u32()?, status: reader.i32()?, leftovers: reader.flag()? }),
            5 => Some(Self::Emptied { number: reader.u32()? }),
            6 => Some(Self::Dropped { bytes: reader.u64()?, errno: reader.i32()? }),
            7 => Some(Self::Sockets { names: reader.list(Reader::text)? }),
            8 => Some(Self::Adopted { number: reader.u32()?, life: Life::read(&mut reader)? }),
            9 => Some(Self::AdoptFailed { errno: reader.i32()?, detail: reader.text()? }),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(kind: u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::decode(kind, &bytes);
            let _ = Report::decode(kind, &bytes);
            let _ = super::super::KeeperRequest::decode(&bytes);
            let _ = super::super::KeeperReport::decode(&bytes);
        }
    }
}
