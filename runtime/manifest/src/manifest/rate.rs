//! How many requests a client may send.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One limit or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RateLimits {
    /// One.
    One(RateLimit),
    /// Several: each of them counts.
    Several(#[schemars(length(min = 1))] Vec<RateLimit>),
}

impl RateLimits {
    /// All of them.
    pub fn all(&self) -> &[RateLimit] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

/// How many requests each client may send; more are answered with 429. Files with a hash in their names, which the edge
/// serves itself, do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Path prefixes whose requests count. Default: all paths of the service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Requests a second, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_second: Option<u32>,
    /// Requests a minute, on average, instead of `per_second`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_minute: Option<u32>,
    /// Requests that may come at once, before the average counts. Default: as many as in that second or minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<u32>,
    /// What tells clients apart. Default: address.
    #[serde(default)]
    pub key: RateKey,
    /// Refuse nothing, only count what would be refused. Default: false.
    #[serde(default)]
    pub dry_run: bool,
}

/// What tells clients apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RateKey {
    /// "address": their address, as `trusted_proxies` say; of IPv6 its first 64 bits, which one client has for itself.
    Address(ByAddress),
    /// A header or a cookie; a request without it counts by its address.
    Of(RateKeyOf),
}

impl Default for RateKey {
    fn default() -> Self {
        Self::Address(ByAddress::Address)
    }
}

/// The word for clients that are told apart by their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ByAddress {
    /// By their addresses.
    Address,
}

/// The header or the cookie that tells clients apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateKeyOf {
    /// Name of a header, such as X-Api-Key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Name of a cookie, such as session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
}
