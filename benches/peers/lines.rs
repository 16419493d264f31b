//! Numbered lines of a hundred bytes, and how many of them are found again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// Bytes of a line, with its end.
pub(crate) const LENGTH: usize = 100;

/// Digits of a writer, and of a number.
const DIGITS: usize = 10;
/// `#`, the writer, `:`, the number.
const HEAD: usize = 2 + 2 * DIGITS;

/// Appends one line.
pub(crate) fn append(text: &mut Vec<u8>, writer: u64, number: u64) {
    let begin = text.len();
    text.resize(begin + LENGTH, b'.');
    let line = &mut text[begin..];
    line[0] = b'#';
    digits(&mut line[1..=DIGITS], writer);
    line[DIGITS + 1] = b':';
    digits(&mut line[DIGITS + 2..HEAD], number);
    line[LENGTH - 1] = b'\n';
}

fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// Which lines were found, by writer.
#[derive(Default)]
pub(crate) struct Found(BTreeMap<u64, Vec<bool>>);

impl Found {
    /// Looks for heads of lines in files, which are one stream in this order. Whatever a tool writes before a line
    /// does not matter; a line without its end is one, too.
    pub(crate) fn read(files: &[PathBuf]) -> io::Result<Self> {
        let mut found = Self::default();
        let mut buffer = vec![0; 1 << 20];
        let mut kept = 0;
        for file in files {
            let mut file = File::open(file)?;
            loop {
                let read = file.read(&mut buffer[kept..])?;
                if read == 0 {
                    break;
                }
                let end = kept + read;
                let rest = found.take(&buffer[..end]);
                buffer.copy_within(rest..end, 0);
                kept = end - rest;
            }
        }
        Ok(found)
    }

    /// Takes in what is whole, and returns where the rest begins.
    fn take(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        while let Some(step) = text[at..].iter().position(|byte| *byte == b'#') {
            at += step;
            if text.len() - at < HEAD {
                return at;
            }
            let number = |from: usize| std::str::from_utf8(&text[from..from + DIGITS]).ok()?.parse::<u64>().ok();
            match (number(at + 1), text[at + DIGITS + 1], number(at + DIGITS + 2)) {
                // A line from before a fault of the tool may hold anything: no number is believed that is too large.
                (Some(writer), b':', Some(number)) if number < 1 << 30 => {
                    let seen = self.0.entry(writer).or_default();
                    let index = usize::try_from(number).unwrap_or(0);
                    if seen.len() <= index {
                        seen.resize(index + 1, false);
                    }
                    seen[index] = true;
                    at += HEAD;
                }
                _ => at += 1,
            }
        }
        text.len()
    }

    /// How many different lines of a writer there were.
    pub(crate) fn of(&self, writer: u64) -> u64 {
        self.0.get(&writer).map_or(0, |seen| seen.iter().filter(|there| **there).count() as u64)
    }
}
