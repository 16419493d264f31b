//! `core graph`: a stack of six services in three formats, at rest and while it runs.

use serde_json::json;

use crate::common::{Stack, free_port, same};
use crate::{expect_fits, told};

/// An edge, two routes, a chain with a fork that joins again, and one that stands alone.
fn six() -> Stack {
    let stack = Stack::new();
    let sleep = |compose: serde_json::Value| json!({"command": "sleep", "args": ["1000"], "compose": compose});
    let port = free_port();
    stack.service(
        "caddy",
        &json!({"kind": "caddy", "process": sleep(json!({})), "ports": {"http": {"port": port, "hold": true}}}),
    );
    stack.service(
        "web",
        &json!({
            "process": sleep(json!({"replicas": 2, "depends_on": {
                "api": {"condition": "process_healthy"}, "db": {}}})),
            "ports": {"http": {"port": "auto"}},
            "route": {"port": "http"},
        }),
    );
    let ready = json!({"exec": {"command": "true"}});
    stack.service(
        "api",
        &json!({
            "process": sleep(json!({"readiness_probe": ready, "depends_on": {
                "db": {"condition": "process_healthy"},
                "migrate": {"condition": "process_completed_successfully"}}})),
            "ports": {"http": {"port": "auto"}},
            "route": {"port": "http", "hosts": ["api.localhost"], "paths": ["/v1", "/v2"]},
        }),
    );
    stack.service(
        "migrate",
        &json!({"process": {"command": "true", "compose": {"depends_on": {"db": {"condition": "process_healthy"}}}}}),
    );
    stack.service("db", &json!({"process": sleep(json!({"readiness_probe": ready}))}));
    stack.service("night-shift", &json!({"process": sleep(json!({"disabled": true}))}));
    stack
}

#[test]
fn three_formats_of_what_the_manifests_say() {
    let stack = six();
    let text = told(&stack, &["graph"], 80);
    expect_fits(&text, 80);
    same!("graph-text", text);
    same!("graph-mermaid", told(&stack, &["graph", "--format", "mermaid"], 80));
    same!("graph-dot", told(&stack, &["graph", "--format", "dot"], 80));
}

#[test]
fn phases_stand_beside_what_runs() {
    let stack = six();
    stack.up();
    stack.until_ready();
    same!("graph-text-running", told(&stack, &["graph"], 80));
    same!("graph-mermaid-running", told(&stack, &["graph", "--format", "mermaid"], 80));
    // An edit that was not applied is no part of what runs.
    stack.shell("late", "sleep 1000", json!({}));
    assert!(!told(&stack, &["graph"], 80).contains("late"));
    stack.ok(&["apply"]);
    assert!(told(&stack, &["graph"], 80).contains("late"));
}

#[test]
fn a_broken_manifest_has_no_graph() {
    let stack = Stack::new();
    stack.write("services/web/service.json", "{");
    assert_eq!(stack.core(&["graph"]).code, 2);
}
