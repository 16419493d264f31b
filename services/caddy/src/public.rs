//! Files of `public/` that no rule of the app touches: the edge serves those of the live release, and says of them what
//! Next.js says. Which release that is, it reads from a file beside the pointers. Everything else is passed on to the app: what
//! is not there, another spelling of a path, and what the two would answer in different ways.

use core_manifest::ServiceSpec;
use serde_json::{Value, json};

use crate::files;
use crate::pointer::placeholder;

/// File name of the ID of the release whose files are served, beside the pointers; it is empty while there is none.
pub const PUBLIC_OF: &str = "public";
/// The variable that has it.
const VAR: &str = "core_public";
/// What Next.js says of each file: browsers ask whether it has changed.
const EACH_TIME: &str = "public, max-age=0";
/// Ending of the name of what lies beside a file: its etag.
pub const ETAG: &str = ".etag";

/// The types of files by their endings, as Next.js 14.2 to 16.4 has them (`send` with `mime` 1.6). Others are the app's.
const TYPES: [(&str, &str); 62] = [
    ("aac", "audio/x-aac"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("css", "text/css; charset=UTF-8"),
    ("csv", "text/csv; charset=UTF-8"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/x-flac"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("heic", "image/heic"),
    ("htm", "text/html; charset=UTF-8"),
    ("html", "text/html; charset=UTF-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=UTF-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "application/javascript; charset=UTF-8"),
    ("json", "application/json; charset=UTF-8"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/x-m4v"),
    ("map", "application/json; charset=UTF-8"),
    ("md", "text/markdown; charset=UTF-8"),
    ("mjs", "application/javascript; charset=UTF-8"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rss", "application/rss+xml"),
    ("svg", "image/svg+xml"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=UTF-8"),
    ("vtt", "text/vtt; charset=UTF-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("yaml", "text/yaml; charset=UTF-8"),
    ("yml", "text/yaml; charset=UTF-8"),
    ("zip", "application/zip"),
];

/// A part of such a path, without a dot at its beginning.
const PART: &str = "[A-Za-z0-9_~@-][A-Za-z0-9._~@-]*";

/// Whether the edge knows what to say of a file with this name.
pub fn has_type(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| TYPES.iter().any(|(known, _)| *known == ending))
}

/// What a request looks like that names such a file, letter by letter: no `//`, no `..`, nothing encoded, no slash at the end.
fn literal() -> String {
    let endings = TYPES.map(|(ending, _)| ending).join("|");
    // Next.js has no file whose own name begins with a dot.
    format!(r"^(?:/\.?{PART})*/{PART}\.(?:{endings})(?:\?|$)")
}

/// Requests that Caddy and Next.js understand in different ways, or that the router of a browser makes.
fn apart() -> Value {
    let part = r"^bytes=(?:[0-9]+-[0-9]*|-[0-9]+)$";
    let with = |name: &str| json!({"header": {name: ["*"]}});
    let fresh = |name: &str| json!({"header": {"Cache-Control": ["*no-cache*"], name: ["*"]}});
    json!([
        with("Rsc"),
        with("If-Range"),
        with("If-Match"),
        with("If-Unmodified-Since"),
        fresh("If-None-Match"),
        fresh("If-Modified-Since"),
        {"header": {"Range": ["*"]}, "not": [{"header_regexp": {"Range": {"pattern": part}}}]},
    ])
}

/// A handler that serves these files of the release that a file beside the pointers names, and passes on all other requests.
/// Nothing is read for a request that names no file.
pub(crate) fn handler(spec: &ServiceSpec, edge: &str, pointer: &str) -> Option<Value> {
    let pool = files::pool(spec)?;
    let releases = pool.strip_suffix("pool")?;
    let root = format!("{releases}public/{{http.vars.{VAR}}}");
    let mut plain = json!({
        "handler": "file_server",
        "root": root,
        "index_names": [],
        "canonical_uris": false,
        "etag_file_extensions": [ETAG],
    });
    let part = json!({"match": [{"header": {"Range": ["*"]}}], "handle": [plain], "terminal": true});
    plain["precompressed"] = json!({"br": {}, "zstd": {}, "gzip": {}});
    plain["precompressed_order"] = json!(["br", "zstd", "gzip"]);
    let mapping = |(ending, is): &(&str, &str)| json!({"input": format!(".{ending}"), "outputs": [is]});
    let mappings: Vec<Value> = TYPES.iter().map(mapping).collect();
    let release = placeholder(edge, spec, pointer);
    let is_there = json!({
        "not": [{"vars": {VAR: [""]}}],
        "file": {"root": root, "try_files": ["{http.request.uri.path}"]},
    });
    let serve = json!([
        {"handler": "vars", files::VAR: spec.name.as_str()},
        {
            "handler": "map",
            "source": "{http.request.uri.path.file.ext}",
            "destinations": ["{core_type}"],
            "mappings": mappings,
        },
        {"handler": "headers", "response": {
            "set": {"Cache-Control": [EACH_TIME], "Content-Type": ["{core_type}"]},
        }},
        // Whether a plain one could have been compressed is said around this.
        {"handler": "headers", "response": {
            "deferred": true,
            "require": {"headers": {"Content-Encoding": null}},
            "delete": ["Vary"],
        }},
        // A part of a compressed copy would be of no use to anyone.
        {"handler": "subroute", "routes": [part, {"handle": [plain], "terminal": true}]},
    ]);
    Some(json!({"handler": "subroute", "routes": [{
        "match": [{
            "method": ["GET", "HEAD"],
            "vars_regexp": {"{http.request.uri}": {"pattern": literal()}},
            "not": apart(),
        }],
        "handle": [
            {"handler": "vars", VAR: release},
            {"handler": "subroute", "routes": [{"match": [is_there], "handle": serve, "terminal": true}]},
        ],
    }]}))
}

#[cfg(test)]
mod tests {
    use core_manifest::Identifier;
    use core_manifest::ServiceName;
    use core_manifest::spec::BinaryRef;
    use fancy_regex::Regex;

    use super::*;

    #[test]
    fn only_a_literal_path_is_the_edges() {
        let literal = Regex::new(&literal()).unwrap();
        for good in ["/a.txt", "/a.txt?b=/../c", "/.well-known/a.json", "/x/@2x/logo~1.min.js", "/a..b.png"] {
            assert!(literal.is_match(good).unwrap(), "{good}");
        }
        let bad = [
            "/",
            "/a",
            "/a.TXT",
            "/a.txt/",
            "//a.txt",
            "/x//a.txt",
            "/../a.txt",
            "/./a.txt",
            "/x/../a.txt",
            "/%61.txt",
            "/x%2Fa.txt",
            "/a.txt%00",
            "/a.txt.br",
            "/a.js.etag",
            "/a.part",
            "/.txt",
            "/x/.a.txt",
            "a.txt",
            "*",
            "/a b.txt",
            "/ü.txt",
            "/page?file=/a.txt",
            "/a.txt;b",
            "\\a.txt",
        ];
        for bad in bad {
            assert!(!literal.is_match(bad).unwrap(), "{bad}");
        }
    }

    #[test]
    fn what_lies_beside_a_file_has_no_type() {
        assert!(has_type("a.js") && has_type("a.min.svg"));
        for name in ["a", "js", "a.br", "a.js.gz", "a.js.zst", "a.etag", "a.part", "a.JS"] {
            assert!(!has_type(name), "{name}");
        }
    }

    #[test]
    fn a_service_without_releases_has_none() {
        let mut spec = ServiceSpec::bare(ServiceName::new("web").unwrap(), "node");
        assert!(handler(&spec, "/edge", PUBLIC_OF).is_none());
        let path = "/stack/.releases/web/2026-x/app".into();
        let app = BinaryRef { folder: None, path, version: String::new(), source: "next-build".into() };
        spec.binaries.insert(Identifier::new("app").unwrap(), app);
        let text = handler(&spec, "/edge", PUBLIC_OF).unwrap().to_string();
        assert!(text.contains("/stack/.releases/web/public/{http.vars.core_public}"), "{text}");
        assert!(text.contains("{file./edge/web/public}"), "{text}");
    }
}
