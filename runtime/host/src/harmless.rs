//! Makes text from other programs (services, probes) harmless for a terminal. Colours stay; whatever moves the cursor,
//! sets a title or reaches the clipboard becomes text.

use std::fmt::Write as _;

use crate::colour;

/// Ends all colours that a text has set.
const RESET: &str = "\u{1b}[0m";

/// The same text with control characters as `\u001b`, which JSON also accepts. Line ends, tabs and colours stay.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_harmful) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(length) = colour::sequence(rest.as_bytes()) {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let mut characters = rest.chars();
        if let Some(control) = characters.next() {
            let _ = write!(out, "\\u{:04x}", u32::from(control));
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out
}

/// A line from another program, made harmless; its colours end with it.
pub fn harmless_line(text: &str) -> String {
    let text = harmless(text);
    if text.contains('\u{1b}') { text + RESET } else { text }
}

fn is_harmful(character: char) -> bool {
    // Characters that change the writing direction can make a text look like another one.
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || character.is_control() && !matches!(character, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_everything_else_is_text() {
        for (said, shown) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m"),
            ("\u{1b}]0;title\u{7}", r"\u001b]0;title\u0007"),
            ("\u{1b}]52;c;cm0K\u{7}", r"\u001b]52;c;cm0K\u0007"),
            ("\u{1b}[2J\u{1b}[?1049h", r"\u001b[2J\u001b[?1049h"),
            ("\u{202e}backwards", r"\u202ebackwards"),
            ("fake\rspoofed", r"fake\u000dspoofed"),
            ("\u{9b}2J\u{7f}", r"\u009b2J\u007f"),
            ("\u{1b}", r"\u001b"),
            ("é\u{1b}[3", r"é\u001b[3"),
        ] {
            assert_eq!(harmless(said), shown, "{said:?}");
        }
        assert_eq!(harmless_line("\u{1b}[31mred"), "\u{1b}[31mred\u{1b}[0m");
        assert_eq!(harmless_line("plain"), "plain");
    }
}
