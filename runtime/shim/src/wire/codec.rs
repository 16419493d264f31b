//! Encodes and decodes the fields of messages.

use std::fmt;

/// Encodes the fields of a message.
#[derive(Default)]
pub struct Writer(Vec<u8>);

/// A message ended in the middle of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message ends in the middle of a field")
    }
}

impl std::error::Error for Truncated {}

impl Writer {
    /// The encoded bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Writes one byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Writes a flag, as one byte.
    pub fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Writes four bytes, little-endian.
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes four bytes, signed, little-endian.
    pub fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes eight bytes, little-endian.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes bytes with their count.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(value);
    }

    /// Writes a list with its count.
    pub fn list<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
        for value in values {
            write(self, value);
        }
    }

    /// Writes a flag, and the value if there is one.
    pub fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Decodes the fields of a message.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left: an older writer did not know the next field.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        self.take(N)?.try_into().map_err(|_| Truncated)
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        Ok(self.array::<1>()?[0])
    }

    /// Reads a flag.
    pub fn flag(&mut self) -> Result<bool, Truncated> {
        Ok(self.u8()? != 0)
    }

    /// Reads four bytes.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Reads four bytes, signed.
    pub fn i32(&mut self) -> Result<i32, Truncated> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// Reads eight bytes.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reads bytes with their count.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Truncated> {
        let count = self.u32()? as usize;
        Ok(self.take(count)?.to_vec())
    }

    /// Reads text; invalid UTF-8 is replaced.
    pub fn text(&mut self) -> Result<String, Truncated> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }

    /// Reads a list with its count.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, Truncated>) -> Result<Vec<T>, Truncated> {
        let count = self.u32()? as usize;
        // Memory for the count is only reserved as far as there are bytes behind it.
        let mut all = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            all.push(read(self)?);
        }
        Ok(all)
    }

    /// Reads a value that may be absent.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Truncated>) -> Result<Option<T>, Truncated> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }
}
