//! How supervisor, keeper and shims speak to each other: length-prefixed frames of plain bytes.
//!
//! A frame is `u32 length` (little-endian, of what follows), `u8 version`, `u8 kind`, then the fields of the message
//! in order. Numbers are little-endian; text and lists carry a `u32` count. A message only ever grows at its end: a
//! reader skips what it does not know, and takes a default for what is not there. So every version that was ever
//! released stays spoken.
//!
//! Descriptors travel beside the first byte of the frame they belong to (`SCM_RIGHTS`).

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

/// The version this build speaks.
pub const VERSION: u8 = 1;
/// A frame longer than this is a mistake.
pub const MAX_FRAME: usize = 16 << 20;
