//! Files that the edge serves itself: those of a service's releases whose names are hashes of their contents.

use core_manifest::ServiceSpec;
use serde_json::{Value, json};

/// Part of the path of requests for files whose contents never change.
const HASHED: &str = "/_next/static/";
/// What browsers may do with them: keep them for a year, and never ask again.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Kinds of files, with their types as the app gives them: Caddy has other words for some.
const TYPES: [(&str, &str); 5] = [
    ("js", "application/javascript; charset=UTF-8"),
    ("css", "text/css; charset=UTF-8"),
    ("json", "application/json; charset=UTF-8"),
    ("map", "application/json; charset=UTF-8"),
    ("txt", "text/plain; charset=UTF-8"),
];

/// The folder of the files of a service's releases, whatever release it runs; `None` if it has no releases.
pub(crate) fn pool(spec: &ServiceSpec) -> Option<String> {
    let releases = format!("/.releases/{}/", spec.name);
    let of_release = |path: &str| Some(format!("{}{releases}pool", &path[..path.find(&releases)?]));
    spec.binaries.values().find_map(|binary| of_release(&binary.path))
}

/// A handler that serves these files, and passes on all other requests.
pub(crate) fn hashed(spec: &ServiceSpec) -> Option<Value> {
    let pool = pool(spec)?;
    // Its own type, before the file is written; else the server looks at the ending.
    let types = TYPES.iter().map(|(ending, word)| {
        json!({
            "match": [{"path": [format!("*.{ending}")]}],
            "handle": [{"handler": "headers", "response": {"set": {"Content-Type": [word]}}}],
        })
    });
    let mut routes: Vec<Value> = types.collect();
    routes.push(json!({"handle": [{"handler": "headers", "response": {"set": {"Cache-Control": [FOREVER]}}}]}));
    let plain = json!({"handler": "file_server", "root": pool, "index_names": [], "canonical_uris": false});
    let mut copies = plain.clone();
    copies["precompressed"] = json!({"br": {}, "zstd": {}, "gzip": {}});
    copies["precompressed_order"] = json!(["br", "zstd", "gzip"]);
    // A part of a compressed copy would be of no use to anyone.
    routes.push(json!({"match": [{"header": {"Range": ["*"]}}], "handle": [plain], "terminal": true}));
    routes.push(json!({"handle": [copies]}));
    Some(json!({"handler": "subroute", "routes": [{
        "match": [{
            "method": ["GET", "HEAD"],
            "path": [format!("*{HASHED}*")],
            // The app answers for folders, and for what is not there.
            "not": [{"path": ["*/", "*.br", "*.gz", "*.zst", "*.part"]}],
            "file": {"root": pool, "try_files": ["{http.request.uri.path}"]},
        }],
        "handle": [{"handler": "subroute", "routes": routes}],
        "terminal": true,
    }]}))
}
