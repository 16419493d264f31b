//! This program as a service: `peers --service NAME FOLDER WHAT…`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use crate::lines;
use crate::service::READY_LINE;

/// Does what the words say, and then nothing, until it is ended.
pub(crate) fn act(words: &[String]) -> io::Result<()> {
    let [name, folder, what, rest @ ..] = words else { return Err(io::Error::other("too few words")) };
    let folder = Path::new(folder);
    let number = |index: usize| rest.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    match what.as_str() {
        // Milliseconds.
        "ready" => ready(name, folder, number(0))?,
        // Milliseconds, port.
        "answer" => answer(name, folder, number(0), number(1))?,
        // Bytes, block.
        "write" => write(name, folder, number(0), usize::try_from(number(1)).unwrap_or(1))?,
        "chat" => chat(folder)?,
        _ => return Err(io::Error::other(format!("no such service: {what}"))),
    }
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

fn say(what: &str, name: &str, folder: &Path) -> io::Result<()> {
    let text = format!("{what} {name} {}\n", std::process::id());
    OpenOptions::new().write(true).open(folder.join("said"))?.write_all(text.as_bytes())
}

/// Is ready after a while, and says so in both ways.
fn ready(name: &str, folder: &Path, millis: u64) -> io::Result<()> {
    std::thread::sleep(Duration::from_millis(millis));
    say("ready", name, folder)?;
    if let Ok(number) = std::env::var("NOTIFY_FD") {
        OpenOptions::new().write(true).open(format!("/proc/self/fd/{number}"))?.write_all(b"\n")?;
    }
    let mut out = io::stdout();
    writeln!(out, "{READY_LINE}")?;
    out.flush()
}

/// Is ready after a while, and answers from then on.
fn answer(name: &str, folder: &Path, millis: u64, port: u64) -> io::Result<()> {
    std::thread::sleep(Duration::from_millis(millis));
    let listener = TcpListener::bind(("127.0.0.1", u16::try_from(port).unwrap_or(0)))?;
    say("ready", name, folder)?;
    serve(&listener, || {})
}

/// Answers every request with 200, one connection after the other.
pub(crate) fn serve(listener: &TcpListener, mut asked: impl FnMut()) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        // One that asks in several packets, or nothing at all, is answered all the same.
        let _ = stream.read(&mut [0; 4096]);
        asked();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}

/// Writes so many bytes of numbered lines, in blocks.
fn write(name: &str, folder: &Path, bytes: u64, block: usize) -> io::Result<()> {
    let mut out = unbuffered()?;
    let mut text = Vec::with_capacity(block + lines::LENGTH);
    for number in 0..bytes / lines::LENGTH as u64 {
        lines::append(&mut text, 1, number);
        while text.len() >= block {
            out.write_all(&text[..block])?;
            text.drain(..block);
        }
    }
    out.write_all(&text)?;
    say("written", name, folder)
}

/// Writes a numbered line each millisecond, and how many there were so far into a file beside.
fn chat(folder: &Path) -> io::Result<()> {
    let mut out = unbuffered()?;
    let pid = u64::from(std::process::id());
    let count = OpenOptions::new().create(true).truncate(true).write(true).open(folder.join(format!("wrote.{pid}")))?;
    let mut text = Vec::new();
    for number in 0.. {
        text.clear();
        lines::append(&mut text, pid, number);
        out.write_all(&text)?;
        count.write_all_at(format!("{}\n", number + 1).as_bytes(), 0)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Standard output without a buffer: what is measured is what is written.
fn unbuffered() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}
