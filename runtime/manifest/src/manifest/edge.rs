//! The parts of `config` that say how an edge meets the world.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the certificates of an edge come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Nowhere: the edge speaks plain HTTP.
    #[default]
    Off,
    /// From a CA, for each host of a route, by ACME. They are renewed in time.
    Auto,
    /// From a CA of the stack's own, which only those trust who install its root certificate.
    Internal,
}

/// The CAs that certificates come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// URL of the CA's ACME directory; of several, each is asked when the ones before it have failed. Default: Let's
    /// Encrypt, and with an `email` ZeroSSL after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directories>,
    /// Files with root certificates to trust when these directories are asked, relative to the stack's root: for a CA of
    /// your own. Default: the system's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
}

/// One URL or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Directories {
    /// One CA.
    One(String),
    /// Several, in this order.
    Several(#[schemars(length(min = 1))] Vec<String>),
}

impl Directories {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

impl super::Config {
    /// Where the certificates of the edge come from, with this profile. A CA is asked where somebody has said who asks, or of
    /// whom: not on a development machine, and not for a host that has plain HTTP behind another proxy.
    pub fn tls(&self, profile: &str) -> Tls {
        let says_who = self.email.is_some() || self.acme.is_some();
        let default = if says_who && profile != "local" { Tls::Auto } else { Tls::Off };
        self.tls.unwrap_or(default)
    }
}
