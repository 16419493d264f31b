//! What the driver of a kind is told.

use crate::faults;

faults! {
    config_of_no_kind: "services/web/service.json" =>
        r#"{"process": {"command": "sleep"}, "config": {"topology": "single-node"}}"#;
    config_of_another_kind:
        "services/caddy/service.json" =>
            r#"{"kind": "caddy", "process": {"command": "sleep"}, "config": {"topology": "single-node"},
                "ports": {"http": {"port": 8080, "hold": true}}}"#;
    config_proxy_that_is_none:
        "services/caddy/service.json" =>
            r#"{"kind": "caddy", "process": {"command": "sleep"}, "config": {"trusted_proxies": ["proxy.example"]},
                "ports": {"http": {"port": 8080}}}"#;
    config_unknown_topology: "services/nats/service.json" =>
        r#"{"kind": "nats", "process": {"command": "sleep"}, "ports": {"client": {"port": 4222}},
            "config": {"topology": "hub-spokes"}}"#;
    config_without_the_profile: "services/nats/service.json" =>
        r#"{"kind": "nats", "process": {"command": "sleep"}, "ports": {"client": {"port": 4222}},
            "config": {"topology": "hub-spoke", "deployment": {"production": {"nodes": 3}}}}"#;
    config_too_few_servers: "services/nats/service.json" =>
        r#"{"kind": "nats", "process": {"command": "sleep"}, "ports": {"client": {"port": 4222}},
            "config": {"topology": "hub-spoke", "deployment": {"local": {"nodes": 2, "min_hub_nodes": 3}}}}"#;
    config_region_twice: "services/nats/service.json" =>
        r#"{"kind": "nats", "process": {"command": "sleep"}, "ports": {"client": {"port": 4222}},
            "config": {"topology": "hub-spoke", "deployment": {"local": {"leaf_regions": ["nrt", "nrt"]}}}}"#;
    config_server_of_a_name_that_is_taken:
        "services/nats/service.json" =>
            r#"{"kind": "nats", "process": {"command": "sleep"}, "ports": {"client": {"port": 4222}},
                "config": {"topology": "hub-spoke", "deployment": {"local": {"leaf_regions": ["nrt"]}}}}"#,
        "services/nats-leaf-nrt/service.json" => crate::GOOD;
    config_without_a_port: "services/nats/service.json" =>
        r#"{"kind": "nats", "process": {"command": "sleep"}, "ports": {"client": {"port": 4222}},
            "config": {"topology": "hub-spoke", "deployment": {"local": {}}}}"#;
    config_and_replicas: "services/nats/service.json" =>
        r#"{"kind": "nats", "process": {"command": "sleep", "compose": {"replicas": 2}},
            "ports": {"client": {"port": "auto"}, "monitor": {"port": "auto"}},
            "config": {"topology": "hub-spoke", "deployment": {"local": {}}}}"#;
}

// The shortest manifests: what is left out is the driver's.
faults! {
    shortest_without_an_app: "services/web/service.json" => r#"{"kind": "next"}"#;
    shortest_with_several_apps:
        "services/web/service.json" => r#"{"kind": "next"}"#,
        "apps/one/package.json" => r#"{"dependencies": {"next": "16.4.0"}}"#,
        "apps/two/package.json" => r#"{"devDependencies": {"next": "16.4.0"}}"#,
        "apps/docs/package.json" => r#"{"dependencies": {"react": "19.0.0"}}"#;
    shortest_with_a_port_of_another_type:
        "services/caddy/service.json" => r#"{"kind": "caddy", "ports": {"http": {"port": "eighty"}}}"#;
}

/// Everything that a driver filled in says so.
#[test]
fn the_shortest_manifests_are_whole() {
    let stack = crate::Stack::new();
    for kind in ["caddy", "nats", "pocketbase"] {
        stack.write(&format!("services/{kind}/service.json"), &format!(r#"{{"kind": "{kind}"}}"#));
    }
    let explained = stack.ok(&["nats", "spec", "--explain"]).out;
    assert!(explained.contains("kind = \"nats\"  services/nats/service.json:1"), "{explained}");
    assert!(explained.contains("ports.client.port = 4222  kind nats"), "{explained}");
    stack.write(
        "manifests/production.json",
        r#"{"services": {"caddy": {"ports": {"http": {"port": 80}}},
        "nats": {"process": {"compose": {"readiness_probe": null}}}}}"#,
    );
    let explained = stack.ok(&["--profile", "production", "caddy", "spec", "--explain"]).out;
    assert!(explained.contains("ports.http.port = 80  manifests/production.json:1"), "{explained}");
    assert!(explained.contains("ports.http.hold = true  kind caddy"), "{explained}");
    let spec = stack.ok(&["--profile", "production", "nats", "spec"]).out;
    assert!(spec.contains("\"readiness\": null") || !spec.contains("\"readiness\""), "{spec}");
}
