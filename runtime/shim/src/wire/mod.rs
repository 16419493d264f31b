//! The protocol between supervisor, keeper and shims: length-prefixed binary frames.
//!
//! A frame is `u32 length` (little-endian, of what follows), `u8 version`, `u8 kind`, then the fields of the message
//! in order. Numbers are little-endian; text and lists have a `u32` count. A message only grows at its end: a reader
//! skips fields that it does not know, and uses a default for missing ones. So every version that was ever released
//! is still understood.
//!
//! Descriptors are sent with the first byte of the frame they belong to (`SCM_RIGHTS`).

mod codec;
mod keeper;
mod shim;
mod start;
mod stream;

pub use codec::{Reader, Truncated, Writer};
pub use keeper::{KeeperReport, KeeperRequest};
pub use shim::{ECHO, Life, Report, Request, Scope};
pub use start::{FileToWrite, Identity, LogPlace, Start};
pub use stream::{FrameBuffer, MAX_FDS, frame, receive, send};

/// The version that this build speaks.
pub const VERSION: u8 = 1;
/// A longer frame is an error.
pub const MAX_FRAME: usize = 16 << 20;
