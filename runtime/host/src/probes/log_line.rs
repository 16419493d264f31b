//! Waits for a line of output: each probe reads the log of the invocation from where the last one ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use core_engine::InvocationId;
use core_shim::place::Stream;

use super::NotGood;
use super::answer::{is_lack, plain};
use crate::colour;
use crate::logs::segment_path;
use crate::paths::Paths;

/// The most bytes to read at once.
const CHUNK: usize = 64 << 10;
/// A longer line is searched in pieces. In bytes.
const LONGEST: usize = 1 << 20;

/// How far the output of an invocation was read.
#[derive(Default)]
pub struct Tail {
    streams: [Position; 2],
}

#[derive(Default)]
struct Position {
    segment: u32,
    offset: u64,
    /// The start of an incomplete line.
    open: Vec<u8>,
}

impl Tail {
    /// Searches the output since the last call for `text`.
    pub(super) fn look_for(&mut self, text: &str, paths: &Paths, invocation: &InvocationId) -> Result<(), NotGood> {
        for (stream, position) in Stream::BOTH.into_iter().zip(&mut self.streams) {
            let path = |segment| segment_path(paths, invocation, stream, segment, "log");
            let found = position.look_for(text.as_bytes(), path);
            if found.map_err(|error| NotGood::Unasked(plain(&error)))? {
                return Ok(());
            }
        }
        Err(NotGood::Bad(format!("no line with `{text}` yet")))
    }
}

impl Position {
    /// # Errors
    /// Why the log cannot be read.
    fn look_for(&mut self, wanted: &[u8], path: impl Fn(u32) -> PathBuf) -> io::Result<bool> {
        loop {
            let file = match File::open(path(self.segment)) {
                Ok(file) => file,
                Err(error) if is_lack(&error) => return Err(error),
                Err(_) => return Ok(false),
            };
            let mut buffer = vec![0; CHUNK];
            while let Ok(count @ 1..) = file.read_at(&mut buffer, self.offset) {
                self.offset += count as u64;
                self.open.extend_from_slice(&buffer[..count]);
                if self.lines_hold(wanted) {
                    return Ok(true);
                }
            }
            // The next segment starts when this one is full.
            if !path(self.segment + 1).exists() {
                return Ok(false);
            }
            self.segment += 1;
            self.offset = 0;
        }
    }

    fn lines_hold(&mut self, wanted: &[u8]) -> bool {
        let ended = self.open.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let holds = |bytes: &[u8]| wanted.is_empty() || bytes.windows(wanted.len()).any(|window| window == wanted);
        // An incomplete line counts if it already contains the text, since output is never removed. Colours within the
        // text do not matter.
        if holds(&self.open) || self.open.contains(&ESCAPE) && holds(&without_colours(&self.open)) {
            return true;
        }
        self.open.drain(..ended);
        if self.open.len() > LONGEST {
            self.open.drain(..self.open.len() - wanted.len().max(1));
        }
        false
    }
}
/// The first byte of an escape sequence.
const ESCAPE: u8 = 0x1b;

/// A text without the sequences that set colours.
fn without_colours(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        rest = if let Some(length) = colour::sequence(rest) {
            &rest[length..]
        } else {
            out.push(*first);
            after
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_no_part_of_what_is_looked_for() {
        let mut position =
            Position { open: b"\x1b[32mready\x1b[0m in \x1b[1m300\x1b[0m ms\n".to_vec(), ..Position::default() };
        assert!(position.lines_hold(b"ready in 300 ms"));
        assert_eq!(without_colours(b"a\x1b[2Kb\x1b[1;31mc"), b"a\x1b[2Kbc");
    }
}
