//! The parts of `config` that say how an edge meets the world.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the certificates of an edge come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Nowhere: the edge speaks plain HTTP.
    #[default]
    Off,
    /// From the files in `certificates`, and from a CA by ACME for each host of a route that these are not for. Those of a
    /// CA are renewed in time.
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

/// Certificates for names that no route has, such as the domains of an app's customers. Each is got when a client first comes
/// with such a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnDemand {
    /// Path that is asked whether a name may have a certificate, of the service that answers there for any host:
    /// "/api/domains" is asked as /api/domains?domain=NAME. 200 means yes, and anything else no.
    #[schemars(regex(pattern = r"^/[^?#]*$"))]
    pub ask: String,
    /// New names in an hour that may get one; more are refused until the hour is over. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub per_hour: Option<u32>,
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

/// A header that the edge adds to answers which have none of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Header {
    /// With this value.
    Value(String),
    /// false: it is not added.
    Added(bool),
}

/// Headers by name.
pub type Headers = BTreeMap<String, Header>;

/// What clients of an edge may take. A service whose route has limits of its own has those instead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// KiB that the headers of a request may have; more are answered with 431. Default: 64 with certificates, else 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 65536))]
    pub header_kb: Option<u32>,
    /// MiB that the body of a request may have; more are answered with 413. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub body_mb: Option<u32>,
    /// Seconds in which the headers of a request have to come. Default: 10 with certificates, else 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1))]
    pub header_seconds: Option<f64>,
    /// Seconds after which a connection without a request is closed. Default: 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1))]
    pub idle_seconds: Option<f64>,
}

/// What clients of one service may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteLimits {
    /// MiB that the body of a request may have; more are answered with 413. Default: as the edge says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub body_mb: Option<u32>,
}

impl super::Config {
    /// Where the certificates of the edge come from, with this profile. A CA is asked where somebody has said who asks, or of
    /// whom: not on a development machine, and not for a host that has plain HTTP behind another proxy.
    pub fn tls(&self, profile: &str) -> Tls {
        let default = if !self.certificates.is_empty() || self.says_who(profile) { Tls::Auto } else { Tls::Off };
        self.tls.unwrap_or(default)
    }

    /// Whether a CA is asked for certificates that no file has, with this profile.
    pub fn asks_ca(&self, profile: &str) -> bool {
        self.tls(profile) == Tls::Auto
            && (self.says_who(profile) || (self.certificates.is_empty() && self.tls.is_some()))
    }

    fn says_who(&self, profile: &str) -> bool {
        profile != "local" && (self.email.is_some() || self.acme.is_some())
    }

    /// Whether the edge speaks HTTP/3, with this profile. Browsers do so only with certificates of a CA that they came with.
    pub fn http3(&self, profile: &str) -> bool {
        match self.tls(profile) {
            Tls::Off => false,
            Tls::Auto => self.http3.unwrap_or(profile != "local"),
            Tls::Internal => self.http3.unwrap_or(false),
        }
    }
}
