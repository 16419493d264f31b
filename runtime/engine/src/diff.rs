//! What differs between two specs of one service, and what each difference asks for.
//!
//! Both specs are taken apart in full here. A new field does not compile until somebody has put it into a class.

use std::collections::BTreeMap;
use std::fmt;

use core_manifest::ServiceSpec;
use core_manifest::spec::BinaryRef;
use serde::{Deserialize, Serialize};

/// What a difference in a field asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nothing: it is for people.
    None,
    /// Applied to what runs.
    Refresh,
    /// A new instance, by the service's strategy.
    Replace,
}

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
    } = old;
    let mut all = Vec::new();
    let mut note = |field: &str, class, differs: bool, reason: String| {
        if differs {
            all.push(Difference { field: field.to_owned(), class, reason });
        }
    };
    let changed = |field: &str| format!("{field} changed");

    note("kind", Class::Replace, *kind != new.kind, changed("kind"));
    note("process.compose.description", Class::None, *description != new.description, changed("description"));
    note("process.compose.namespace", Class::None, *namespace != new.namespace, changed("namespace"));
    note("process.command", Class::Replace, *command != new.command, changed("command"));
    note("process.args", Class::Replace, *args != new.args, changed("args"));
    note("process.env", Class::Replace, *env != new.env, keys_changed("env", env, &new.env));
    note("process.working_dir", Class::Replace, *working_dir != new.working_dir, changed("working_dir"));
    note("process.shell", Class::Replace, *shell != new.shell, changed("shell"));
    note(
        "process.user, group, umask, limits, nice, oom_score_adj",
        Class::Replace,
        *identity != new.identity,
        changed("user, group, umask or limits"),
    );
    note("process.compose.is_daemon", Class::Replace, *is_daemon != new.is_daemon, changed("is_daemon"));
    // A process that was begun without the socket knows nothing of it.
    note(
        "process.compose.readiness_probe.notify, liveness_probe.notify",
        Class::Replace,
        (old.notifies(), old.watchdog()) != (new.notifies(), new.watchdog()),
        changed("what it is to say of itself"),
    );
    note(
        "process.compose.disabled",
        Class::Refresh,
        *disabled != new.disabled,
        if new.disabled { "disabled now".into() } else { "no longer disabled".into() },
    );
    note(
        "process.compose.replicas",
        Class::Refresh,
        *replicas != new.replicas,
        format!("replicas: {replicas} → {}", new.replicas),
    );
    note(
        "process.compose.depends_on",
        Class::Refresh,
        *depends_on != new.depends_on,
        keys_changed("depends_on", depends_on, &new.depends_on),
    );
    note("process.compose.availability", Class::Refresh, *availability != new.availability, changed("restart policy"));
    note(
        "process.compose.success_exit_codes",
        Class::Refresh,
        *success_exit_codes != new.success_exit_codes,
        changed("success_exit_codes"),
    );
    note(
        "process.compose.readiness_probe, ready_log_line",
        Class::Refresh,
        *readiness != new.readiness,
        changed("readiness probe"),
    );
    note("process.compose.liveness_probe", Class::Refresh, *liveness != new.liveness, changed("liveness probe"));
    note("process.compose.shutdown", Class::Refresh, *shutdown != new.shutdown, changed("shutdown"));
    note("process.compose.log_configuration", Class::Refresh, *log != new.log, changed("log limits"));
    note("ports", Class::Replace, *ports != new.ports, keys_changed("port", ports, &new.ports));
    note("route", Class::Refresh, *route != new.route, changed("route"));
    note("update", Class::Refresh, *update != new.update, changed("update"));
    let (differs, reason) = binaries_changed(binaries, &new.binaries);
    note("binaries", Class::Replace, differs, reason);
    note("generated files", Class::Replace, *files != new.files, changed("generated files"));
    note("release", Class::Replace, *release != new.release, changed("release"));
    all
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
