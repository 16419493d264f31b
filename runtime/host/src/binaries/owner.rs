//! Who builds: root gives that to the owner of the stack's folder, whose sources and packages it runs.

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

/// What nobody else may write to while it is built.
const UMASK: u32 = 0o022;

/// Who builds, where that is not whoever runs `core`.
pub(super) struct Owner(Option<Account>);

struct Account {
    /// User and group.
    ids: (u32, u32),
    identity: wire::Identity,
    /// What a login would set.
    variables: Vec<(String, Vec<u8>)>,
}

impl Owner {
    /// The owner of the stack at `root`.
    ///
    /// # Errors
    /// That the folder is not there.
    pub(super) fn of(root: &Path) -> Result<Self, String> {
        let meta = fs::metadata(root).map_err(|error| format!("{}: {error}", root.display()))?;
        if !geteuid().is_root() || meta.uid() == 0 {
            return Ok(Self(None));
        }
        let spec = Identity { user: Some(meta.uid().to_string()), umask: Some(UMASK), ..Identity::default() };
        let variables = match User::from_uid(Uid::from_raw(meta.uid())).ok().flatten() {
            Some(user) => identity::personal(&user).into(),
            None => vec![("HOME".to_owned(), b"/nonexistent".to_vec())],
        };
        // He need not be in the host's directory of users.
        let nameless =
            || wire::Identity { user: Some((meta.uid(), meta.gid(), Vec::new())), ..wire::Identity::default() };
        let identity = identity::numbers(&spec).unwrap_or_else(|_| nameless());
        let ids = identity.user.as_ref().map_or((meta.uid(), meta.gid()), |(user, group, _)| (*user, *group));
        Ok(Self(Some(Account { ids, identity, variables })))
    }

    /// Gives him a folder, with what is in it, unless it is his; one that is not there is made. Where we build, nothing is
    /// given to anybody.
    ///
    /// # Errors
    /// What the file system says, with the folder.
    pub(super) fn take(&self, folder: &Path) -> Result<(), String> {
        let Some(Account { ids, .. }) = &self.0 else { return Ok(()) };
        let take = || {
            fs::create_dir_all(folder)?;
            if fs::symlink_metadata(folder)?.uid() == ids.0 { Ok(()) } else { give(folder, *ids) }
        };
        take().map_err(|error: io::Error| format!("{}: {error}", folder.display()))
    }

    /// Has a command run as him.
    pub(super) fn run(&self, command: &mut Command) {
        let Some(Account { identity, variables, .. }) = &self.0 else { return };
        run::without(command, identity::is_personal);
        command.envs(variables.iter().map(|(name, value)| (name, OsString::from_vec(value.clone()))));
        identity::assume(command.as_std_mut(), identity.clone());
        // The kernel forgets it with the change of user.
        // SAFETY: it is one system call, which is allowed after a fork.
        unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) };
    }
}

/// Gives a folder and all that is in it. What links lead to is left alone.
fn give(path: &Path, to: (u32, u32)) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), to)?;
        }
    }
    lchown(path, Some(to.0), Some(to.1))
}
