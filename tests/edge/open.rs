//! What is open when a service is swapped goes on to its end.

use std::thread::JoinHandle;

use serde_json::json;

use crate::common::http::slowly;
use crate::common::trials::{Test, tests};
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] = tests![what_is_open_at_a_swap_comes_to_its_end];

/// How long each of them takes, in steps of a tenth of a second.
const STEPS: usize = 40;

fn what_is_open_at_a_swap_comes_to_its_end() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3, "drain_seconds": 60})));
    let before = place.get("/").expect("an answer").1;
    let millis = 100 * STEPS;
    let slow = slowly(&place.address, format!("GET /slow/{millis} HTTP/1.0\r\n\r\n"), Vec::new());
    let stream = slowly(&place.address, format!("GET /stream/{STEPS} HTTP/1.0\r\n\r\n"), Vec::new());
    let head = format!("POST /upload HTTP/1.0\r\nContent-Length: {STEPS}000\r\n\r\n");
    let upload = slowly(&place.address, head, vec![vec![b'x'; 1000]; STEPS]);
    let head = "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let socket =
        slowly(&place.address, head.into(), (0..STEPS).map(|step| format!("{step:03}\n").into_bytes()).collect());
    place.edit("web", |manifest| manifest["process"]["env"] = json!({"EDIT": "1"}));
    let now = place.get("/").expect("an answer").1;
    assert_ne!(now, before, "another one serves");
    let whole = |answer: JoinHandle<String>| answer.join().expect("no panic");
    assert!(whole(slow).ends_with(&before), "the slow answer is whole, and from the one that was asked");
    assert_eq!(whole(stream).matches("data: ").count(), STEPS);
    assert!(whole(upload).ends_with(&format!("{STEPS}000\n")));
    let echoed = whole(socket);
    assert!((0..STEPS).all(|step| echoed.contains(&format!("{step:03}\n"))), "{echoed}");
}
