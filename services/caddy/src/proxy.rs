//! Requests that are sent on to the instances of a service.

use core_engine::action::pointers;
use core_manifest::{ServiceSpec, UNBELIEVED};
use serde_json::{Value, json};

use crate::pointer::placeholder;
use crate::{Wiring, pointer};

/// A proxy to the instances of a service.
pub(crate) fn proxy(spec: &ServiceSpec, edge: &str, wiring: Wiring<'_>) -> Value {
    let upstreams: Vec<Value> = match wiring {
        Wiring::Held => (0..pointers(spec.replicas))
            .map(|number| json!({"dial": placeholder(edge, spec, &pointer(number))}))
            .collect(),
        Wiring::Direct(addresses) => {
            addresses.get(&spec.name).into_iter().flatten().map(|address| json!({"dial": address})).collect()
        }
    };
    patient(transport(upstreams))
}

/// Requests that are safe to repeat are retried while nothing answers.
pub(crate) fn patient(mut proxy: Value) -> Value {
    proxy["load_balancing"] = json!({"try_duration": "5s", "try_interval": "100ms"});
    proxy
}

/// A proxy to these upstreams, which tries one of them once.
pub(crate) fn transport(upstreams: Vec<Value>) -> Value {
    json!({
        "handler": "reverse_proxy",
        "upstreams": upstreams,
        // No compression between Caddy and the app: Caddy would have to undo it, at thirteen times the cost.
        "transport": {
            "protocol": "http",
            "compression": false,
            "dial_timeout": "2s",
            "keep_alive": {"idle_timeout": "2s"},
        },
        // An app that trusted these headers would trust any client.
        "headers": {"request": {"delete": UNBELIEVED}},
        "stream_close_delay": "5m",
        "flush_interval": -1,
    })
}
