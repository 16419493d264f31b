//! A supervisor that always says the same: so that what is made of its answers can be compared to the letter.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::{Value, json};

use crate::common::Stack;

/// A stack that seems to run: on its control socket stand these answers, by path.
pub(crate) fn stack(answers: Vec<(&'static str, Value)>) -> Stack {
    let stack = Stack::new();
    let run = stack.root.join("r").join(stack.hash());
    for folder in [stack.root.join(".core-stack"), stack.root.join("r"), run.clone()] {
        fs::DirBuilder::new().mode(0o700).create(&folder).expect("a folder");
    }
    symlink(&run, stack.root.join(".core-stack/run")).expect("a link");
    let listener = UnixListener::bind(run.join("core.sock")).expect("a socket");
    // It ends with the test program.
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| answer(stream, &answers));
    });
    stack
}

fn answer(mut stream: UnixStream, answers: &[(&'static str, Value)]) {
    let mut lines = BufReader::new(stream.try_clone().expect("a copy")).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let path = request.split(' ').nth(1).unwrap_or_default();
    lines.find(String::is_empty);
    let known = answers.iter().find(|(known, _)| path.split('?').next() == Some(known));
    let (status, body) = match known {
        Some((_, body)) => ("200 OK", body.clone()),
        None => ("404 Not Found", json!({"code": "not-found", "message": format!("nothing is canned for {path}")})),
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let _ = write!(stream, "{head}connection: close\r\n\r\n{body}");
}

/// An instance in a phase, for so many seconds, with what else there is to say of it.
pub(crate) fn instance(slot: &str, generation: u32, phase: &str, seconds: i64, more: Value) -> Value {
    let (service, replica) = slot.rsplit_once('-').expect("a slot");
    let since = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    let mut all = json!({
        "id": format!("{slot}@{generation}"), "slot": slot, "service": service,
        "replica": replica.parse::<u32>().expect("a number"), "generation": generation,
        "invocation": format!("{slot}@{generation}.1"), "phase": phase, "reason": null, "detail": null, "pid": null,
        "ready": phase == "ready", "restarts": 0, "exit_code": null, "ports": {}, "since": since.to_string(),
        "cpu_percent": null, "memory_bytes": null, "waiting_on": [],
    });
    for (key, value) in more.as_object().expect("an object") {
        all[key] = value.clone();
    }
    all
}
