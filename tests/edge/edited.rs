//! Edits under load: a swap, a scale, another path, another Caddy. A client that never tries twice loses nothing.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{eventually, proc, until};
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] = tests![
    no_request_is_lost_by_swaps,
    no_request_is_lost_by_scaling,
    what_is_on_trial_yields_the_processor,
    no_request_is_lost_when_routes_change,
    a_killed_caddy_refuses_nobody,
    a_caddy_that_lost_its_configuration_gets_it_back,
];

fn no_request_is_lost_by_swaps() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3})));
    let load = place.load();
    for number in 0..5 {
        place.replace("web", |manifest| manifest["process"]["env"] = json!({"EDIT": number.to_string()}));
    }
    load.expect_none_lost();
}

fn no_request_is_lost_by_scaling() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3})));
    let load = place.load();
    for replicas in [2, 5, 1] {
        place.edit("web", |manifest| manifest["process"]["compose"]["replicas"] = json!(replicas));
        until("so many are there", || place.stack.pids_of("web").len() == replicas);
    }
    load.expect_none_lost();
}

fn what_is_on_trial_yields_the_processor() {
    let nice = |pid: u32| -> Option<i32> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/autogroup")).ok()?;
        text.rsplit(' ').next()?.trim().parse().ok()
    };
    // Where the kernel does not share by sessions, nobody can yield. What the file says is about an instance only: it
    // is empty for whoever is in the session that the machine began with, as a test may be.
    let is_shared = std::path::Path::new("/proc/self/autogroup").exists();
    let place = Place::new(&serving(&["--mended"], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3})));
    let before = place.stack.pids_of("web");
    assert_eq!(nice(before[0]), is_shared.then_some(0), "what is not on trial does not yield");
    let mut manifest = serving(&["--ready-when", "${root}/ready"], json!({"observe_seconds": 0.2}));
    manifest["update"]["ramp_seconds"] = json!(0);
    place.stack.service("web", &manifest);
    let mut apply = place.stack.command(&["apply"]).spawn().expect("core runs");
    let new = eventually("the new one", || place.stack.pids_of("web").into_iter().find(|pid| !before.contains(pid)));
    until("it yields", || nice(new) == is_shared.then_some(10));
    place.stack.write("ready", "");
    until("it no longer yields", || nice(new) == is_shared.then_some(0));
    assert!(apply.wait().expect("it ends").success());
}

fn no_request_is_lost_when_routes_change() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3})));
    let web = place.stack.pids_of("web");
    let load = place.load();
    place.stack.service("api", &{
        let mut api = serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3}));
        api["route"]["paths"] = json!(["/api"]);
        api
    });
    let before = place.stack.pids_of("caddy");
    place.stack.ok(&["apply"]);
    until("the edge that was is gone", || !before.iter().any(|pid| proc::lives(*pid)));
    let said = |path: &str| place.get(path).expect("an answer").1;
    assert_ne!(said("/api/"), said("/"), "two services answer");
    assert_eq!(place.stack.pids_of("web"), web, "what is behind the edge was left alone");
    load.expect_none_lost();
}

fn a_killed_caddy_refuses_nobody() {
    let place = Place::new(&serving(&[], json!({})));
    place.stack.pids_of("caddy").into_iter().for_each(proc::kill);
    // The socket is held: whoever comes meanwhile waits in its queue.
    for _ in 0..20 {
        assert_eq!(place.get("/").expect("nobody is refused").0, 200);
    }
}

fn a_caddy_that_lost_its_configuration_gets_it_back() {
    let place = Place::new(&serving(&[], json!({})));
    let admin = place.stack.run_of("caddy").join("admin.sock");
    let body = r#"{"admin": {"disabled": true}}"#;
    let mut stream = UnixStream::connect(&admin).expect("the admin API");
    let head = "POST /load HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
    until("nothing is left of it", || UnixStream::connect(&admin).is_err());
    until("the edge serves again", || place.get("/").is_some_and(|(status, _)| status == 200));
}
