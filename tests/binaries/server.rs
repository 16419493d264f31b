//! A small HTTP/1.1 server. It counts what it is asked for, and can hold back, break off, and send elsewhere.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::common::PATIENCE;

/// What is answered.
#[derive(Clone)]
pub(crate) enum Answer {
    /// All of it.
    Whole(Vec<u8>),
    /// The length of all of it, then half, then the end of the connection.
    Cut(Vec<u8>),
    /// Half of it; the rest when the gate opens.
    Held(Vec<u8>, Gate),
    /// It is to be had elsewhere.
    Moved(String),
}

/// Something that answers wait at.
#[derive(Clone)]
pub(crate) struct Gate(Arc<(Mutex<Door>, Condvar)>);

struct Door {
    waiting: usize,
    opens_for: usize,
}

impl Gate {
    /// Closed until it is opened.
    pub(crate) fn closed() -> Self {
        Self::together(usize::MAX)
    }

    /// Closed until so many wait at it.
    pub(crate) fn together(opens_for: usize) -> Self {
        Self(Arc::new((Mutex::new(Door { waiting: 0, opens_for }), Condvar::new())))
    }

    /// How many have come to it.
    pub(crate) fn waiting(&self) -> usize {
        locked(&self.0.0).waiting
    }

    pub(crate) fn open(&self) {
        locked(&self.0.0).opens_for = 0;
        self.0.1.notify_all();
    }

    /// Whether it opened before everybody's patience was over.
    fn pass(&self) -> bool {
        let mut door = locked(&self.0.0);
        door.waiting += 1;
        self.0.1.notify_all();
        let closed = |door: &mut Door| door.waiting < door.opens_for;
        let passed = self.0.1.wait_timeout_while(door, PATIENCE, closed);
        !passed.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

#[derive(Default)]
struct Shelf {
    answers: BTreeMap<String, Answer>,
    asked: BTreeMap<String, usize>,
}

/// The server. It is gone, with its port, when it goes out of sight.
pub(crate) struct Server {
    address: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("its address");
        let (shelf, ending) = (Arc::<Mutex<Shelf>>::default(), Arc::<AtomicBool>::default());
        let (all, ends) = (shelf.clone(), ending.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let all = all.clone();
                // What breaks off is the client's to complain of.
                std::thread::spawn(move || drop(answer(stream, &all)));
            }
        });
        Self { address, shelf, ending, thread: Some(thread) }
    }

    /// Answers a path from now on.
    pub(crate) fn put(&self, path: &str, answer: Answer) {
        locked(&self.shelf).answers.insert(path.into(), answer);
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        locked(&self.shelf).asked.get(path).copied().unwrap_or(0)
    }

    /// How often anything was.
    pub(crate) fn asked_at_all(&self) -> usize {
        locked(&self.shelf).asked.values().sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        // It waits for somebody to come.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream, shelf: &Mutex<Shelf>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let path = asked_path(&mut stream)?;
    let answer = {
        let mut shelf = locked(shelf);
        *shelf.asked.entry(path.clone()).or_default() += 1;
        shelf.answers.get(&path).cloned()
    };
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n");
    let found = |body: &[u8]| head("200 OK", &format!("Content-Length: {}\r\n", body.len()));
    match answer {
        Some(Answer::Whole(body)) => {
            stream.write_all(found(&body).as_bytes())?;
            stream.write_all(&body)
        }
        Some(Answer::Cut(body)) => {
            stream.write_all(found(&body).as_bytes())?;
            stream.write_all(&body[..body.len() / 2])
        }
        Some(Answer::Held(body, gate)) => {
            let (first, rest) = body.split_at(body.len() / 2);
            stream.write_all(found(&body).as_bytes())?;
            stream.write_all(first)?;
            if gate.pass() { stream.write_all(rest) } else { Ok(()) }
        }
        Some(Answer::Moved(to)) => {
            stream.write_all(head("302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n")).as_bytes())
        }
        None => stream.write_all(head("404 Not Found", "Content-Length: 0\r\n").as_bytes()),
    }
}

/// Reads a request to its end, so that closing the connection does not reset it.
fn asked_path(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => break,
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    Ok(head.split(' ').nth(1).unwrap_or_default().to_owned())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
