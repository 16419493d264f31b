//! Users and groups of the host, by name or number.

use core_engine::Topology;
use core_engine::topology::Places;
use core_manifest::Diagnostic;
use nix::unistd::{Group, Uid, User};

/// The user with this name or UID.
///
/// # Errors
/// The user does not exist, as text for people.
pub(crate) fn user(name: &str) -> Result<User, String> {
    let found = match name.parse::<u32>() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    found.ok().flatten().ok_or_else(|| format!("there is no user `{name}`"))
}

/// The name of the user with this UID.
pub(crate) fn name(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// The GID of the group with this name or GID.
///
/// # Errors
/// The group does not exist, as text for people.
pub(crate) fn group(name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = Group::from_name(name).ok().flatten();
    found.map(|group| group.gid.as_raw()).ok_or_else(|| format!("there is no group `{name}`"))
}

/// Reports users and groups that do not exist on the host.
pub(crate) fn check(topology: &Topology, places: &dyn Places, out: &mut Vec<Diagnostic>) {
    for spec in topology.services.values() {
        let identity = &spec.identity;
        let user = identity.user.as_deref().map(|name| ("user", user(name).map(drop)));
        let group = identity.group.as_deref().map(|name| ("group", group(name).map(drop)));
        for (key, found) in [user, group].into_iter().flatten() {
            if let Err(message) = found {
                out.push(
                    Diagnostic::new("unknown-user", message)
                        .at_opt(places.span(&spec.name, &["process", key]))
                        .service(spec.name.as_str())
                        .help(
                            "add it to the host, or take the line out: the service then runs as the user who runs core",
                        ),
                );
            }
        }
    }
}
