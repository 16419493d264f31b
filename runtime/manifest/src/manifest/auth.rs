//! `auth`: who is let in by the edge.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Auth {
    /// false: everybody.
    Wanted(bool),
    /// Users with a password.
    Word(Users),
    /// Those whom another service lets in.
    Asked(Asked),
}

/// The word for users with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Users {
    /// Those of `core auth add`, who send name and password with each request (RFC 7617).
    Basic,
}

/// Those whom another service lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The service that is asked about each request.
    pub forward: Forward,
}

/// A service that is asked about each request: with 2xx the request goes on, any other answer is that of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// Its address: "http://127.0.0.1:9091/verify". Either this or `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A service of the stack that has a route. With `auth` of the edge, it is not asked about requests for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The path that a `service` is asked for. Default: "/".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Headers of its answer that the app gets; what a client sends under these names is removed. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
}
