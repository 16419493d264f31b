//! Services whose clients are told to come back later.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How clients are answered while a service is in maintenance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Maintenance {
    /// Seconds that a request is held for before it is refused; it is answered as usual if the maintenance ends in that time.
    /// Absent: it is refused at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<u32>,
    /// Networks whose clients are answered as usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}
