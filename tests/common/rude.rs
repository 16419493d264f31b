//! Clients that keep to the protocol, and to nothing else: head and body of a request apart, bodies that nobody reads,
//! uploads that are broken off, requests sent before the last answer came. Whatever they do, each answer must be whole.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// Paths of an app.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths {
    /// Answers a POST before, or without, reading its body.
    pub(crate) early: &'static str,
    /// Answers a POST when all of its body has come.
    pub(crate) upload: &'static str,
    /// Answers a GET.
    pub(crate) hello: &'static str,
}

/// What a client does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Sends the head of a POST, and its body about when the answer is written.
    Apart,
    /// Sends 64 KiB that nobody reads, in pieces.
    Unread,
    /// Breaks off an upload in its middle, and asks for something else.
    Aborted,
    /// Sends three requests, and then reads three answers.
    Pipelined,
}

impl Manner {
    pub(crate) const ALL: [Self; 4] = [Self::Apart, Self::Unread, Self::Aborted, Self::Pipelined];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Apart => "head and body apart",
            Self::Unread => "bodies that nobody reads",
            Self::Aborted => "uploads broken off",
            Self::Pipelined => "pipelined",
        }
    }
}

/// What a client got.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answers that were whole.
    pub(crate) answers: usize,
    /// What was wrong with the others.
    pub(crate) broken: Vec<String>,
    /// How long each exchange took.
    pub(crate) took: Vec<Duration>,
}

/// Behaves like that until it is told to stop.
pub(crate) fn ask(address: &str, paths: Paths, manner: Manner, goes_on: impl Fn(usize) -> bool) -> Tally {
    let mut tally = Tally::default();
    let mut line: Option<Line> = None;
    let mut number = 0;
    while goes_on(number) {
        let began = Instant::now();
        match exchange(address, paths, manner, number, &mut line) {
            Ok(answers) => tally.answers += answers,
            Err(message) => {
                tally.broken.push(message);
                line = None;
            }
        }
        tally.took.push(began.elapsed());
        number += 1;
        // New connections, too, are a matter of course.
        if number % 16 == 0 {
            line = None;
        }
    }
    tally
}

fn exchange(
    address: &str,
    paths: Paths,
    manner: Manner,
    number: usize,
    line: &mut Option<Line>,
) -> Result<usize, String> {
    let mut mine = match line.take() {
        Some(line) => line,
        None => Line::open(address)?,
    };
    let post =
        |path: &str, length: usize| format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let answers = match manner {
        Manner::Apart => {
            mine.send(post(paths.early, 30).as_bytes())?;
            // About when the app answers; a little earlier, a little later.
            let until = Instant::now() + Duration::from_micros(300 + 100 * (number as u64 % 14));
            while Instant::now() < until {
                std::thread::yield_now();
            }
            mine.send(&[b'x'; 30])?;
            1
        }
        Manner::Unread => {
            mine.send(post(paths.early, 64 << 10).as_bytes())?;
            (0..16).try_for_each(|_| mine.send(&[b'x'; 4 << 10]))?;
            1
        }
        Manner::Aborted => {
            let mut other = Line::open(address)?;
            other.send(post(paths.upload, 64 << 10).as_bytes())?;
            other.send(&[b'x'; 8 << 10])?;
            drop(other);
            mine.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", paths.hello).as_bytes())?;
            1
        }
        Manner::Pipelined => {
            let get = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", paths.hello);
            mine.send(get.repeat(3).as_bytes())?;
            3
        }
    };
    let mut is_kept = true;
    for _ in 0..answers {
        if !is_kept {
            // Who closes a connection answers what was asked before, and nothing that came after.
            return Ok(answers - 1);
        }
        is_kept = mine.answer()?;
    }
    *line = Some(mine).filter(|_| is_kept);
    Ok(answers)
}

/// A connection.
struct Line {
    reader: BufReader<TcpStream>,
}

impl Line {
    fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
        let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        set.map_err(|error| error.to_string())?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.reader.get_mut().write_all(bytes).map_err(|error| format!("while it was sent: {error}"))
    }

    /// Reads one answer, which must be whole and 200. Returns whether the connection is kept.
    fn answer(&mut self) -> Result<bool, String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.reader.read_line(&mut head) {
                Ok(0) => return Err(format!("it ended after {} bytes of the head", head.len())),
                Ok(_) => {}
                Err(error) => return Err(format!("in the head: {error}")),
            }
        }
        if !head.starts_with("HTTP/1.1 200") {
            return Err(head.lines().next().unwrap_or_default().to_owned());
        }
        let lower = head.to_ascii_lowercase();
        let field = |name: &str| lower.lines().find_map(|line| Some(line.strip_prefix(name)?.trim()));
        match field("content-length:").and_then(|text| text.parse().ok()) {
            Some(length) => self.skip(length)?,
            None if field("transfer-encoding:") == Some("chunked") => self.skip_chunks()?,
            None => return Err(format!("an answer without a length: {head}")),
        }
        Ok(field("connection:") != Some("close"))
    }

    fn skip(&mut self, length: usize) -> Result<(), String> {
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).map_err(|error| format!("in the body: {error}"))
    }

    fn skip_chunks(&mut self) -> Result<(), String> {
        loop {
            let mut size = String::new();
            self.reader.read_line(&mut size).map_err(|error| format!("between chunks: {error}"))?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| format!("no size of a chunk: {size:?}"))?;
            // With the line end behind it.
            self.skip(size + 2)?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}
