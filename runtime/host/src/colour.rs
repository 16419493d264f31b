//! Escape sequences that set colours on a terminal (`ESC [ 1 ; 31 m`, ECMA-48 "SGR").

/// The length in bytes of the sequence that a text starts with, if it starts with one.
pub fn sequence(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"\x1b[")?;
    let end = inner.iter().position(|byte| !(byte.is_ascii_digit() || matches!(byte, b';' | b':')))?;
    (inner[end] == b'm').then_some(text.len() - inner.len() + end + 1)
}
