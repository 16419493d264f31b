//! Names that people write: services, ports, binaries, secrets.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Words of the command line. If a service had one of these names, `core <service> spec` could not be told from a
/// command such as `core logs …`.
pub const RESERVED: &[&str] = &[
    "apply",
    "attach",
    "check",
    "command",
    "completions",
    "core",
    "deploy",
    "doctor",
    "down",
    "graph",
    "help",
    "history",
    "init",
    "lock",
    "logs",
    "man",
    "nats-cluster",
    "plan",
    "probe",
    "releases",
    "restart",
    "rollback",
    "run",
    "scale",
    "schema",
    "spec",
    "start",
    "status",
    "stop",
    "supervise",
    "top",
    "up",
    "version",
    "why",
];

/// The longest name that a service may have, in characters.
const MAX_SERVICE: usize = 40;
/// The longest name that a release beside the live one may have: it is part of the paths of sockets, which are short.
const MAX_TRIAL: usize = 24;
/// What stands between a service and the name of a release that runs beside its live one. No manifest may use it.
const TRIAL: char = '~';

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline, with = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type! {
    /// Name of a service: `[a-z][a-z0-9-]{0,39}`, not a word of the command line, and not ending in `-` and digits,
    /// which is how slots are named (`web-0`).
    ServiceName
}
name_type! {
    /// Name of a port, a binary or a secret: `[A-Za-z_][A-Za-z0-9_-]*`.
    Identifier
}

impl ServiceName {
    /// Checks `text` and makes a name of it.
    ///
    /// # Errors
    /// The rule that `text` breaks, as the end of a sentence that starts with the name.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut chars = text.chars();
        if !chars.next().is_some_and(|c| c.is_ascii_lowercase()) {
            return Err("must begin with a small letter".into());
        }
        if let Some(bad) = chars.find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')) {
            return Err(format!("may hold small letters, digits and `-` only, not `{bad}`"));
        }
        if text.len() > MAX_SERVICE {
            return Err(format!("is {} characters long; {MAX_SERVICE} are allowed", text.len()));
        }
        if let Some((_, tail)) = text.rsplit_once('-')
            && !tail.is_empty()
            && tail.chars().all(|c| c.is_ascii_digit())
        {
            return Err(format!("must not end in `-{tail}`: that is how replicas are named (`web-0`)"));
        }
        if RESERVED.contains(&text) {
            return Err("is a word of the command line; call the service something else".into());
        }
        Ok(Self(text.into()))
    }
}

impl ServiceName {
    /// A name that is derived from a manifest's name: by a driver, when it may end in `-` and digits (`nats-hub-1`), or for
    /// a release beside the live one (`web~pr-12`).
    ///
    /// # Errors
    /// The rule that `text` breaks, as the end of a sentence that starts with the name.
    pub fn made(text: &str) -> Result<Self, String> {
        if let Some((service, trial)) = text.split_once(TRIAL) {
            return Self::new(service)?.trial(trial);
        }
        Self::new(text.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-'))?;
        Ok(Self(text.into()))
    }

    /// The name of the service that runs a release beside the live one of this service. `trial` becomes a part of host
    /// names.
    ///
    /// # Errors
    /// The rule that `trial` breaks, as the end of a sentence that starts with it.
    pub fn trial(&self, trial: &str) -> Result<Self, String> {
        check_trial(trial)?;
        Ok(Self(format!("{self}{TRIAL}{trial}").into()))
    }

    /// The service whose release this runs beside the live one, and the name of that trial.
    pub fn of_trial(&self) -> Option<(Self, &str)> {
        let (service, trial) = self.0.split_once(TRIAL)?;
        Some((Self(service.into()), trial))
    }

    /// The service of the manifest: without the name of a trial.
    #[must_use]
    pub fn parent(&self) -> Self {
        self.of_trial().map_or_else(|| self.clone(), |(parent, _)| parent)
    }

    /// Whether it runs a release beside the live one of another service.
    pub fn is_trial(&self) -> bool {
        self.0.contains(TRIAL)
    }
}

impl Identifier {
    /// Checks `text` and makes a name of it.
    ///
    /// # Errors
    /// The rule that `text` breaks, as the end of a sentence that starts with the name.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut chars = text.chars();
        if !chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
            return Err("must begin with a letter or `_`".into());
        }
        if let Some(bad) = chars.find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-')) {
            return Err(format!("may hold letters, digits, `_` and `-` only, not `{bad}`"));
        }
        Ok(Self(text.into()))
    }
}

/// Checks the name of a release that runs beside a live one.
///
/// # Errors
/// The rule that it breaks, as the end of a sentence that starts with the name.
pub fn check_trial(trial: &str) -> Result<(), String> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !trial.starts_with(is_letter) || !trial.ends_with(is_letter) {
        return Err("must begin and end with a small letter or a digit".into());
    }
    if let Some(bad) = trial.chars().find(|c| !(is_letter(*c) || *c == '-')) {
        return Err(format!("may hold small letters, digits and `-` only, not `{bad}`"));
    }
    if trial.len() > MAX_TRIAL {
        return Err(format!("is {} characters long; {MAX_TRIAL} are allowed", trial.len()));
    }
    Ok(())
}

/// The known name nearest to `wanted`, if one is near enough to be what was meant.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted_lower = wanted.to_lowercase();
    known
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(|name| (strsim::damerau_levenshtein(&wanted_lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance * 5 <= wanted.len().max(name.len()) * 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_follow_the_rules() {
        for good in ["a", "web", "nats-hub", "a1", "x9-y", "web-0a"] {
            assert!(ServiceName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Web", "0a", "-a", "web-0", "nats-hub-12", "a_b", "a.b", "up", "logs", "ä"] {
            assert!(ServiceName::new(bad).is_err(), "{bad}");
        }
        assert!(ServiceName::new(&"a".repeat(40)).is_ok());
        assert!(ServiceName::new(&"a".repeat(41)).is_err());
        assert!(ServiceName::new("web-").is_ok(), "no digits after the last `-`");
    }

    #[test]
    fn a_trial_has_a_name_of_its_own() {
        let web = ServiceName::new("web").unwrap();
        let trial = ServiceName::made("web~pr-12").unwrap();
        assert_eq!(web.trial("pr-12"), Ok(trial.clone()));
        assert_eq!(trial.of_trial(), Some((web.clone(), "pr-12")));
        assert_eq!((trial.parent(), web.parent()), (web.clone(), web.clone()));
        for bad in ["", "-a", "a-", "A", "a.b", "a~b", "a_b", &"a".repeat(25)] {
            assert!(web.trial(bad).is_err(), "{bad}");
        }
        assert!(ServiceName::new("web~pr").is_err(), "no manifest has such a name");
    }

    #[test]
    fn nearest_finds_slips_and_refuses_strangers() {
        let known = ["readiness_probe", "liveness_probe", "shutdown"];
        assert_eq!(nearest("readyness_probe", known), Some("readiness_probe"));
        assert_eq!(nearest("shutdwon", known), Some("shutdown"));
        assert_eq!(nearest("replicas", known), None);
    }
}
