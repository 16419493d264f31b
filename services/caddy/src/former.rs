//! Requests of pages that were opened before a deploy. They name the release that they are of, and find it as long as
//! its instances are kept; else the live one answers, and the framework loads the page anew.

use core_manifest::ServiceSpec;
use serde_json::{Value, json};

use crate::{FORMER, FORMER_POINTERS, former_pointer};

/// The header in which a page names its release.
pub(crate) const HEADER: &str = "X-Deployment-Id";
/// The parameter in which it names it for files.
pub(crate) const PARAMETER: &str = "dpl";
/// The variable that says that a request went to the replaced release of this service.
pub(crate) const VAR: &str = "core_former";

/// The pointers to instances of the replaced release.
pub(crate) fn upstreams(spec: &ServiceSpec, edge: &str) -> Vec<Value> {
    let pointer = |number| json!({"dial": format!("{{file.{edge}/{}/{}}}", spec.name, former_pointer(number))});
    (0..FORMER_POINTERS).map(pointer).collect()
}

/// What requests look like that name a release.
pub(crate) struct Named {
    /// In the header.
    pub(crate) header: Value,
    /// In the parameter, and nowhere else.
    pub(crate) parameter: Value,
}

/// What requests look like that name this release.
pub(crate) fn named_by(release: &str) -> Named {
    let by = |place: String| json!({"vars": {place.clone(): [release]}, "not": [{"vars": {place: [""]}}]});
    let mut parameter = by(format!("{{http.request.uri.query.{PARAMETER}}}"));
    // The header outranks it.
    if let Some(not) = parameter["not"].as_array_mut() {
        not.push(json!({"header": {HEADER: ["*"]}}));
    }
    Named { header: by(format!("{{http.request.header.{HEADER}}}")), parameter }
}

/// A cache in front knows an answer by its address alone, and must not give it to those who are not meant.
pub(crate) fn private() -> Value {
    json!({"handler": "headers", "response": {"deferred": true, "set": {"Cache-Control": ["private, no-store"]}}})
}

/// A handler that sends requests to the replaced release that name it, by `proxy`, and passes on all others. Only they
/// pay for it: the file with its ID is read where a release is named.
pub(crate) fn handler(spec: &ServiceSpec, edge: &str, proxy: Value) -> Value {
    let is_named = json!([{"header": {HEADER: ["*"]}}, {"query": {PARAMETER: ["*"]}}]);
    let named = named_by(&format!("{{file.{edge}/{}/{FORMER}}}", spec.name));
    let note = json!({"handler": "vars", VAR: spec.name.as_str()});
    let private = private();
    json!({"handler": "subroute", "routes": [{
        "match": is_named,
        "handle": [{"handler": "subroute", "routes": [
            {"match": [named.header], "handle": [note, private, proxy], "terminal": true},
            {"match": [named.parameter], "handle": [note, proxy], "terminal": true},
        ]}],
    }]})
}
