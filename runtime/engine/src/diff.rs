//! The differences between two specs of one service, and what each of them requires.
//!
//! Both specs are destructured completely here, so a new field does not compile until it has been given a class
//! (`fields.rs`).

use std::collections::BTreeMap;
use std::fmt;

use core_manifest::ServiceSpec;
use core_manifest::origin::Origin;
use core_manifest::spec::BinaryRef;
use serde::{Deserialize, Serialize};

use crate::fields::FIELDS;
pub use crate::fields::{Class, table};

/// One difference between two specs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The field of the manifest.
    pub field: String,
    /// What the difference requires.
    pub class: Class,
    /// What differs, as text, without values that may be secret.
    pub reason: String,
}

/// All differences of two specs of one service, in the order of the table of fields.
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
        values,
        // These are part of the generated files, or of the environment.
        store: _,
        edge: _,
        skew_cookie: _,
    } = old;
    // A spec saved by an older version has no names of variables and secrets in it.
    let inlined;
    let new = if values.is_none() {
        inlined = new.inlined();
        &inlined
    } else {
        new
    };
    let changed = |field: &str| format!("{field} changed");
    let other_values = values_changed(values.as_ref(), new.values.as_ref());
    let (other_binaries, binaries_reason) = binaries_changed(binaries, &new.binaries);
    // In the order of `FIELDS`; a difference in length does not compile.
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
        (*identity != new.identity, changed("user, group, umask, limits or priority")),
        (*is_daemon != new.is_daemon, changed("is_daemon")),
        ((old.notifies(), old.watchdog()) != (new.notifies(), new.watchdog()), changed("what it is to say of itself")),
        (*ports != new.ports, keys_changed("port", ports, &new.ports)),
        (other_binaries, binaries_reason),
        (*files != new.files, changed("generated files")),
        (*release != new.release, changed("release")),
        (!other_values.is_empty(), other_values),
    ];
    let differing = FIELDS.iter().zip(found).filter(|(_, (differs, _))| *differs);
    differing
        .map(|(field, (_, reason))| Difference { field: field.name.to_owned(), class: field.class, reason })
        .collect()
}

/// The variables and secrets named by both specs whose values differ. One that only one spec names shows up in the
/// text that names it.
fn values_changed(old: Option<&BTreeMap<Origin, String>>, new: Option<&BTreeMap<Origin, String>>) -> String {
    let is_another = |(origin, value): &(&Origin, &String)| {
        new.and_then(|new| new.get(*origin)).is_some_and(|other| other != *value)
    };
    let changed = old.into_iter().flatten().filter(is_another);
    let words = changed.map(|(origin, _)| match origin {
        Origin::Variable(name) => format!("variable {name} changed"),
        Origin::Secret(name) => format!("secret {name} changed"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Whether two specs run the same program, at most with other settings: a client of one may be answered by the other.
/// That does not hold for two releases: a page of one refers to scripts that the other does not have.
pub(crate) fn is_same_program(old: &ServiceSpec, new: &ServiceSpec) -> bool {
    let what =
        |spec: &ServiceSpec| (spec.kind, spec.shell, spec.command.clone(), spec.args.clone(), spec.release.clone());
    what(old) == what(new)
        && old.files == new.files
        && old.working_dir == new.working_dir
        && !binaries_changed(&old.binaries, &new.binaries).0
}

/// Another version of a host program at the same path is outside core's control: it takes effect at the next start.
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

#[cfg(test)]
mod tests {
    use core_manifest::origin::Value;
    use core_manifest::template::Piece;
    use core_manifest::{ServiceName, Template};

    use super::*;

    fn spec(value: &str) -> ServiceSpec {
        let mut spec = ServiceSpec::bare(ServiceName::new("web").unwrap(), "serve");
        let from = Piece::From(Origin::Secret("db".into()), Value::known(value));
        spec.env.insert("DB".into(), Template::from_pieces([Piece::Text("db://u:".into()), from]));
        spec.note_values(&|_, value| value.to_owned());
        spec
    }

    #[test]
    fn a_secret_that_changed_is_named() {
        let reasons = |old: &ServiceSpec, new: &ServiceSpec| -> Vec<String> {
            differences(old, new).into_iter().map(|one| one.reason).collect()
        };
        assert_eq!(reasons(&spec("a"), &spec("b")), ["secret db changed"]);
        assert_eq!(reasons(&spec("a"), &spec("a")), [""; 0]);
        // As core saves it: only with the name.
        let text = serde_json::to_string(&spec("hush")).unwrap();
        let saved: ServiceSpec = serde_json::from_str(&text.replace(r#":"hush""#, r#":"digest""#)).unwrap();
        assert_eq!(reasons(&saved, &spec("hush")), ["secret db changed"]);
        // As an older version saved it: with the value in the text.
        let saved: ServiceSpec = serde_json::from_str(&serde_json::to_string(&spec("a").inlined()).unwrap()).unwrap();
        assert_eq!(saved.values, None);
        assert_eq!(reasons(&saved, &spec("a")), [""; 0]);
        assert_eq!(reasons(&saved, &spec("b")), ["env: DB changed"]);
    }
}
