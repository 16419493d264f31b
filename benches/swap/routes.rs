//! Other routes, in two ways: as core changes them, by a Caddy beside the old one on the held socket; and by Caddy's own
//! `POST /load`, which ends the connections that are idle.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::figures::Figures;
use crate::place::{Place, rest};
use crate::rows::Both;
use crate::settings::Settings;

const CHANGES: u64 = 10;

/// Each as often as the other.
pub(crate) fn take(_settings: &Settings, place: &Place, figures: &mut Figures) {
    place.settle();
    let load = Both::begin(&place.address());
    rest();
    let mut windows = Vec::new();
    for number in 0..CHANGES {
        let paths = json!(["/", format!("/path-{number}")]);
        windows.push(place.replace_other(&load.0, "web", "caddy", |manifest| manifest["route"]["paths"] = paths));
        rest();
    }
    figures.note("other routes by a swap of Caddy, 200 rps", &load.end(), &windows, &format!("{CHANGES} changes"));
    place.settle();
    let socket = place.demo.stack.run_of("caddy").join("admin.sock");
    let load = Both::begin(&place.address());
    rest();
    let mut windows = Vec::new();
    for number in 0..CHANGES {
        let mut config: Value = serde_json::from_str(&ask(&socket, "GET", "/config/", "")).expect("JSON");
        let routes = config.pointer_mut("/apps/http/servers/edge/routes/1/match/0/path/0");
        routes.map(|path| *path = json!(format!("/other-{number}"))).expect("a path");
        let from = load.0.began.elapsed();
        ask(&socket, "POST", "/load", &config.to_string());
        windows.push((from, load.0.began.elapsed() + std::time::Duration::from_secs(1)));
        rest();
    }
    figures.note("other routes by POST /load, 200 rps", &load.end(), &windows, &format!("{CHANGES} changes"));
}

/// What the admin API answers.
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the admin API");
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json");
    write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains(" 200 OK"), "{answer}");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}
