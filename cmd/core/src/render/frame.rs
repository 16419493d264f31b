//! Lines that are redrawn in place on a terminal; otherwise printed one block after the other.

use std::io::{self, Write as _};

use console::Term;

use core_host::harmless::harmless;

/// What the terminal shows now.
pub(crate) struct Frame {
    /// `None` if the output is not a terminal.
    terminal: Option<Term>,
    size: (u16, u16),
    height: usize,
    is_first: bool,
}

impl Frame {
    pub(crate) fn new() -> Self {
        let terminal = Some(Term::stdout()).filter(|term| term.features().is_attended());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = terminal.filter(|_| !is_dumb);
        Self { terminal, size: (0, 0), height: 0, is_first: true }
    }

    /// Whether the next lines replace those drawn before.
    pub(crate) fn is_redrawn(&self) -> bool {
        self.terminal.is_some()
    }

    /// Draws the lines; an error means that the output is closed.
    pub(crate) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let text = match &self.terminal {
            // An empty line marks the end of a block.
            None => format!("{}\n\n", shown(lines).join("\n")),
            Some(term) => {
                let size = term.size_checked().unwrap_or((24, 80));
                let begin = if self.is_first {
                    // Otherwise the cursor would jump at the end of every frame.
                    "\x1b[?25l".to_owned()
                } else if size != self.size {
                    // The terminal has rewrapped the lines, so their positions are unknown.
                    "\x1b[2J\x1b[H".to_owned()
                } else {
                    up(self.height)
                };
                self.size = size;
                let room = usize::from(size.0).saturating_sub(1).max(2);
                let (text, height) = frame(&shown(lines), room);
                self.height = height;
                format!("{begin}{text}")
            }
        };
        self.is_first = false;
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if self.terminal.is_some() && !self.is_first {
            let mut out = io::stdout().lock();
            let _ = out.write_all(b"\x1b[?25h");
            let _ = out.flush();
        }
    }
}

/// Moves the cursor to the start of what was drawn.
fn up(height: usize) -> String {
    if height == 0 { "\r".to_owned() } else { format!("\r\x1b[{height}A") }
}

/// Lines cut to the height of the terminal, and their number. The terminal cuts those that are too wide: if it wrapped
/// one, moving up would miss by a line.
fn frame(lines: &[String], room: usize) -> (String, usize) {
    let mut shown = lines.to_vec();
    if shown.len() > room {
        let more = shown.len() - (room - 1);
        shown.truncate(room - 1);
        shown.push(format!("… and {more} more lines"));
    }
    // Erased before it is written: after a line as wide as the terminal, its last character would be erased.
    let body: String = shown.iter().map(|line| format!("\x1b[K{line}\n")).collect();
    (format!("\x1b[?7l{body}\x1b[?7h\x1b[J"), shown.len())
}

/// The lines, with colours if they are wanted. Only for lines: sequences that move the cursor must stay.
fn shown(lines: &[String]) -> Vec<String> {
    let is_plain = anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never;
    let plain = |line: &String| anstream::adapter::strip_str(line).to_string();
    lines
        .iter()
        .flat_map(|line| harmless(line).lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| if is_plain { plain(&line) } else { line })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted() {
        let lines: Vec<String> = (0..5).map(|number| number.to_string()).collect();
        assert_eq!(frame(&lines, 5), ("\x1b[?7l\x1b[K0\n\x1b[K1\n\x1b[K2\n\x1b[K3\n\x1b[K4\n\x1b[?7h\x1b[J".into(), 5));
        assert_eq!(frame(&lines, 3), ("\x1b[?7l\x1b[K0\n\x1b[K1\n\x1b[K… and 3 more lines\n\x1b[?7h\x1b[J".into(), 3));
    }
}
