//! The stack of these tests: Caddy, as this repository has it, and a service behind it.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::load::{Load, Outcome, Shape};
use crate::common::{Stack, free_port, http, manifests, proc, until};
use crate::fixture;

/// How long a load lasts at least.
const LEAST: Duration = Duration::from_secs(3);

/// A stack with an edge.
pub(crate) struct Place {
    pub(crate) stack: Stack,
    /// Where the edge listens.
    pub(crate) address: String,
}

impl Place {
    /// With the manifest of `web`, and up.
    pub(crate) fn new(web: &Value) -> Self {
        Self::of(Stack::with_programs(), web)
    }

    /// The same in a stack that was prepared.
    pub(crate) fn of(stack: Stack, web: &Value) -> Self {
        let port = free_port();
        let mut caddy = manifests::whole("caddy");
        caddy["ports"]["http"]["port"] = json!(port);
        // The same program on every machine.
        caddy["binaries"][0]["sources"].as_array_mut().expect("sources").retain(|one| one["source"] != "path");
        stack.service("caddy", &caddy).service("web", web);
        stack.ok(&["up", "-d", "--timeout", "120"]);
        Self { stack, address: format!("127.0.0.1:{port}") }
    }

    /// Changes a manifest, and has that carried out.
    pub(crate) fn edit(&self, service: &str, change: impl FnOnce(&mut Value)) {
        self.stack.edit(service, change);
        self.stack.ok(&["apply"]);
    }

    /// What the first pointer of `web` names.
    pub(crate) fn pointer(&self) -> String {
        let run = self.stack.run_folder().expect("a run folder");
        fs::read_to_string(run.join("edge/web/0.addr")).expect("a pointer")
    }

    /// Edits a service, and waits until nothing is left of what ran before.
    pub(crate) fn replace(&self, service: &str, change: impl FnOnce(&mut Value)) {
        let before = self.stack.pids_of(service);
        self.edit(service, change);
        until("what ran before has ended", || !before.iter().any(|pid| proc::lives(*pid)));
    }

    /// What the edge answers to a GET of this path.
    pub(crate) fn get(&self, path: &str) -> Option<http::Answer> {
        http::get(&format!("http://{}{path}", self.address))
    }

    /// Asks without a pause, by connections that are kept and by new ones.
    pub(crate) fn load(&self) -> Loads {
        self.load_as(&[])
    }

    /// The same with these headers.
    pub(crate) fn load_as(&self, headers: &[(&str, &str)]) -> Loads {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Loads(vec![self.load_with(false, headers.clone()), self.load_with(true, headers)])
    }

    /// The same by one of the two.
    pub(crate) fn load_of(&self, fresh: bool) -> Load {
        self.load_with(fresh, Vec::new())
    }

    fn load_with(&self, fresh: bool, headers: Vec<(String, String)>) -> Load {
        Load::begin(Shape {
            address: self.address.clone(),
            asks: vec![(hyper::Method::GET, "/".into()), (hyper::Method::POST, "/".into())],
            clients: 5,
            rate: Some(50),
            fresh,
            headers,
            tls: None,
        })
    }
}

/// What asks at the same time.
pub(crate) struct Loads(pub(crate) Vec<Load>);

impl Loads {
    /// Ends them, and expects that nothing failed.
    #[track_caller]
    pub(crate) fn expect_none_lost(self) {
        // However fast what was tried went by, there was a load meanwhile and after it.
        until("it has lasted a while", || self.0.iter().all(|load| load.began.elapsed() > LEAST));
        for Outcome { samples, reopened } in self.0.into_iter().map(Load::end) {
            let failed: Vec<String> = samples
                .iter()
                .filter_map(|sample| Some(format!("{:?} {}: {}", sample.due, sample.method, sample.failure.as_ref()?)))
                .collect();
            println!("{} requests, {} failed, {reopened} idle connections closed", samples.len(), failed.len());
            assert!(samples.len() > 20, "{} requests are no load", samples.len());
            assert!(failed.is_empty(), "{failed:#?}");
        }
    }
}

/// A service that serves, with these words more, and these settings of its replacement.
pub(crate) fn serving(words: &[&str], update: Value) -> Value {
    let args = [&["fixture", "serve", "${port.http}"], words].concat();
    json!({
        "process": {"command": fixture::command(), "args": args, "compose": {
            "readiness_probe": {"http_get": {"port": "${port.http}"}, "period_seconds": 1},
        }},
        "ports": {"http": {"port": "auto"}},
        "route": {"port": "http"},
        "update": update,
    })
}
