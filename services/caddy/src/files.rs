//! Files that the edge serves itself: those of a service's releases whose names are hashes of their contents.

use core_manifest::ServiceSpec;
use serde_json::{Value, json};

/// Part of the path of requests for files whose contents never change.
const HASHED: &str = "/_next/static/";
/// What browsers may do with them: keep them for a year, and never ask again.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Endings of what lies beside these files: nobody asks for it by its name.
const BESIDE: [&str; 4] = ["*.br", "*.gz", "*.zst", "*.part"];
/// The last part of the path of requests for images of another size.
const IMAGE: &str = "/_next/image";
/// The address of an image with a hash in its name, which such a request has as a parameter.
const HASHED_IMAGE: &str = r"^/([^?#]*/)?_next/static/[^?#]+\.(avif|gif|jpe?g|png|webp)$";
/// What browsers may do with an image that is not of the size that was asked for.
const HOUR: &str = "public, max-age=3600";
/// The variable that says that a request is for such a file of this service.
pub(crate) const VAR: &str = "core_files";

/// The folder of the files of a service's releases, whatever release it runs; `None` if it has no releases.
pub(crate) fn pool(spec: &ServiceSpec) -> Option<String> {
    let releases = format!("/.releases/{}/", spec.name);
    let of_release = |path: &str| Some(format!("{}{releases}pool", &path[..path.find(&releases)?]));
    spec.binaries.values().find_map(|binary| of_release(&binary.path))
}

/// A handler that serves these files, and passes on all other requests: those for what is not there as well.
pub(crate) fn hashed(spec: &ServiceSpec) -> Option<Value> {
    let pool = pool(spec)?;
    let plain = json!({
        "handler": "file_server",
        "root": pool,
        "index_names": [],
        "canonical_uris": false,
        "pass_thru": true,
    });
    let mut copies = plain.clone();
    copies["precompressed"] = json!({"br": {}, "zstd": {}, "gzip": {}});
    copies["precompressed_order"] = json!(["br", "zstd", "gzip"]);
    let part = json!({"header": {"Range": ["*"]}});
    let route = |server: Value, is_part: bool| {
        let mut is_asked = json!({
            "method": ["GET", "HEAD"],
            "path": [format!("*{HASHED}*")],
            "not": [{"path": BESIDE}],
        });
        if is_part {
            is_asked["header"] = part["header"].clone();
        } else if let Some(not) = is_asked["not"].as_array_mut() {
            not.push(part.clone());
        }
        let note = json!({"handler": "vars", VAR: spec.name.as_str()});
        json!({"match": [is_asked], "handle": [note, forever(), server, not_forever()]})
    };
    // A part of a compressed copy would be of no use to anyone. Few requests are for a part: the others come first, since each
    // path is compared anew for each route before the one that answers.
    Some(json!({"handler": "subroute", "routes": [route(copies, false), route(plain, true)]}))
}

/// A handler that asks the app for such files by `proxy`, and serves those of older releases where it has none: rules of the
/// app touch them, so its own are not the edge's. All other requests are passed on.
pub(crate) fn old(spec: &ServiceSpec, proxy: impl FnOnce() -> Value) -> Option<Value> {
    let old = format!("{}-old", pool(spec)?);
    let mut proxy = proxy();
    let server = json!({"handler": "file_server", "root": old, "index_names": [], "canonical_uris": false});
    proxy["handle_response"] = json!([{"match": {"status_code": [404]}, "routes": [
        {
            "match": [{
                "file": {"root": old, "try_files": ["{http.request.uri.path}"]},
                // The app answers for folders.
                "not": [{"path": ["*/"]}, {"path": BESIDE}],
            }],
            "handle": [forever(), server],
            "terminal": true,
        },
        {"handle": [{"handler": "copy_response"}]},
    ]}]);
    let is_asked = json!({"method": ["GET", "HEAD"], "path": [format!("*{HASHED}*")]});
    Some(json!({"handler": "subroute", "routes": [{"match": [is_asked], "handle": [proxy], "terminal": true}]}))
}

/// A handler that asks the app by `proxy` for images of another size, and serves the image as it is where the app has none:
/// it is of an older release, and the app reads images of its own release only. All other requests are passed on.
pub(crate) fn images(spec: &ServiceSpec, proxy: impl FnOnce() -> Value) -> Option<Value> {
    const ASKED: &str = "{http.request.uri.query.url}";
    let pool = pool(spec)?;
    let mut proxy = proxy();
    let route = |root: String| {
        json!({
            "match": [{"file": {"root": root, "try_files": [ASKED]}}],
            "handle": [
                {"handler": "rewrite", "uri": "{http.matchers.file.relative}"},
                kept_for(HOUR),
                {"handler": "file_server", "root": root, "index_names": [], "canonical_uris": false},
            ],
            "terminal": true,
        })
    };
    proxy["handle_response"] = json!([{"match": {"status_code": [404]}, "routes": [
        route(pool.clone()),
        route(format!("{pool}-old")),
        {"handle": [{"handler": "copy_response"}]},
    ]}]);
    let is_asked = json!({
        "method": ["GET", "HEAD"],
        "path": [format!("*{IMAGE}")],
        "vars_regexp": {ASKED: {"pattern": HASHED_IMAGE}},
    });
    Some(json!({"handler": "subroute", "routes": [{"match": [is_asked], "handle": [proxy], "terminal": true}]}))
}

fn forever() -> Value {
    kept_for(FOREVER)
}

fn kept_for(time: &str) -> Value {
    json!({"handler": "headers", "response": {"set": {"Cache-Control": [time]}}})
}

/// What was said of a file is not said of the app's own answer.
pub(crate) fn not_forever() -> Value {
    json!({"handler": "headers", "response": {"delete": ["Cache-Control", "Content-Type"]}})
}
