//! `core probe` against listeners that are there.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, free_port};

pub(crate) const TESTS: &[Test] =
    tests![a_good_answer_is_zero_and_a_bad_one_is_told, a_unix_socket_is_asked, what_cannot_be_asked_is_wrong_usage];

/// Answers one request after the other: 204 to who says `X-Name: core`, else 200; `/slow` never.
fn answer(mut stream: impl std::io::Read + std::io::Write) {
    let mut request = [0; 4096];
    let count = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..count]).to_lowercase();
    if request.starts_with("get /slow") {
        thread::park();
    }
    let status = if request.contains("x-name: core") { "204 No Content" } else { "200 OK" };
    let body = if status.starts_with("204") { "" } else { "all is well" };
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
}

fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    port
}

fn probe(words: &[&str]) -> Said {
    // It needs no stack: any folder will do.
    let mut command = std::process::Command::new(crate::common::CORE);
    command.arg("probe").args(words).current_dir("/");
    Said::of(command.output().expect("core runs"))
}

#[track_caller]
fn good(words: &[&str]) {
    let said = probe(words);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "ok\n", ""), "{words:?}");
}

#[track_caller]
fn bad(words: &[&str], code: i32, reason: &str) {
    let said = probe(words);
    assert_eq!((said.code, said.out.as_str()), (code, ""), "{words:?}: {}", said.err);
    assert!(said.err.contains(reason), "{words:?}: {}", said.err);
    assert!(code != 1 || said.err.lines().count() == 1, "{words:?}: {}", said.err);
}

fn a_good_answer_is_zero_and_a_bad_one_is_told() {
    let port = serve();
    let url = format!("http://127.0.0.1:{port}/");
    let address = format!("127.0.0.1:{port}");
    good(&["tcp", &address]);
    good(&["http", &url]);
    good(&["http", &url, "--contains", "is well"]);
    good(&["http", &url, "--header", "X-Name: core", "--status", "204"]);
    bad(&["http", &url, "--status", "201"], 1, "status 200, expected 201");
    bad(&["http", &url, "--contains", "is bad"], 1, "the body does not hold `is bad`");
    bad(&["http", &format!("{url}slow"), "--timeout", "0.2"], 1, "no answer within 0.2 s");
    let nobody = format!("127.0.0.1:{}", free_port());
    bad(&["tcp", &nobody], 1, "connection refused");
    bad(&["http", &format!("http://{nobody}/")], 1, "connection refused");
}

fn a_unix_socket_is_asked() {
    let stack = Stack::new();
    let path = stack.root.join("x.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    thread::spawn(move || listener.incoming().flatten().for_each(answer));
    let url = |path: &std::path::Path| format!("http+unix://{}:/health", path.display());
    good(&["http", &url(&path), "--contains", "all"]);
    bad(&["http", &url(&stack.root.join("none.sock"))], 1, "no such file");
}

fn what_cannot_be_asked_is_wrong_usage() {
    bad(&["http", "https://127.0.0.1/"], 2, "starts with `http://`");
    bad(&["http", "http+unix:///x.sock"], 2, "http+unix://SOCKET:/PATH");
    bad(&["http", "http://127.0.0.1:1/", "--header", "nothing"], 2, "is not a header");
    bad(&["http", "http://127.0.0.1:1/", "--timeout", "0"], 2, "not a valid duration");
    bad(&["tcp", "127.0.0.1"], 2, "is not an address");
    bad(&["icmp", "127.0.0.1"], 2, "icmp");
}
