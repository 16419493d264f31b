//! A new version takes over only when the edge reaches it.

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::until;
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] =
    tests![what_the_edge_does_not_reach_is_put_back, without_an_edge_a_swap_is_carried_out];

fn what_the_edge_does_not_reach_is_put_back() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3})));
    let before = place.get("/").expect("an answer").1;
    // Good to whoever asks directly, as its probe does.
    let words = |words: &[&str]| json!([&["fixture", "serve", "${port.http}"], words].concat());
    let path = "services/web/service.json";
    let mut manifest = serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3}));
    manifest["process"]["args"] = words(&["--not-through-an-edge"]);
    place.stack.write(path, &manifest.to_string());
    let said = place.stack.core(&["apply"]);
    assert_ne!(said.code, 0, "{}{}", said.out, said.err);
    let status = place.stack.core(&["status"]).out;
    assert!(status.contains("the edge does not reach"), "{status}");
    until("the old one serves again", || place.get("/").is_some_and(|(_, body)| body == before));
    // Corrected, it is carried out.
    place.replace("web", |manifest| manifest["process"]["args"] = words(&["--mended"]));
    assert_ne!(place.get("/").expect("an answer").1, before);
}

fn without_an_edge_a_swap_is_carried_out() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3})));
    place.stack.ok(&["stop", "caddy"]);
    place.replace("web", |manifest| manifest["process"]["env"] = json!({"EDIT": "1"}));
    place.stack.ok(&["start", "caddy"]);
    assert_eq!(place.get("/").expect("an answer").0, 200);
}
