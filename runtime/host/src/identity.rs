//! The user that a service runs as, with its probes, shutdown commands and `core SERVICE run`.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use core_engine::Topology;
use core_manifest::spec::Identity;
use core_shim::{exec, inherited, wire};
use nix::libc;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, User, getgrouplist};

use crate::users;

/// Variables of the user who runs `core` that another user has no use for, and no right to see.
const PERSONAL: &[&str] = &["HOME", "USER", "LOGNAME", "SHELL", "MAIL", "OLDPWD", "PWD", "DBUS_SESSION_BUS_ADDRESS"];
/// Prefixes of further variables of that kind.
const PERSONAL_PREFIXES: &[&str] = &["SUDO_", "SSH_", "XDG_", "GPG_", "KRB5"];

/// Whether a variable is about the user who runs `core`, and not about the stack.
pub(crate) fn is_personal(name: &str) -> bool {
    PERSONAL.contains(&name) || PERSONAL_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The variables of a user, as a login sets them.
pub(crate) fn personal(user: &User) -> [(String, Vec<u8>); 4] {
    let text = |path: &std::path::Path| path.as_os_str().as_bytes().to_vec();
    let name = user.name.clone().into_bytes();
    let values = [text(&user.dir), name.clone(), name, text(&user.shell)];
    let mut values = values.into_iter();
    ["HOME", "USER", "LOGNAME", "SHELL"].map(|name| (name.to_owned(), values.next().unwrap_or_default()))
}

/// The user as whom the edge of a topology runs, if that is another one.
pub(crate) fn edge_user(topology: &Topology) -> Option<u32> {
    let numbers = numbers(&topology.edge()?.identity).ok()?;
    numbers.user.map(|(user, ..)| user)
}

/// Resolves names to numbers, because a shim does not query the host's user database.
///
/// # Errors
/// The user or group does not exist, as text for people.
pub fn numbers(spec: &Identity) -> Result<wire::Identity, String> {
    let group = spec.group.as_deref().map(users::group).transpose()?;
    let user = match (&spec.user, group) {
        (None, None) => None,
        (None, Some(group)) => Some((Uid::effective().as_raw(), group, Vec::new())),
        (Some(user), group) => {
            let known = users::user(user)?;
            let group = group.unwrap_or_else(|| known.gid.as_raw());
            let name = CString::new(known.name.clone()).unwrap_or_default();
            let groups = getgrouplist(&name, Gid::from_raw(group)).unwrap_or_default();
            Some((known.uid.as_raw(), group, groups.into_iter().map(Gid::as_raw).collect()))
        }
    };
    let resource = |name: &str| match name {
        "nofile" => libc::RLIMIT_NOFILE,
        "nproc" => libc::RLIMIT_NPROC,
        "core" => libc::RLIMIT_CORE,
        _ => libc::RLIMIT_AS,
    };
    Ok(wire::Identity {
        user,
        umask: spec.umask,
        limits: spec
            .limits
            .iter()
            .map(|(name, limit)| (resource(name), limit.unwrap_or(libc::RLIM_INFINITY)))
            .collect(),
        nice: spec.nice,
        oom_score_adj: spec.oom_score_adj,
    })
}

/// Makes a command run with a service's umask, limits and user.
pub fn assume(command: &mut Command, identity: wire::Identity) {
    let user = identity.user.map(|(user, group, groups)| {
        let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
        (Uid::from_raw(user), Gid::from_raw(group), groups)
    });
    let become_it = move || -> io::Result<()> {
        inherited::restore();
        if let Some(mask) = identity.umask {
            umask(Mode::from_bits_truncate(mask));
        }
        for (resource, limit) in &identity.limits {
            exec::set_limit(*resource, *limit)?;
        }
        if let Some((user, group, groups)) = &user {
            exec::become_user(*user, *group, groups)?;
        }
        Ok(())
    };
    // SAFETY: only system calls are made between fork and exec; their arguments were made before.
    unsafe { command.pre_exec(become_it) };
}
