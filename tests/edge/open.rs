//! What is open when a service is swapped goes on to its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::json;

use crate::common::PATIENCE;
use crate::common::http::{request, slowly};
use crate::common::rude::{Manner, Paths, ask};
use crate::common::trials::{Test, tests};
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] = tests![
    an_answer_before_the_body_is_whole,
    the_client_says_nothing_of_itself,
    what_is_open_at_a_swap_comes_to_its_end
];

/// Go gives a body 50 ms from when the app has answered (`maxWriteWaitBeforeConnReuse`), and breaks the connection after that: on
/// a machine without a processor to spare, a client that sends at once is too late.
pub(crate) const ALONE: &[Test] = tests![rude_clients_get_whole_answers];

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

/// Head and body of a request come apart, as by a slow line, and the app answers before it has read the body.
fn an_answer_before_the_body_is_whole() {
    use std::io::{Read as _, Write as _};
    let place = Place::new(&serving(&[], json!({})));
    let mut broken = Vec::new();
    for number in 0..1000_u64 {
        let mut stream = std::net::TcpStream::connect(&place.address).expect("the edge");
        stream.set_nodelay(true).expect("set");
        let head = "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("sent");
        // About when the app answers; a little earlier, a little later.
        let until = std::time::Instant::now() + std::time::Duration::from_micros(200 + 100 * (number % 12));
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        let _ = stream.write_all(&[b'x'; 30]);
        // The connection would be kept: only then does the server want the rest of the body out of the way.
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut answer = String::new();
        let mut buffer = [0; 1024];
        while !answer.ends_with("early")
            && let Ok(count @ 1..) = stream.read(&mut buffer)
        {
            answer += &String::from_utf8_lossy(&buffer[..count]);
        }
        if !answer.starts_with("HTTP/1.1 200") || !answer.ends_with("early") {
            broken.push(answer);
        }
    }
    assert!(broken.is_empty(), "{} of 1000: {:?}", broken.len(), broken.first());
}

/// Bodies that nobody reads, uploads that are broken off, requests before the last answer: also while it is swapped.
fn rude_clients_get_whole_answers() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3, "drain_seconds": 5})));
    let paths = Paths { early: "/early", upload: "/upload", hello: "/" };
    let swapped = AtomicBool::new(false);
    let goes_on = |number: usize| number < 200 || !swapped.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let (address, goes_on) = (&place.address, &goes_on);
        let begin = |manner| scope.spawn(move || (manner, ask(address, paths, manner, goes_on)));
        let clients: Vec<_> = Manner::ALL.into_iter().map(begin).collect();
        place.replace("web", |manifest| manifest["process"]["env"] = json!({"EDIT": "1"}));
        swapped.store(true, Ordering::Relaxed);
        for client in clients {
            let (manner, tally) = client.join().expect("a client");
            assert!(tally.broken.is_empty() && tally.answers >= 200, "{}: {:?}", manner.word(), tally.broken);
        }
    });
}

/// What anybody may claim of himself does not reach the app.
fn the_client_says_nothing_of_itself() {
    let place = Place::new(&json!({"process": {"command": "python3", "args": ["-c", "import http.server,os
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text=str(self.headers).lower().encode()
        self.send_response(200); self.send_header('content-length',str(len(text))); self.end_headers(); self.wfile.write(text)
    def log_message(self,*a): pass
http.server.ThreadingHTTPServer(('127.0.0.1',int(os.environ['PORT'])),H).serve_forever()"],
        "env": {"PORT": "${port.http}"},
        "compose": {"readiness_probe": {"http_get": {"url": "http://127.0.0.1:${port.http}/"}}}},
        "ports": {"http": {"port": "auto", "protocol": "http"}}, "route": {"port": "http"}}));
    let claims = [
        ("X-Real-IP", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6"),
        ("True-Client-IP", "6.6.6.6"),
        ("X-Core-Reached", "x"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"),
    ];
    let (_, said) = request("GET", &format!("http://{}/", place.address), &claims, "").expect("an answer");
    assert!(said.contains("x-forwarded-for: 127.0.0.1") && said.contains("x-forwarded-proto: http\n"), "{said}");
    for claim in ["6.6.6.6", "x-real-ip", "forwarded: for", "true-client-ip", "x-core"] {
        assert!(!said.contains(claim), "{claim}: {said}");
    }
    // A proxy that is trusted may say who its client is, and how he came.
    place.replace("caddy", |caddy| caddy["config"] = json!({"trusted_proxies": ["127.0.0.1"]}));
    let (_, said) = request("GET", &format!("http://{}/", place.address), &claims, "").expect("an answer");
    assert!(
        said.contains("x-forwarded-for: 6.6.6.6, 127.0.0.1") && said.contains("x-forwarded-proto: https"),
        "{said}"
    );
    for claim in ["x-real-ip", "forwarded: for", "true-client-ip", "x-core"] {
        assert!(!said.contains(claim), "{claim}: {said}");
    }
}
