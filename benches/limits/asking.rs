//! Clients that ask as fast as they are answered.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many ask at the same time.
const CLIENTS: usize = 4;
/// How many questions are sent before the first answer is read.
const AHEAD: usize = 200;

/// Answers everything on a port, as fast as it is asked.
pub(crate) fn answer_all(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let _ = stream.set_nodelay(true);
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                let is_end = line == "\r\n";
                line.clear();
                if is_end && (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n").is_err() {
                    return;
                }
            }
        });
    }
}

/// What came of it.
pub(crate) struct Asked {
    pub(crate) count: usize,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Median of what one took, in seconds.
    pub(crate) middle: f64,
    /// The longest one.
    pub(crate) longest: f64,
    /// Those that took longer than 100 ms.
    pub(crate) late: usize,
    statuses: BTreeSet<u16>,
}

impl Asked {
    /// Whether the answers are those that are expected: of those that are refused, one may go through now and then.
    pub(crate) fn is_well(&self, status: u16) -> bool {
        self.only(status) || status == 429 && self.statuses.iter().eq([&200, &429])
    }

    /// Whether all answers had this status.
    pub(crate) fn only(&self, status: u16) -> bool {
        self.statuses.iter().eq([&status])
    }
}

/// Asks for a path for so long.
pub(crate) fn ask(address: &str, path: &str, varies: bool, lasts: Duration) -> Asked {
    let began = Instant::now();
    let all: Vec<(Vec<f64>, BTreeSet<u16>)> = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || one(address, path, varies, number, lasts))).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    let statuses = all.iter().flat_map(|(_, statuses)| statuses).copied().collect();
    let mut times: Vec<f64> = all.into_iter().flat_map(|(times, _)| times).collect();
    times.sort_by(f64::total_cmp);
    Asked {
        count: times.len(),
        rate: f64::from(u32::try_from(times.len()).expect("few")) / seconds,
        middle: times[times.len() / 2],
        longest: times[times.len() - 1],
        late: times.iter().filter(|time| **time > 0.1).count(),
        statuses,
    }
}

fn one(address: &str, path: &str, varies: bool, number: usize, lasts: Duration) -> (Vec<f64>, BTreeSet<u16>) {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::new(&stream);
    let (mut times, mut statuses) = (Vec::new(), BTreeSet::new());
    let began = Instant::now();
    let mut key = number;
    while began.elapsed() < lasts {
        let header = if varies { format!("X-Api-Key: client-{key}\r\n") } else { String::new() };
        key = (key + 7919) % 100_000;
        let sent = Instant::now();
        (&stream).write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n").as_bytes()).expect("sent");
        statuses.insert(answer(&mut reader));
        times.push(sent.elapsed().as_secs_f64());
    }
    (times, statuses)
}

/// Reads one answer; returns its status.
fn answer(reader: &mut impl std::io::BufRead) -> u16 {
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    status
}

/// Asks for a limit as that many clients, once each, as fast as it is answered. Returns the seconds and the questions a second.
pub(crate) fn flood(socket: &Path, limit: &str, clients: usize) -> (f64, f64) {
    let began = Instant::now();
    let stream = UnixStream::connect(socket).expect("who counts");
    let mut reader = BufReader::new(&stream);
    for first in (0..clients).step_by(AHEAD) {
        let mut text = String::new();
        for number in first..clients.min(first + AHEAD) {
            text.push_str(&format!(
                "GET /.core/limits HTTP/1.1\r\nHost: x\r\nX-Limits: {limit}\r\nX-Client: client-{number}\r\n\r\n"
            ));
        }
        (&stream).write_all(text.as_bytes()).expect("sent");
        for _ in first..clients.min(first + AHEAD) {
            answer(&mut reader);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    (seconds, f64::from(u32::try_from(clients).expect("few")) / seconds)
}
