//! What is open at a swap of the real app: an answer that takes 5 s, a stream of events, and an upload.

use std::time::Instant;

use serde_json::json;

use crate::common::http::slowly;
use crate::common::{eventually, proc};
use crate::figures::Figures;
use crate::place::Place;
use crate::settings::Settings;

/// Events of the app's stream, a quarter of a second apart.
const EVENTS: usize = 20;
/// Parts of an upload, a tenth of a second apart.
const PARTS: usize = 50;

/// Each is begun, and while all are open the app is replaced.
pub(crate) fn take(_settings: &Settings, place: &Place, figures: &mut Figures) {
    place.settle();
    let stack = &place.demo.stack;
    // Another program gets all requests at once, so that what is tried takes no longer than what is open.
    stack.edit("web", |manifest| manifest["update"]["ramp_seconds"] = json!(0));
    stack.ok(&["apply"]);
    let before = stack.pids_of("web");
    let began = Instant::now();
    let get = |path: &str| slowly(&place.address(), format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n"), Vec::new());
    let (slow, stream) = (get("/api/bench/slow"), get("/api/bench/stream"));
    let head = format!("POST /api/bench/upload HTTP/1.0\r\nHost: x\r\nContent-Length: {PARTS}000\r\n\r\n");
    let upload = slowly(&place.address(), head, vec![vec![b'x'; 1000]; PARTS]);
    stack.edit("web", |manifest| manifest["process"]["env"]["EDIT"] = json!("open"));
    eventually("another one runs", || stack.pids_of("web").into_iter().find(|pid| !before.contains(pid)));
    let (slow, stream, upload) = (slow.join(), stream.join(), upload.join());
    let took = began.elapsed();
    let is_there = before.iter().all(|pid| proc::lives(*pid));
    assert!(slow.expect("no panic").ends_with("slow\n"), "the slow answer is whole");
    let stream = stream.expect("no panic");
    assert_eq!(stream.matches("data: ").count(), EVENTS, "{stream}");
    assert!(upload.expect("no panic").ends_with(&format!("{PARTS}000\n")), "the upload is whole");
    let note = if is_there { "the old one was there for them" } else { "the old one is gone" };
    figures.line("an answer of 5 s, 20 events and an upload that were open at a swap: all whole after", took, note);
}
