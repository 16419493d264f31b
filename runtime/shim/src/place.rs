//! The files in the run folder of a stack.
//!
//! `run/<instance>/` belongs to the service and its user; it is emptied before each start. core's own files for an
//! instance are in `run/.core/<instance>/`, in a folder that no other user may enter: core does not rely on files that
//! a service may rename. The first releases used `run/<instance>/.core/`; instances that those started keep it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// core's own folder in the run folder of a stack; in the first releases, in that of an instance.
pub const OWN: &str = ".core";

/// The folder, in the run folder of a stack, of the sockets on which services report their state.
pub const NOTIFY: &str = "notify";

/// The mode bits that concern other users than the owner.
const OTHERS: u32 = 0o077;

/// The files of one instance.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
    own: PathBuf,
}

/// One of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Both streams.
    pub const BOTH: [Self; 2] = [Self::Out, Self::Err];

    /// The word for the stream in file names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }
}

impl Place {
    /// The files of an instance in the stack's run folder `run`.
    pub fn new(run: &Path, instance: &str) -> Self {
        let folder = run.join(instance);
        let own = run.join(OWN).join(instance);
        let before = folder.join(OWN);
        let own = if is_ours_alone(&before) && !own.exists() { before } else { own };
        Self { folder, own }
    }

    /// The run folder of the instance: `${run}`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// core's own folder for the instance.
    pub fn own(&self) -> &Path {
        &self.own
    }

    /// The socket through which a new supervisor reaches the shim.
    pub fn socket(&self) -> PathBuf {
        self.own.join("shim")
    }

    /// The file that is locked for as long as a process of an invocation is alive.
    pub fn lock(&self) -> PathBuf {
        self.own.join("lock")
    }

    /// The file that the shim keeps locked while it looks after the instance.
    pub fn shim_lock(&self) -> PathBuf {
        self.own.join("shim.lock")
    }

    /// The named pipe of an output stream.
    pub fn fifo(&self, stream: Stream) -> PathBuf {
        self.own.join(stream.word())
    }

    /// The record of the last invocation.
    pub fn invocation(&self) -> PathBuf {
        self.own.join("invocation")
    }

    /// The record of what the service has reported about itself.
    pub fn notified(&self) -> PathBuf {
        self.own.join("notified")
    }

    /// The socket on which the service reports its state. The service has to reach it, so it is not in `own`.
    pub fn notify_socket(&self) -> PathBuf {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        // Some programs read every `@` in an address as the start of an abstract name.
        self.folder.with_file_name(NOTIFY).join(name.replace('@', "."))
    }

    /// The record of the last exit.
    pub fn exit(&self) -> PathBuf {
        self.own.join("exit")
    }

    /// Removes all of these files.
    pub fn remove(&self) {
        // The records go last: while they exist, the purpose of the other files can be found out.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(self.notify_socket());
        let _ = fs::remove_dir_all(&self.own);
    }
}

/// A folder of this user, not a link, that no other user may enter. A service cannot put one like it in its place.
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
