//! A client of HTTP/1.1 that sends a request as it is written, however odd its path, and keeps the answer as it came.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long one answer may take: a page that streams, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The host that is asked for. The same on both sides, so that what an app makes of it is the same, too.
pub(crate) const HOST: &str = "www.example.org";

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// `GET`.
    pub(crate) method: String,
    /// The target as it goes onto the wire.
    pub(crate) path: Vec<u8>,
    /// Headers beside `Host`, `Connection` and `Content-Length`.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, if it has one.
    pub(crate) body: Option<Vec<u8>>,
}

impl Request {
    /// A GET.
    pub(crate) fn get(path: &str) -> Self {
        Self::of("GET", path)
    }

    /// A request without a body.
    pub(crate) fn of(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), ..Self::default() }
    }

    /// With one more header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut all = self.method.clone().into_bytes();
        all.push(b' ');
        all.extend(&self.path);
        all.extend(format!(" HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n").as_bytes());
        for (name, value) in &self.headers {
            all.extend(format!("{name}: {value}\r\n").as_bytes());
        }
        if let Some(body) = &self.body {
            all.extend(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        all.extend(b"\r\n");
        all.extend(self.body.iter().flatten());
        all
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its headers in their order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body, decoded.
    pub(crate) body: Vec<u8>,
    /// Why the body is not what its headers say.
    pub(crate) broken: Option<String>,
}

impl Answer {
    /// All values of a header, joined as a list.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let all: Vec<&str> = self.headers.iter().filter(|(one, _)| one == name).map(|(_, value)| &**value).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Its body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks on a connection of its own. What the other side does with the connection is in the answer, too: a side that
/// hangs up gives the status 0.
pub(crate) fn ask(port: u16, request: &Request) -> Answer {
    let mut raw = Vec::new();
    match exchange(port, request, &mut raw) {
        Ok(()) => read(&raw, request.method == "HEAD"),
        // What came before it was reset counts: a refused request may be answered before all of it was read.
        Err(_) if raw.starts_with(b"HTTP/") => read(&raw, request.method == "HEAD"),
        Err(error) => Answer { broken: Some(error.kind().to_string()), ..Answer::default() },
    }
}

fn exchange(port: u16, request: &Request, raw: &mut Vec<u8>) -> io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&request.bytes())?;
    stream.read_to_end(raw)?;
    Ok(())
}

/// An answer from what came over a connection.
fn read(raw: &[u8], is_head: bool) -> Answer {
    let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") else {
        let broken = if raw.is_empty() { "hung up" } else { "no whole head" };
        return Answer { broken: Some(broken.into()), ..Answer::default() };
    };
    let head: String = raw[..end].iter().map(|byte| char::from(*byte)).collect();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers = pairs.map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned())).collect();
    let mut answer = Answer { status: status.unwrap_or(0), headers, ..Answer::default() };
    let has_none = is_head || matches!(answer.status, 100..=199 | 204 | 304);
    let rest = &raw[end + 4..];
    let body = if has_none {
        if rest.is_empty() { Ok(Vec::new()) } else { Err("a body where none may be".to_owned()) }
    } else {
        whole(&answer, rest).and_then(|body| decoded(&answer, body))
    };
    match body {
        Ok(body) => answer.body = body,
        Err(why) => answer.broken = Some(why),
    }
    answer
}

/// The body without its framing.
fn whole(answer: &Answer, rest: &[u8]) -> Result<Vec<u8>, String> {
    if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return joined(rest);
    }
    match answer.header("content-length").map(|value| value.parse::<usize>()) {
        Some(Ok(length)) if length == rest.len() => Ok(rest.to_vec()),
        Some(_) => Err("a body that is not as long as it says".into()),
        None => Ok(rest.to_vec()),
    }
}

fn joined(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let cut = || "chunks that are cut off".to_owned();
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").ok_or_else(cut)?;
        let size = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| cut())?;
        if size == 0 {
            return Ok(body);
        }
        let from = end + 2;
        body.extend(rest.get(from..from + size).ok_or_else(cut)?);
        rest = rest.get(from + size + 2..).ok_or_else(cut)?;
    }
}

/// The body without its encoding. One that is encoded twice is not what its header says.
fn decoded(answer: &Answer, body: Vec<u8>) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("a body that cannot be decoded: {error}");
    let mut plain = Vec::new();
    match answer.header("content-encoding").as_deref() {
        None | Some("identity") => return Ok(body),
        Some("gzip") => flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain).map_err(failed)?,
        Some("deflate") => flate2::read::ZlibDecoder::new(&*body).read_to_end(&mut plain).map_err(failed)?,
        Some("br") => {
            brotli::BrotliDecompress(&mut &*body, &mut plain).map_err(failed)?;
            plain.len()
        }
        Some("zstd") => {
            plain = zstd::decode_all(&*body).map_err(failed)?;
            plain.len()
        }
        // Neither side encodes so today; where one does, the header's difference is shown.
        Some(_) => return Ok(Vec::new()),
    };
    Ok(plain)
}
