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
