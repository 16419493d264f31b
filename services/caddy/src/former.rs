//! Requests of pages that were opened before a deploy. They name the release that they are of, and find it as long as
//! its instances are kept; else the live one answers, and the framework loads the page anew.

use core_manifest::ServiceSpec;
use serde_json::{Value, json};

use crate::pointer::placeholder;
use crate::{FORMER, FORMER_POINTERS, former_pointer};

/// The header in which a page names its release.
pub(crate) const HEADER: &str = "X-Deployment-Id";
/// The parameter in which it names it for files.
pub(crate) const PARAMETER: &str = "dpl";
/// The variable that says that a request went to the replaced release of this service.
pub(crate) const VAR: &str = "core_former";

/// The pointers to instances of the replaced release.
pub(crate) fn upstreams(spec: &ServiceSpec, edge: &str) -> Vec<Value> {
    let pointer = |number| json!({"dial": placeholder(edge, spec, &former_pointer(number))});
    (0..FORMER_POINTERS).map(pointer).collect()
}

/// What requests look like that name a release.
pub(crate) struct Named {
    /// In the header.
    pub(crate) header: Value,
    /// In the parameter, and nowhere else.
    pub(crate) parameter: Value,
    /// In the cookie alone, where the service wants one.
    pub(crate) cookie: Option<Value>,
}

/// What requests look like that name any release, rightly or not.
pub(crate) fn any(spec: &ServiceSpec) -> Value {
    let mut all = vec![json!({"header": {HEADER: ["*"]}}), json!({"query": {PARAMETER: ["*"]}})];
    all.extend(
        spec.release_cookie().map(|name| json!({"header": {"Cookie": [format!("*{name}=*")]}, "not": is_navigation()})),
    );
    json!(all)
}

/// What requests look like that open a page. A cookie binds none of them: a browser sends it with each one, and then
/// neither a reload nor a link would reach the live release while the replaced one is kept. Browsers say it in
/// `Sec-Fetch-Mode` (Fetch Metadata), but not where the address is neither secure nor of this host.
fn is_navigation() -> Value {
    json!([{"header": {"Sec-Fetch-Mode": ["navigate"]}}, {"header": {"Accept": ["*text/html*"]}}])
}

/// What requests look like that name this release.
pub(crate) fn named_by(spec: &ServiceSpec, release: &str) -> Named {
    let by = |place: String| json!({"vars": {place.clone(): [release]}, "not": [{"vars": {place: [""]}}]});
    let mut parameter = by(format!("{{http.request.uri.query.{PARAMETER}}}"));
    // The header outranks it.
    if let Some(not) = parameter["not"].as_array_mut() {
        not.push(json!({"header": {HEADER: ["*"]}}));
    }
    let cookie = spec.release_cookie().map(|name| {
        let mut cookie = by(format!("{{http.request.cookie.{name}}}"));
        if let Some(not) = cookie["not"].as_array_mut() {
            not.extend([json!({"header": {HEADER: ["*"]}}), json!({"query": {PARAMETER: ["*"]}})]);
            not.extend(is_navigation().as_array().into_iter().flatten().cloned());
        }
        cookie
    });
    Named { header: by(format!("{{http.request.header.{HEADER}}}")), parameter, cookie }
}

impl Named {
    /// Sends these requests there, by `proxy`.
    pub(crate) fn routes(self, spec: &ServiceSpec, proxy: &Value) -> Vec<Value> {
        let note = json!({"handler": "vars", VAR: spec.name.as_str()});
        let private = private();
        let mut routes = vec![
            json!({"match": [self.header], "handle": [note, private, proxy], "terminal": true}),
            json!({"match": [self.parameter], "handle": [note, proxy], "terminal": true}),
        ];
        routes.extend(
            self.cookie.map(|cookie| json!({"match": [cookie], "handle": [note, private, proxy], "terminal": true})),
        );
        routes
    }
}

/// A cache in front knows an answer by its address alone, and must not give it to those who are not meant.
pub(crate) fn private() -> Value {
    json!({"handler": "headers", "response": {"deferred": true, "set": {"Cache-Control": ["private, no-store"]}}})
}

/// A handler that sends requests to the replaced release that name it, by `proxy`, and passes on all others. Only they
/// pay for it: the file with its ID is read where a release is named.
pub(crate) fn handler(spec: &ServiceSpec, edge: &str, proxy: Value) -> Value {
    let named = named_by(spec, &placeholder(edge, spec, FORMER));
    json!({"handler": "subroute", "routes": [{
        "match": any(spec),
        "handle": [{"handler": "subroute", "routes": named.routes(spec, &proxy)}],
    }]})
}

#[cfg(test)]
mod tests {
    use core_manifest::ServiceName;

    use super::*;

    #[test]
    fn a_cookie_counts_where_it_is_wanted_and_nothing_else_names_a_release() {
        let mut spec = ServiceSpec::bare(ServiceName::new("web").unwrap(), "node");
        assert!(named_by(&spec, "{file.x}").cookie.is_none());
        assert_eq!(any(&spec).as_array().map(Vec::len), Some(2));
        spec.skew_cookie = true;
        let cookie = named_by(&spec, "{file.x}").cookie.unwrap();
        assert_eq!(cookie["vars"], json!({"{http.request.cookie.core_release_web}": ["{file.x}"]}));
        let not = [
            json!({"vars": {"{http.request.cookie.core_release_web}": [""]}}),
            json!({"header": {"X-Deployment-Id": ["*"]}}),
            json!({"query": {"dpl": ["*"]}}),
            json!({"header": {"Sec-Fetch-Mode": ["navigate"]}}),
            json!({"header": {"Accept": ["*text/html*"]}}),
        ];
        assert_eq!(cookie["not"], json!(not));
        let routes = named_by(&spec, "{file.x}").routes(&spec, &json!({"to": "it"}));
        assert_eq!(routes.len(), 3);
        assert_eq!(routes[2]["handle"][1], private(), "a cache in front does not know of the cookie");
    }
}
