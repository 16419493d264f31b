//! How the edge compresses what the app sends plain.

use serde_json::{Value, json};

/// Types of answers that get smaller, with what may follow them.
const COMPRESSIBLE: [&str; 8] = [
    "text/*",
    "application/json*",
    "application/javascript*",
    "application/xml*",
    "application/manifest+json*",
    "application/wasm*",
    "application/xhtml+xml*",
    "image/svg+xml*",
];

/// Handlers that compress an answer, and say of one that could have been compressed for another client that it could, as
/// what was compressed does: caches keep both apart.
pub(crate) fn handlers() -> [Value; 2] {
    let varies = json!({"handler": "headers", "response": {
        "deferred": true,
        "require": {"headers": {"Content-Encoding": null, "Content-Type": COMPRESSIBLE}},
        "add": {"Vary": ["Accept-Encoding"]},
    }});
    let encode = json!({"handler": "encode", "encodings": {"zstd": {}, "gzip": {}},
        "prefer": ["zstd", "gzip"], "minimum_length": 512});
    [varies, encode]
}
