//! Where things stand in the run folder of a stack.
//!
//! `run/<instance>/` belongs to the service, and to the user it runs as; it is emptied before each start. What is ours
//! of an instance stands in `run/.core/<instance>/`, below a folder that nobody else may enter: what a service may rename
//! we do not go by. The first releases had it in `run/<instance>/.core/`; an instance that they began keeps it there.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The folder of ours in the run folder of a stack; in the first releases, in that of an instance.
pub const OWN: &str = ".core";

/// The folder of sockets on which services say how they are, in the run folder of a stack.
pub const NOTIFY: &str = "notify";

/// Bits of a mode that are about others than the owner.
const OTHERS: u32 = 0o077;

/// Where things of one instance stand.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
    own: PathBuf,
}

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
        let folder = run.join(instance);
        let own = run.join(OWN).join(instance);
        let before = folder.join(OWN);
        let own = if is_ours_alone(&before) && !own.exists() { before } else { own };
        Self { folder, own }
    }

    /// The run folder itself: `${run}`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Our folder.
    pub fn own(&self) -> &Path {
        &self.own
    }

    /// The socket on which the shim is found by a new supervisor.
    pub fn socket(&self) -> PathBuf {
        self.own.join("shim")
    }

    /// The file that is locked for as long as anything of an invocation lives.
    pub fn lock(&self) -> PathBuf {
        self.own.join("lock")
    }

    /// The file that the shim itself has locked for as long as it stands over the instance.
    pub fn shim_lock(&self) -> PathBuf {
        self.own.join("shim.lock")
    }

    /// The named pipe of a stream of output.
    pub fn fifo(&self, stream: Stream) -> PathBuf {
        self.own.join(stream.word())
    }

    /// The record of the last invocation.
    pub fn invocation(&self) -> PathBuf {
        self.own.join("invocation")
    }

    /// What the service said of itself.
    pub fn notified(&self) -> PathBuf {
        self.own.join("notified")
    }

    /// The socket on which the service says how it is. Beside our folder: the service must get there.
    pub fn notify_socket(&self) -> PathBuf {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        // Some take every `@` of an address for the beginning of an abstract name.
        self.folder.with_file_name(NOTIFY).join(name.replace('@', "."))
    }

    /// The record of the last end.
    pub fn exit(&self) -> PathBuf {
        self.own.join("exit")
    }

    /// Takes all of it away.
    pub fn remove(&self) {
        // The records last: while they are there it can be found out what the rest is about.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(self.notify_socket());
        let _ = fs::remove_dir_all(&self.own);
    }
}

/// A folder of ours, no link, that nobody else may enter. The service could put another one in its place; not one of ours.
fn is_ours_alone(folder: &Path) -> bool {
    let user = nix::unistd::geteuid().as_raw();
    let is_shut = |meta: &fs::Metadata| meta.mode() & OTHERS == 0;
    fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir() && meta.uid() == user && is_shut(&meta))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn what_the_first_releases_began_stays_where_it_is() {
        let run = tempfile::tempdir().unwrap();
        let own = |instance: &str| Place::new(run.path(), instance).own().to_owned();
        assert_eq!(own("a-0@1"), run.path().join(".core/a-0@1"));
        let before = run.path().join("a-0@1/.core");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&before).unwrap();
        assert_eq!(own("a-0@1"), before);
        fs::set_permissions(&before, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(own("a-0@1"), run.path().join(".core/a-0@1"), "we never made one that others may enter");
        fs::set_permissions(&before, fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir_all(run.path().join(".core/a-0@1")).unwrap();
        assert_eq!(own("a-0@1"), run.path().join(".core/a-0@1"));
    }
}
