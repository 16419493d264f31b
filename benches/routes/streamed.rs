//! When the first part of a streamed page comes: `SPEED=1 cargo bench --bench routes`. A page whose late part comes after
//! 300 ms (`apps/app/app/late`) is asked of the app itself and of the edge in turn, each on one connection that stays open.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::HOST;
use crate::edge::Edge;

/// Each is asked so often.
const TIMES: usize = 101;
/// How long one answer may take, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the page says at once, and what it says after 300 ms.
const TEXTS: [&str; 2] = ["this came early", "this came late"];
/// How long after the first byte the late part comes at least, half of the times: less if something kept the first part.
const APART: Duration = Duration::from_millis(200);
/// What a client may take: nothing encoded, and what browsers say.
const TAKES: [&str; 2] = ["identity", "gzip, deflate, br, zstd"];

/// An answer, from the moment of its request on.
struct Timed {
    /// When the first byte of its body was there.
    first: Duration,
    /// When it could be read that the page waits.
    early: Duration,
    /// When its late part could be read.
    late: Duration,
}

/// Prints the table.
///
/// # Errors
/// When a page is not as it should be, or when the edge keeps the first part until the late one comes.
pub(crate) fn table(edge: &Edge) -> Result<(), String> {
    println!(
        "\n| a page whose late part comes after 300 ms | of whom | first byte, median | p95 | to the first | late part, median | encoded |"
    );
    println!("|---|---|---|---|---|---|---|");
    for takes in TAKES {
        let mut sides = Vec::new();
        for (whom, port) in [("the app itself", edge.inner), ("the edge", edge.port)] {
            sides.push((whom, Line::open(port)?, Vec::new()));
        }
        // The first of each is not counted: it opens the way to the app.
        for _ in 0..=TIMES {
            for (_, line, all) in &mut sides {
                all.push(line.ask(takes)?);
            }
        }
        let mut beside = None;
        for (whom, line, mut all) in sides {
            all.remove(0);
            let at = |share: usize, of: fn(&Timed) -> Duration| {
                let mut times: Vec<Duration> = all.iter().map(of).collect();
                times.sort();
                times[times.len() * share / 100].as_secs_f64() * 1000.0
            };
            let (first, late) = (at(50, |one| one.first), at(50, |one| one.late));
            let ratio = first / *beside.get_or_insert(first);
            let p95 = at(95, |one| one.first);
            println!(
                "| taken: {takes} | {whom} | {first:.2} ms | {p95:.2} ms | {ratio:.2} | {late:.0} ms | {} |",
                line.encoding
            );
            let apart = at(50, |one| one.late.saturating_sub(one.early));
            if apart < APART.as_secs_f64() * 1000.0 {
                return Err(format!("{whom}: the late part came {apart:.0} ms after the first: something kept that"));
            }
        }
    }
    Ok(())
}

/// A connection that stays open.
struct Line {
    stream: TcpStream,
    /// How the last answer was encoded.
    encoding: String,
}

impl Line {
    fn open(port: u16) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, encoding: String::new() })
    }

    /// Asks once, and reads all of the answer.
    fn ask(&mut self, takes: &str) -> Result<Timed, String> {
        let request = format!("GET /late HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: {takes}\r\n\r\n");
        let began = Instant::now();
        self.stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut raw = Vec::new();
        let mut chunk = [0; 16 * 1024];
        let (mut first, mut seen) = (None, [None; 2]);
        loop {
            let got = self.stream.read(&mut chunk).map_err(|error| format!("/late: {error}"))?;
            let now = began.elapsed();
            if got == 0 {
                return Err("/late: the connection did not stay open".into());
            }
            raw.extend(&chunk[..got]);
            let Some(head) = raw.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let (head, body) = (String::from_utf8_lossy(&raw[..head]).to_lowercase(), &raw[head + 4..]);
            if body.is_empty() {
                continue;
            }
            first.get_or_insert(now);
            self.encoding =
                head.split("content-encoding: ").nth(1).map_or("no", |rest| rest.lines().next().unwrap_or("")).into();
            let text = so_far(body, &self.encoding);
            for (one, wanted) in seen.iter_mut().zip(TEXTS) {
                if one.is_none() && text.contains(wanted) {
                    *one = Some(now);
                }
            }
            if body.ends_with(b"\r\n0\r\n\r\n") {
                break;
            }
        }
        match (first, seen) {
            (Some(first), [Some(early), Some(late)]) => Ok(Timed { first, early, late }),
            _ => Err(format!("/late does not say what it should: {}", String::from_utf8_lossy(&raw))),
        }
    }
}

/// What can be read of a chunked body that has not come to its end.
fn so_far(mut body: &[u8], encoding: &str) -> String {
    let mut bytes = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&body[..end]).into_owned();
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        let Some(part) = body.get(end + 2..end + 2 + size) else { break };
        bytes.extend(part);
        body = body.get(end + 4 + size..).unwrap_or_default();
    }
    let mut plain = Vec::new();
    // An error is the end of what has come.
    let _ = match encoding {
        "gzip" => flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut plain),
        "zstd" => zstd::Decoder::new(&*bytes).and_then(|mut decoder| decoder.read_to_end(&mut plain)),
        _ => bytes.as_slice().read_to_end(&mut plain),
    };
    String::from_utf8_lossy(&plain).into_owned()
}
