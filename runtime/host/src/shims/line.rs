//! One line to a shim: frames out, frames in, never waited for by anything but its own task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::rc::Rc;

use core_engine::InstanceId;
use core_engine::event::Event;
use core_shim::wire::{FrameBuffer, Report, receive, send};
use nix::errno::Errno;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

/// Whether a shim was told to go.
#[derive(Default)]
enum Released {
    /// The end of its line is a loss.
    #[default]
    No,
    /// It was: the end of its line says that it has gone.
    Told {
        /// What it leaves behind and nobody needs.
        leaves: Option<PathBuf>,
    },
}

/// A line to a shim.
pub(crate) struct Line {
    stream: UnixStream,
    unsent: RefCell<VecDeque<(Vec<u8>, Vec<OwnedFd>)>>,
    /// There is something unsent.
    pending: Notify,
    incoming: RefCell<FrameBuffer>,
    released: RefCell<Released>,
    shim: Cell<Option<u32>>,
}

impl Line {
    fn new(stream: StdStream) -> io::Result<Rc<Self>> {
        stream.set_nonblocking(true)?;
        Ok(Rc::new(Self {
            stream: UnixStream::from_std(stream)?,
            unsent: RefCell::default(),
            pending: Notify::new(),
            incoming: RefCell::default(),
            released: RefCell::default(),
            shim: Cell::new(None),
        }))
    }

    /// A line to a shim that is to be forked, and the end that goes to it.
    pub(super) fn pair() -> io::Result<(Rc<Self>, OwnedFd)> {
        let (ours, theirs) = StdStream::pair()?;
        Ok((Self::new(ours)?, theirs.into()))
    }

    /// A line to a shim that is found.
    pub(super) fn connect(path: &std::path::Path) -> io::Result<Rc<Self>> {
        Self::new(StdStream::connect(path)?)
    }

    /// The shim's process, once it has said so.
    pub(super) fn shim_pid(&self) -> Option<u32> {
        self.shim.get()
    }

    /// From now on its end is expected, and takes with it what the shim leaves behind.
    pub(super) fn release(&self, leaves: Option<PathBuf>) {
        *self.released.borrow_mut() = Released::Told { leaves };
    }

    /// Sends at once what can be sent at once; the rest by the line's own task.
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
            // Directly first: a fresh socket is writable before the reactor has heard of it.
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
                    // Clears the reactor's idea of readiness, so that waiting really waits.
                    let _ = self
                        .stream
                        .try_io(Interest::WRITABLE, || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock)));
                    return;
                }
                // Its end is told by the reader.
                Err(_) => unsent.clear(),
            }
        }
    }

    /// Waits for the next report.
    ///
    /// # Errors
    /// At the end of the line.
    pub(super) async fn next(&self, fds: &mut VecDeque<OwnedFd>) -> io::Result<Report> {
        loop {
            if let Some(report) = self.take_report(fds)? {
                return Ok(report);
            }
            tokio::select! {
                readable = self.stream.readable() => readable?,
                () = self.pending.notified() => {
                    self.stream.writable().await?;
                    self.flush();
                    continue;
                }
            }
            let mut buffer = [0; 8 << 10];
            let read = self.stream.try_io(Interest::READABLE, || {
                let mut incoming = self.incoming.borrow_mut();
                receive(self.stream.as_fd(), &mut buffer, &mut incoming.fds).map_err(io::Error::from)
            });
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.incoming.borrow_mut().push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
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

    /// Reads reports and gives them to the engine, until the line ends.
    pub(super) fn listen(self: Rc<Self>, instance: InstanceId, inbox: UnboundedSender<Event>) {
        tokio::task::spawn_local(async move {
            let mut fds = VecDeque::new();
            while let Ok(report) = self.next(&mut fds).await {
                if let Some(event) = super::event_of(&instance, report) {
                    let _ = inbox.send(event);
                }
            }
            match self.released.take() {
                Released::No => drop(inbox.send(Event::ShimLost { instance })),
                Released::Told { leaves } => drop(leaves.map(std::fs::remove_dir_all)),
            }
        });
    }
}
