//! Where things stand in the run folder of an instance.
//!
//! `run/<instance>/` belongs to the service and is emptied before each start; `.core/` in it is ours.

use std::path::{Path, PathBuf};

/// The folder of ours inside the run folder of an instance.
pub const OWN: &str = ".core";

/// The run folder of an instance.
#[derive(Clone, Debug)]
pub struct Place(PathBuf);

/// One of the two streams of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Out, Self::Err];

    /// The word in file names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }
}

impl Place {
    /// Of an instance, under the stack's run folder.
    pub fn new(run: &Path, instance: &str) -> Self {
        Self(run.join(instance))
    }

    /// The run folder itself: `${run}`.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Our folder in it.
    pub fn own(&self) -> PathBuf {
        self.0.join(OWN)
    }

    /// The socket on which the shim is found by a new supervisor.
    pub fn socket(&self) -> PathBuf {
        self.0.join(".core/shim")
    }

    /// The file that is locked for as long as anything of an invocation lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join(".core/lock")
    }

    /// The file that the shim itself has locked for as long as it stands over the instance.
    pub fn shim_lock(&self) -> PathBuf {
        self.0.join(".core/shim.lock")
    }

    /// The named pipe of a stream of output.
    pub fn fifo(&self, stream: Stream) -> PathBuf {
        self.0.join(match stream {
            Stream::Out => ".core/out",
            Stream::Err => ".core/err",
        })
    }

    /// The record of the last invocation.
    pub fn invocation(&self) -> PathBuf {
        self.0.join(".core/invocation")
    }

    /// What the service said of itself.
    pub fn notified(&self) -> PathBuf {
        self.0.join(".core/notified")
    }

    /// The record of the last end.
    pub fn exit(&self) -> PathBuf {
        self.0.join(".core/exit")
    }
}
