//! A connection to one shim: frames in and out. Only its own task ever waits for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use core_shim::wire::{ECHO, FrameBuffer, Report, Request, receive, send};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::peer;

/// If the supervisor itself is this late at a deadline, the shim gets the time once more.
const LATE: Duration = Duration::from_millis(500);

/// The deadline for an answer.
#[derive(Clone, Copy, Debug)]
struct Due {
    by: Instant,
    within: Duration,
}

/// The result of waiting for a shim.
pub(super) enum Heard {
    /// The shim sent a report.
    Report(Report),
    /// An answer was not received in time.
    Silence,
    /// The connection has ended.
    End,
}

/// A connection to a shim.
pub(crate) struct Line {
    stream: UnixStream,
    /// The engine's number for this connection.
    number: Cell<u32>,
    unsent: RefCell<VecDeque<(Vec<u8>, Vec<OwnedFd>)>>,
    /// Wakes the task: there is something unsent, or an answer is due.
    pending: Notify,
    incoming: RefCell<FrameBuffer>,
    due: Cell<Option<Due>>,
    /// Whether the only thing still expected is its end.
    is_ending: Cell<bool>,
    shim: Cell<Option<u32>>,
    /// Whether the shim has reported its state.
    is_known: Cell<bool>,
}

impl Line {
    fn new(stream: StdStream, number: u32) -> io::Result<Rc<Self>> {
        stream.set_nonblocking(true)?;
        Ok(Rc::new(Self {
            stream: UnixStream::from_std(stream)?,
            number: Cell::new(number),
            unsent: RefCell::default(),
            pending: Notify::new(),
            incoming: RefCell::default(),
            due: Cell::new(None),
            is_ending: Cell::new(false),
            shim: Cell::new(None),
            is_known: Cell::new(false),
        }))
    }

    /// A connection to a shim that will be forked, and the other end, for the shim.
    pub(super) fn pair(number: u32) -> io::Result<(Rc<Self>, OwnedFd)> {
        let (ours, theirs) = StdStream::pair()?;
        Ok((Self::new(ours, number)?, theirs.into()))
    }

    /// Connects to an existing shim, without waiting: a shim with a full queue is an error.
    pub(super) fn connect(path: &Path, number: u32) -> io::Result<Rc<Self>> {
        let (fd, shim) = call(path)?;
        let line = Self::new(StdStream::from(fd), number)?;
        line.shim.set(shim);
        Ok(line)
    }

    /// The engine's number for this connection.
    pub(super) fn number(&self) -> u32 {
        self.number.get()
    }

    /// Gives it another number.
    pub(super) fn renumber(&self, number: u32) {
        self.number.set(number);
    }

    /// The PID of the shim, once known.
    pub(super) fn shim_pid(&self) -> Option<u32> {
        self.shim.get()
    }

    /// Sets the PID of the shim, as its keeper reported it.
    pub(super) fn set_shim(&self, pid: u32) {
        self.shim.set(Some(pid));
    }

    /// Whether the shim has reported its state.
    pub(super) fn is_known(&self) -> bool {
        self.is_known.get()
    }

    /// Records that the shim has reported its state.
    pub(super) fn set_known(&self) {
        self.is_known.set(true);
    }

    /// Expects any message within this time; otherwise the result is `Silence`.
    pub(super) fn expect_within(&self, within: Duration) {
        let by = Instant::now() + within;
        if self.due.get().is_none_or(|due| by < due.by) {
            self.due.set(Some(Due { by, within }));
            self.pending.notify_one();
        }
    }

    /// Expects the end of the connection within this time, whatever else the shim sends.
    pub(super) fn expect_end_within(&self, within: Duration) {
        self.is_ending.set(true);
        self.due.set(Some(Due { by: Instant::now() + within, within }));
        self.pending.notify_one();
    }

    /// Asks whether the shim is alive, and expects an answer within this time.
    pub(super) fn ask(&self, within: Duration) {
        self.send(Request::Kill { number: ECHO }.encode(), Vec::new());
        self.expect_within(within);
    }

    /// Closes the connection; the listening task sees its end.
    pub(super) fn close(&self) {
        let _ = nix::sys::socket::shutdown(self.stream.as_raw_fd(), nix::sys::socket::Shutdown::Both);
    }

    /// Sends as much as possible at once; the connection's own task sends the rest.
    pub(super) fn send(&self, bytes: Vec<u8>, fds: Vec<OwnedFd>) {
        self.unsent.borrow_mut().push_back((bytes, fds));
        self.flush();
        if !self.unsent.borrow().is_empty() {
            self.pending.notify_one();
        }
    }

    fn flush(&self) {
        let mut unsent = self.unsent.borrow_mut();
        while let Some((bytes, fds)) = unsent.front_mut() {
            let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
            // Try before waiting: a new socket is writable before the reactor knows.
            match send(self.stream.as_fd(), bytes, &raw) {
                Ok(count) => {
                    bytes.drain(..count);
                    fds.clear();
                    if bytes.is_empty() {
                        unsent.pop_front();
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    // Clears the reactor's readiness, so that the next wait really waits.
                    let _ = self
                        .stream
                        .try_io(Interest::WRITABLE, || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock)));
                    return;
                }
                // A failed message is not repeated: the connection ends, and the next one shows what is missing.
                Err(_) => {
                    unsent.clear();
                    self.close();
                }
            }
        }
    }

    /// Waits for the next report, a missed deadline or the end.
    pub(super) async fn next(&self, fds: &mut VecDeque<OwnedFd>) -> Heard {
        loop {
            match self.take_report(fds) {
                Ok(Some(report)) => return Heard::Report(report),
                Ok(None) => {}
                Err(_) => return Heard::End,
            }
            let is_unsent = !self.unsent.borrow().is_empty();
            let due = self.due.get();
            tokio::select! {
                biased;
                readable = self.stream.readable() => match readable.map(|()| self.read()) {
                    Ok(true) => {}
                    Ok(false) | Err(_) => return Heard::End,
                },
                writable = self.stream.writable(), if is_unsent => match writable {
                    Ok(()) => self.flush(),
                    Err(_) => return Heard::End,
                },
                () = self.pending.notified() => {}
                () = until(due) => if self.is_over_due() {
                    return Heard::Silence;
                },
            }
        }
    }

    /// Whether an answer is overdue. Unread data counts as an answer.
    fn is_over_due(&self) -> bool {
        let Some(Due { by, within }) = self.due.get() else { return false };
        let is_unread = rustix::io::ioctl_fionread(self.stream.as_fd()).is_ok_and(|count| count > 0);
        if is_unread && !self.is_ending.get() || by.elapsed() > LATE {
            self.due.set(Some(Due { by: Instant::now() + within, within }));
            return false;
        }
        self.due.set(None);
        true
    }

    /// Reads what has arrived. Returns false at the end of the connection.
    fn read(&self) -> bool {
        let mut buffer = [0; 8 << 10];
        let read = self.stream.try_io(Interest::READABLE, || {
            let mut incoming = self.incoming.borrow_mut();
            receive(self.stream.as_fd(), &mut buffer, &mut incoming.fds).map_err(io::Error::from)
        });
        match read {
            Ok(0) => return false,
            Ok(count) => self.incoming.borrow_mut().push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        }
        // Any message proves that the shim is alive; but a shim that was told to exit still has to.
        if !self.is_ending.get() {
            self.due.set(None);
        }
        true
    }

    fn take_report(&self, fds: &mut VecDeque<OwnedFd>) -> io::Result<Option<Report>> {
        let mut incoming = self.incoming.borrow_mut();
        while let Some((kind, fields)) = incoming.next_frame().map_err(io::Error::other)? {
            let Ok(Some(report)) = Report::decode(kind, &fields) else { continue };
            if let Report::Hello { shim, .. } = &report {
                self.shim.set(Some(*shim));
            }
            if let Report::Sockets { names } = &report {
                let count = names.len().min(incoming.fds.len());
                fds.extend(incoming.fds.drain(..count));
            }
            return Ok(Some(report));
        }
        Ok(None)
    }
}

/// Connects to the shim that opened this socket, without waiting: a full queue is an error. Also returns the PID of the
/// process that opened it, if the kernel reports it.
pub(crate) fn call(path: &Path) -> io::Result<(OwnedFd, Option<u32>)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    let shim = peer::check(&fd, path)?;
    Ok((fd, shim))
}

async fn until(due: Option<Due>) {
    match due {
        Some(Due { by, .. }) => tokio::time::sleep_until(by).await,
        None => std::future::pending().await,
    }
}
