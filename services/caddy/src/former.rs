//! Requests of pages that were opened before a deploy. They name the release that they are of, and find it as long as
//! its instances are kept; else the live one answers, and the framework loads the page anew.

use core_manifest::ServiceSpec;
use serde_json::{Value, json};

use crate::{FORMER, FORMER_POINTERS, former_pointer};

/// The header in which a page names its release.
const HEADER: &str = "X-Deployment-Id";
/// The parameter in which it names it for files.
const PARAMETER: &str = "dpl";
/// The variable that says that a request went to the replaced release of this service.
pub(crate) const VAR: &str = "core_former";

/// The pointers to instances of the replaced release.
pub(crate) fn upstreams(spec: &ServiceSpec, edge: &str) -> Vec<Value> {
    let pointer = |number| json!({"dial": format!("{{file.{edge}/{}/{}}}", spec.name, former_pointer(number))});
    (0..FORMER_POINTERS).map(pointer).collect()
}

/// A handler that sends requests to the replaced release that name it, by `proxy`, and passes on all others. Only they
/// pay for it: the file with its ID is read where a release is named.
pub(crate) fn handler(spec: &ServiceSpec, edge: &str, proxy: Value) -> Value {
    let is_named = json!([{"header": {HEADER: ["*"]}}, {"query": {PARAMETER: ["*"]}}]);
    let file = format!("{{file.{edge}/{}/{FORMER}}}", spec.name);
    let named_by = |place: String| json!({"vars": {place.clone(): [file]}, "not": [{"vars": {place: [""]}}]});
    let by_header = named_by(format!("{{http.request.header.{HEADER}}}"));
    let mut by_parameter = named_by(format!("{{http.request.uri.query.{PARAMETER}}}"));
    // The header outranks it.
    if let Some(not) = by_parameter["not"].as_array_mut() {
        not.push(json!({"header": {HEADER: ["*"]}}));
    }
    let note = json!({"handler": "vars", VAR: spec.name.as_str()});
    // A cache in front knows the answer by its address alone, and must not give it to those who name no release.
    let private = json!({"handler": "headers", "response": {
        "deferred": true, "set": {"Cache-Control": ["private, no-store"]},
    }});
    json!({"handler": "subroute", "routes": [{
        "match": is_named,
        "handle": [{"handler": "subroute", "routes": [
            {"match": [by_header], "handle": [note, private, proxy], "terminal": true},
            {"match": [by_parameter], "handle": [note, proxy], "terminal": true},
        ]}],
    }]})
}
