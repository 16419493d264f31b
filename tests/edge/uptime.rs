//! Checks of each service from inside, through the edge: what of the last day is kept.

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, proc, until};
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] = tests![each_service_is_asked_and_what_it_answered_is_kept];

/// What `core top` knows of the day of a service.
fn day(stack: &Stack, service: &str) -> Value {
    let said = stack.ok(&["top", "--json"]).out;
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    shown["services"][service]["uptime"].clone()
}

fn each_service_is_asked_and_what_it_answered_is_kept() {
    let place = Place::new(&serving(&[], json!({})));
    let stack = &place.stack;
    let mut ill = serving(&[], json!({}));
    ill["route"]["paths"] = json!(["/ill"]);
    // It is ready, and answers everybody else with an error.
    ill["process"]["args"] = json!(["fixture", "serve", "${port.http}", "--is-ill"]);
    ill["process"]["compose"]["readiness_probe"] = json!({"tcp": {"port": "${port.http}"}});
    stack.service("ill", &ill);
    stack.ok(&["apply"]);
    let first = eventually("both were asked", || {
        let (web, ill) = (day(stack, "web"), day(stack, "ill"));
        (web["checks"].as_u64()? > 0 && ill["checks"].as_u64()? > 0).then_some((web, ill))
    });
    assert!(first.0["percent"] == 100.0 && first.0["p50_ms"].as_f64() > Some(0.0), "{first:?}");
    assert!(first.1["percent"] == 0.0 && first.1["failed_at"].is_string(), "{first:?}");
    // Nobody else has asked anything.
    let said = stack.ok(&["top", "--json"]).out;
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(shown["total"]["requests"], 0, "{shown}");
    assert_eq!(stack.core(&["logs", "--access", "-n", "all"]).out, "");
    let line = stack.ok(&["top", "--once"]).out;
    assert!(line.contains("UP 24H") && line.contains("100%") && line.contains("0.00%"), "{line}");
    // It outlives who has asked.
    let supervisor = stack.supervisor();
    proc::kill(supervisor);
    until("another one asks", || {
        !proc::lives(supervisor) && day(stack, "web")["checks"].as_u64() > first.0["checks"].as_u64()
    });
    // Whoever is stopped is not down.
    stack.ok(&["stop", "ill"]);
    let (before, web) = (day(stack, "ill"), day(stack, "web"));
    until("the others are asked on", || day(stack, "web")["checks"].as_u64() > web["checks"].as_u64());
    assert_eq!(day(stack, "ill"), before);
}
