//! What is open when a service is swapped goes on to its end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use crate::common::PATIENCE;
use crate::common::trials::{Test, tests};
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] = tests![what_is_open_at_a_swap_comes_to_its_end];

/// How long each of them takes, in steps of a tenth of a second.
const STEPS: usize = 40;

fn what_is_open_at_a_swap_comes_to_its_end() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3, "drain_seconds": 60})));
    let before = place.get("/").expect("an answer").1;
    let millis = 100 * STEPS;
    let slow = ask(&place, format!("GET /slow/{millis} HTTP/1.0\r\n\r\n"), Vec::new());
    let stream = ask(&place, format!("GET /stream/{STEPS} HTTP/1.0\r\n\r\n"), Vec::new());
    let head = format!("POST /upload HTTP/1.0\r\nContent-Length: {STEPS}000\r\n\r\n");
    let upload = ask(&place, head, vec![vec![b'x'; 1000]; STEPS]);
    let head = "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let socket = ask(&place, head.into(), (0..STEPS).map(|step| format!("{step:03}\n").into_bytes()).collect());
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

/// Sends a request with its body in parts, a tenth of a second apart, and reads all of the answer.
fn ask(place: &Place, head: String, parts: Vec<Vec<u8>>) -> JoinHandle<String> {
    let mut stream = TcpStream::connect(&place.address).expect("the edge");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(head.as_bytes()).expect("sent");
    std::thread::spawn(move || {
        let is_socket = head.contains("Upgrade");
        for part in parts {
            // Being slow is what is asked for here.
            std::thread::sleep(Duration::from_millis(100));
            stream.write_all(&part).expect("sent");
        }
        if is_socket {
            stream.shutdown(std::net::Shutdown::Write).expect("the end");
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the answer");
        String::from_utf8_lossy(&answer).into_owned()
    })
}
