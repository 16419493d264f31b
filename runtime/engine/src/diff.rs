//! What differs between two specs of one service, and what each difference asks for.
//!
//! Both specs are taken apart in full here. A new field does not compile until somebody has put it into a class
//! (`fields.rs`).

use std::collections::BTreeMap;
use std::fmt;

use core_manifest::ServiceSpec;
use core_manifest::spec::BinaryRef;
use serde::{Deserialize, Serialize};

use crate::fields::FIELDS;
pub use crate::fields::{Class, table};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The field of the manifest.
    pub field: String,
    /// What it asks for.
    pub class: Class,
    /// What differs, without values that may be secret.
    pub reason: String,
}

/// All differences of two specs of one service.
pub fn differences(old: &ServiceSpec, new: &ServiceSpec) -> Vec<Difference> {
    let ServiceSpec {
        name: _,
        kind,
        description,
        namespace,
        command,
        args,
        env,
        working_dir,
        shell,
        identity,
        disabled,
        is_daemon,
        replicas,
        depends_on,
        availability,
        success_exit_codes,
        readiness,
        liveness,
        shutdown,
        log,
        ports,
        route,
        update,
        binaries,
        files,
        release,
        // Both are in the generated files.
        store: _,
        trusted_proxies: _,
    } = old;
    let changed = |field: &str| format!("{field} changed");
    let (other_binaries, binaries_reason) = binaries_changed(binaries, &new.binaries);
    // In the order of `FIELDS`; one that is missing here or there does not compile.
    let found: [(bool, String); FIELDS.len()] = [
        (*description != new.description, changed("description")),
        (*namespace != new.namespace, changed("namespace")),
        (*disabled != new.disabled, if new.disabled { "disabled now" } else { "no longer disabled" }.to_owned()),
        (*replicas != new.replicas, format!("replicas: {replicas} → {}", new.replicas)),
        (*depends_on != new.depends_on, keys_changed("depends_on", depends_on, &new.depends_on)),
        (*availability != new.availability, changed("restart policy")),
        (*success_exit_codes != new.success_exit_codes, changed("success_exit_codes")),
        (*readiness != new.readiness, changed("readiness probe")),
        (*liveness != new.liveness, changed("liveness probe")),
        (*shutdown != new.shutdown, changed("shutdown")),
        (*log != new.log, changed("log limits")),
        (*route != new.route, changed("route")),
        (*update != new.update, changed("update")),
        (*kind != new.kind, changed("kind")),
        (*command != new.command, changed("command")),
        (*args != new.args, changed("args")),
        (*working_dir != new.working_dir, changed("working_dir")),
        (*shell != new.shell, changed("shell")),
        (*env != new.env, keys_changed("env", env, &new.env)),
        (*identity != new.identity, changed("user, group, umask or limits")),
        (*is_daemon != new.is_daemon, changed("is_daemon")),
        ((old.notifies(), old.watchdog()) != (new.notifies(), new.watchdog()), changed("what it is to say of itself")),
        (*ports != new.ports, keys_changed("port", ports, &new.ports)),
        (other_binaries, binaries_reason),
        (*files != new.files, changed("generated files")),
        (*release != new.release, changed("release")),
    ];
    let differing = FIELDS.iter().zip(found).filter(|(_, (differs, _))| *differs);
    differing
        .map(|(field, (_, reason))| Difference { field: field.name.to_owned(), class: field.class, reason })
        .collect()
}

/// Whether two specs run the same program, told other things at most: who asks one of them may be answered by the other.
/// Of two releases, a page of one asks in vain for the scripts of the other.
pub(crate) fn is_same_program(old: &ServiceSpec, new: &ServiceSpec) -> bool {
    let what =
        |spec: &ServiceSpec| (spec.kind, spec.shell, spec.command.clone(), spec.args.clone(), spec.release.clone());
    what(old) == what(new)
        && old.files == new.files
        && old.working_dir == new.working_dir
        && !binaries_changed(&old.binaries, &new.binaries).0
}

/// Another version of a program of the machine at the same path is not our doing: it counts at the next start.
fn binaries_changed<K: Ord + fmt::Display>(
    old: &BTreeMap<K, BinaryRef>,
    new: &BTreeMap<K, BinaryRef>,
) -> (bool, String) {
    let place = |binary: &BinaryRef| (binary.folder.clone(), binary.path.clone());
    let differs = old.len() != new.len()
        || old.iter().any(|(name, binary)| new.get(name).is_none_or(|other| place(other) != place(binary)));
    let moved = old.iter().find_map(|(name, binary)| {
        let other = new.get(name)?;
        (place(other) != place(binary)).then(|| format!("{name}: {} → {}", binary.version, other.version))
    });
    (differs, moved.unwrap_or_else(|| "binaries changed".into()))
}

fn keys_changed<K: Ord + fmt::Display, V: PartialEq>(what: &str, old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> String {
    let mut parts = Vec::new();
    for (key, value) in new {
        match old.get(key) {
            None => parts.push(format!("{key} added")),
            Some(before) if before != value => parts.push(format!("{key} changed")),
            Some(_) => {}
        }
    }
    parts.extend(old.keys().filter(|key| !new.contains_key(key)).map(|key| format!("{key} removed")));
    format!("{what}: {}", parts.join(", "))
}
