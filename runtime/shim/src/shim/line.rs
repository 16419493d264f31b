//! The connection to the supervisor: neither reading nor writing ever blocks.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;

use crate::wire::{FrameBuffer, Request, receive, send};

/// Limit in bytes for a supervisor that does not read, so that the shim does not grow. Beyond it, the line is closed.
const MOST_UNSENT: usize = 1 << 20;

pub(super) struct Line {
    fd: OwnedFd,
    incoming: FrameBuffer,
    /// What could not be sent yet: bytes, and the descriptors that go with the first of them.
    unsent: VecDeque<(Vec<u8>, Vec<RawFd>)>,
    broken: bool,
}

impl Line {
    pub(super) fn new(fd: OwnedFd) -> Self {
        if let Ok(flags) = fcntl(&fd, FcntlArg::F_GETFL) {
            let flags = OFlag::from_bits_truncate(flags) | OFlag::O_NONBLOCK;
            let _ = fcntl(&fd, FcntlArg::F_SETFL(flags));
        }
        Self { fd, incoming: FrameBuffer::default(), unsent: VecDeque::new(), broken: false }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn interest(&self) -> PollFlags {
        if self.unsent.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT }
    }

    /// Reads what is there. Returns false when the connection has ended.
    pub(super) fn read(&mut self, requests: &mut VecDeque<(Request, Vec<OwnedFd>)>) -> bool {
        let mut buffer = [0; 16 << 10];
        let is_open = loop {
            match receive(self.fd.as_fd(), &mut buffer, &mut self.incoming.fds) {
                Ok(0) => break false,
                Ok(count) => self.incoming.push(&buffer[..count]),
                Err(Errno::EAGAIN) => break true,
                Err(Errno::EINTR) => {}
                Err(_) => break false,
            }
        };
        loop {
            match self.incoming.next_frame() {
                Ok(Some((kind, fields))) => {
                    let Ok(Some(request)) = Request::decode(kind, &fields) else { continue };
                    let count = request.descriptors().min(self.incoming.fds.len());
                    let fds = self.incoming.fds.drain(..count).collect();
                    requests.push_back((request, fds));
                }
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        is_open && !self.broken
    }

    /// Sends, or keeps for later what cannot be sent now.
    pub(super) fn send(&mut self, bytes: &[u8], fds: &[RawFd]) {
        self.unsent.push_back((bytes.to_vec(), fds.to_vec()));
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while let Some((bytes, fds)) = self.unsent.front_mut() {
            match send(self.fd.as_fd(), bytes, fds) {
                Ok(count) => {
                    bytes.drain(..count);
                    fds.clear();
                    if bytes.is_empty() {
                        self.unsent.pop_front();
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => self.give_up(),
            }
        }
        if self.unsent.iter().map(|(bytes, _)| bytes.len()).sum::<usize>() > MOST_UNSENT {
            self.give_up();
        }
    }

    /// Something could not be sent, so the connection is closed: the other side notices, opens another one, and gets
    /// the state of this shim there.
    fn give_up(&mut self) {
        self.broken = true;
        self.unsent.clear();
        let _ = nix::sys::socket::shutdown(self.fd.as_raw_fd(), nix::sys::socket::Shutdown::Both);
    }

    /// Whether it was closed after a failure.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }
}
