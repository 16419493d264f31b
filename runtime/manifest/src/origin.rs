//! Where a text came from: a variable or a secret. Only the code that starts a process needs the value; everything that
//! is shown, saved or compared uses the name.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The origin of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// `${env.NAME}`: a variable of the environment, of `.env` or of the profile.
    Variable(String),
    /// `${secret.NAME}`: a file in `.secrets/`.
    Secret(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env.{name}"),
            Self::Secret(name) => write!(f, "secret.{name}"),
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some(("env", name)) => Ok(Self::Variable(name.to_owned())),
            Some(("secret", name)) => Ok(Self::Secret(name.to_owned())),
            _ => Err(format!("`{text}` names neither a variable nor a secret")),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text behind an origin, if it is known. Comparing templates ignores it: whether a value has changed is told by
/// [`crate::ServiceSpec::values`], which may be saved.
#[derive(Clone, Default)]
pub struct Value(Option<Arc<str>>);

impl Value {
    /// A known text.
    pub fn known(text: &str) -> Self {
        Self(Some(text.into()))
    }

    /// The text; `None` if only the name was kept.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "known" } else { "unknown" })
    }
}

impl PartialEq for Value {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
