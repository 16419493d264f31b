//! `manifests/<profile>.json`: what a profile changes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a profile (`local`, `production`, …) changes in the stack.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A profile of a core stack")]
pub struct StackManifest {
    /// Path of the JSON Schema, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Changes to services, by name: a JSON Merge Patch (RFC 7396) of the service's manifest; null leaves it out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, serde_json::Value>,
    /// Ports that core picks.
    #[serde(default)]
    pub ports: Ports,
    /// Whether edits of manifests are applied as they are saved. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<bool>,
    /// Environment variables of every service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// Ports that core picks.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// Range of `"port": "auto"`, as "first-last"; best outside the kernel's ephemeral range. Default: "20000-29999".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<String>,
}
