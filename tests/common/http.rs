//! Requests over HTTP, as small as they can be: one connection each, no library between the test and what is sent.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

use super::PATIENCE;

/// An answer: its status and its body.
pub(crate) type Answer = (u16, String);

/// A GET request. `None` when nobody answered.
pub(crate) fn get(url: &str) -> Option<Answer> {
    request("GET", url, &[], "")
}

/// A request with headers and a body. `None` when nobody answered.
pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
    let answer = whole(method, url, headers, body)?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Some((status, body))
}

/// The same with all that came, from the status line on.
pub(crate) fn whole(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Option<String> {
    let rest = url.strip_prefix("http://")?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = address.replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(&address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // Version 1.0: the answer ends with the connection, and nobody cuts it into chunks.
    let mut text = format!("{method} /{path} HTTP/1.0\r\n");
    if headers.iter().all(|(name, _)| *name != "Host") {
        text.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// Sends a request with its body in parts, a tenth of a second apart, and reads all of the answer.
pub(crate) fn slowly(address: &str, head: String, parts: Vec<Vec<u8>>) -> JoinHandle<String> {
    let mut stream = TcpStream::connect(address).expect("the edge");
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
