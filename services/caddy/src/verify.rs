//! The server that core asks about pointers.

use core_engine::action::pointers;
use core_engine::driver::Surroundings;
use serde_json::{Value, json};

use crate::pointer::{placeholder, served};
use crate::{REACHED, VERIFY, maintenance, pointer, verify_path};

/// A server only for core, which requests each pointer through it: can the edge reach the instance that it names?
pub(crate) fn server(around: Surroundings<'_>) -> Value {
    let mut routes = Vec::new();
    for spec in served(around).filter(|spec| spec.route.is_some()) {
        for number in 0..pointers(spec.replicas) {
            let path = verify_path(spec.name.as_str(), number);
            routes.push(json!({
                "match": [{"path": [format!("{path}/*")]}],
                "handle": [
                    {"handler": "rewrite", "strip_path_prefix": path},
                    {
                        "handler": "reverse_proxy",
                        "upstreams": [{"dial": placeholder(around.edge, spec, &pointer(number))}],
                        // No connection is kept open: connections are counted before an instance is asked to stop.
                        "transport": {"protocol": "http", "keep_alive": {"enabled": false}},
                        "headers": {"response": {"set": {REACHED: ["{http.reverse_proxy.upstream.hostport}"]}}},
                    },
                ],
                "terminal": true,
            }));
        }
    }
    // For requests that are held: they go on once this is reached.
    routes.push(json!({
        "match": [{"path": [maintenance::OPEN]}],
        "handle": [{"handler": "static_response", "status_code": 204}],
    }));
    json!({
        "listen": [format!("unix/@RUN@/{VERIFY}|0600")],
        "automatic_https": {"disable": true},
        "protocols": ["h1"],
        "routes": routes,
    })
}
