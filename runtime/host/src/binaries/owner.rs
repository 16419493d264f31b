//! The user who builds: root builds as the owner of the stack's folder, because a build runs its sources and packages.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use core_manifest::spec::Identity;
use core_shim::wire;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User, geteuid};
use tokio::process::Command;

use super::run;
use crate::identity;

/// Keeps other users from writing to what is being built.
const UMASK: u32 = 0o022;

/// The user who builds, if it is not the user who runs `core`.
pub(crate) struct Owner(Option<Account>);

struct Account {
    /// UID and GID.
    ids: (u32, u32),
    identity: wire::Identity,
    /// The environment variables that a login would set.
    variables: Vec<(String, Vec<u8>)>,
}

impl Owner {
    /// The owner of the stack at `root`.
    ///
    /// # Errors
    /// The folder does not exist.
    pub(crate) fn of(root: &Path) -> Result<Self, String> {
        let meta = fs::metadata(root).map_err(|error| format!("{}: {error}", root.display()))?;
        if !geteuid().is_root() || meta.uid() == 0 {
            return Ok(Self(None));
        }
        let spec = Identity { user: Some(meta.uid().to_string()), umask: Some(UMASK), ..Identity::default() };
        let variables = match User::from_uid(Uid::from_raw(meta.uid())).ok().flatten() {
            Some(user) => identity::personal(&user).into(),
            None => vec![("HOME".to_owned(), b"/nonexistent".to_vec())],
        };
        // The UID may be missing in the host's user database.
        let nameless =
            || wire::Identity { user: Some((meta.uid(), meta.gid(), Vec::new())), ..wire::Identity::default() };
        let identity = identity::numbers(&spec).unwrap_or_else(|_| nameless());
        let ids = identity.user.as_ref().map_or((meta.uid(), meta.gid()), |(user, group, _)| (*user, *group));
        Ok(Self(Some(Account { ids, identity, variables })))
    }

    /// Makes a folder if it is missing, and gives it to the user with all its contents, unless it is theirs already.
    /// Does nothing if the user who runs `core` builds.
    ///
    /// # Errors
    /// The error of the file system, with the folder.
    pub(crate) fn take(&self, folder: &Path) -> Result<(), String> {
        let Some(Account { ids, .. }) = &self.0 else { return Ok(()) };
        let take = || {
            fs::create_dir_all(folder)?;
            if fs::symlink_metadata(folder)?.uid() == ids.0 { Ok(()) } else { give(folder, *ids) }
        };
        take().map_err(|error: io::Error| format!("{}: {error}", folder.display()))
    }

    /// Makes a command run as the user.
    pub(crate) fn run(&self, command: &mut Command) {
        let Some(Account { identity, variables, .. }) = &self.0 else { return };
        run::without(command, identity::is_personal);
        command.envs(variables.iter().map(|(name, value)| (name, OsString::from_vec(value.clone()))));
        identity::assume(command.as_std_mut(), identity.clone());
        // The kernel clears this setting when the user changes.
        // SAFETY: prctl(2) is one system call, which is allowed after a fork.
        unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) };
    }
}

/// Gives a folder and all its contents to a user. Targets of links are left alone.
fn give(path: &Path, to: (u32, u32)) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), to)?;
        }
    }
    lchown(path, Some(to.0), Some(to.1))
}
