//! Frames on a byte stream, with descriptors.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::{MAX_FRAME, VERSION};
use crate::message;

/// The most descriptors that are sent with one message. The kernel allows 253.
pub const MAX_FDS: usize = 64;

/// A frame of these fields, with its header.
pub fn frame(kind: u8, fields: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(fields.len() + 6);
    let length = u32::try_from(fields.len() + 2).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[VERSION, kind]);
    bytes.extend_from_slice(fields);
    bytes
}

/// Sends as much of `bytes` as fits, with `fds` attached to the first byte. Returns the number of bytes sent.
///
/// # Errors
/// The error of the kernel, including `EAGAIN`.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[RawFd]) -> Result<usize, Errno> {
    let slices = [IoSlice::new(bytes)];
    let rights = [ControlMessage::ScmRights(fds)];
    let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
    sendmsg::<()>(socket.as_raw_fd(), &slices, control, MsgFlags::MSG_NOSIGNAL, None)
}

/// Receives bytes into `buffer`, and descriptors (close-on-exec) into `fds`. Returns the number of bytes; 0 is the end.
///
/// # Errors
/// The error of the kernel, including `EAGAIN`.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], fds: &mut VecDeque<OwnedFd>) -> Result<usize, Errno> {
    let message = message::receive(socket, buffer)?;
    fds.extend(message.fds);
    Ok(message.bytes)
}

/// Collects received bytes until frames are complete.
#[derive(Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// Descriptors that belong to frames that were not taken yet.
    pub fds: VecDeque<OwnedFd>,
}

impl FrameBuffer {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The kind and fields of the next complete frame; `None` if there is none yet.
    ///
    /// # Errors
    /// When the header is not valid; the connection has to be closed.
    pub fn next_frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, String> {
        let Some(head) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if !(2..=MAX_FRAME).contains(&length) {
            return Err(format!("a frame of {length} bytes"));
        }
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        let kind = self.bytes[5];
        let fields = self.bytes[6..4 + length].to_vec();
        self.bytes.drain(..4 + length);
        // The memory for a long message is not kept.
        if self.bytes.is_empty() && self.bytes.capacity() > 1 << 10 {
            self.bytes = Vec::new();
        }
        Ok(Some((kind, fields)))
    }
}
