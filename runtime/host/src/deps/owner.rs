//! Who builds: root gives that to the owner of the stack's folder, whose sources and packages it runs.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use core_shim::exec;
use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};
use tokio::process::Command;

use crate::identity;

/// Who builds, where that is not whoever runs `core`.
pub(super) struct Owner(Option<Account>);

struct Account {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
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
        let uid = Uid::from_raw(meta.uid());
        if !geteuid().is_root() || uid.is_root() {
            return Ok(Self(None));
        }
        let known = User::from_uid(uid).ok().flatten();
        let gid = known.as_ref().map_or(Gid::from_raw(meta.gid()), |user| user.gid);
        let name = known.as_ref().and_then(|user| CString::new(user.name.clone()).ok());
        let groups = name.and_then(|name| getgrouplist(&name, gid).ok()).unwrap_or_else(|| vec![gid]);
        let variables = match &known {
            Some(user) => identity::personal(user).into(),
            // Nobody's home: what is made on the way goes where the build goes.
            None => vec![("HOME".to_owned(), b"/nonexistent".to_vec())],
        };
        Ok(Self(Some(Account { uid, gid, groups, variables })))
    }

    /// Gives him a folder, with what is in it, unless it is his; one that is not there is made. Where we build, nothing is
    /// given to anybody.
    ///
    /// # Errors
    /// What the file system says, with the folder.
    pub(super) fn take(&self, folder: &Path) -> Result<(), String> {
        let Some(account) = &self.0 else { return Ok(()) };
        let take = || {
            fs::create_dir_all(folder)?;
            if fs::symlink_metadata(folder)?.uid() == account.uid.as_raw() { Ok(()) } else { give(folder, account) }
        };
        take().map_err(|error: io::Error| format!("{}: {error}", folder.display()))
    }

    /// Has a command run as him.
    pub(super) fn run(&self, command: &mut Command) {
        let Some(Account { uid, gid, groups, variables }) = &self.0 else { return };
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(identity::is_personal) {
                command.env_remove(&name);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, std::ffi::OsString::from_vec(value.clone()))));
        let (uid, gid, groups) = (*uid, *gid, groups.clone());
        let become_him = move || {
            exec::become_user(uid, gid, &groups)?;
            // The kernel forgets it with the change of user.
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(io::Error::from)
        };
        // SAFETY: nothing but system calls is done between fork and exec; what they take was made before.
        unsafe { command.pre_exec(become_him) };
    }
}

/// Gives a folder and all that is in it. What links lead to is left alone.
fn give(path: &Path, to: &Account) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), to)?;
        }
    }
    lchown(path, Some(to.uid.as_raw()), Some(to.gid.as_raw()))
}
