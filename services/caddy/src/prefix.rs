//! Prefixes of paths, and the hosts that they count for.

use core_manifest::ServiceSpec;
use serde_json::{Map, Value, json};

/// What requests for these hosts and this prefix look like.
pub(crate) fn matcher(hosts: &[String], prefix: &str) -> Map<String, Value> {
    let mut matcher = Map::new();
    if !hosts.is_empty() {
        matcher.insert("host".into(), json!(hosts));
    }
    if !prefix.is_empty() {
        matcher.insert("path".into(), json!([prefix, format!("{prefix}/*")]));
    }
    matcher
}

/// A handler that takes the prefix away, if the service wants that.
pub(crate) fn stripped(spec: &ServiceSpec, prefix: &str) -> Option<Value> {
    let strips = spec.route.as_ref().is_some_and(|route| route.strip_prefix) && !prefix.is_empty();
    strips.then(|| json!({"handler": "rewrite", "strip_path_prefix": prefix}))
}
