//! `.env`: one `NAME=value` per line.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::variables;

/// The byte order mark that some editors put at the start of a file.
const MARK: char = '\u{feff}';

/// Reads a `.env` file: `NAME=value` or `export NAME=value`, comments after `#`, values bare, 'single' (literal) or
/// "double" quoted (`\n`, `\t`, `\"`, `\\`, `\$`; may span lines). Nothing in a value is expanded. A later line wins.
/// Lines may end with CRLF. What bash, compose and Node would read differently is an error.
pub fn parse(file: &Arc<SourceFile>, out: &mut Vec<Diagnostic>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let text = &file.text;
    // A byte order mark is not part of the first name.
    let mut at = if text.starts_with(MARK) { MARK.len_utf8() } else { 0 };
    while at < text.len() {
        let line_end = text[at..].find('\n').map_or(text.len(), |offset| at + offset);
        let line = text[at..line_end].trim_end_matches('\r');
        let body = line.trim_start();
        let start = at + (line.len() - body.len());
        let mut next = line_end + 1;
        if !body.is_empty() && !body.starts_with('#') {
            match assignment(text, start, line_end) {
                Ok((name, value, end)) => {
                    all.insert(name, value);
                    next = text[end..].find('\n').map_or(text.len(), |offset| end + offset + 1);
                }
                Err(message) => out.push(
                    Diagnostic::new("dotenv", message)
                        .at(Span { file: file.clone(), start, end: line_end })
                        .help("write `NAME=value`"),
                ),
            }
        }
        at = next;
    }
    all
}

fn assignment(text: &str, start: usize, line_end: usize) -> Result<(String, String, usize), String> {
    let line = &text[start..line_end];
    let (left, right) = line.split_once('=').ok_or("this line is not `NAME=value`")?;
    let exported = left.trim().strip_prefix("export").filter(|rest| rest.starts_with(char::is_whitespace));
    let name = exported.unwrap_or(left).trim();
    let well_formed = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !well_formed {
        return Err(format!("`{name}` cannot be the name of a variable"));
    }
    if variables::is_own(name) {
        return Err(format!("`{name}` is set by core itself"));
    }
    let value_start = start + left.len() + 1;
    let lead = right.len() - right.trim_start().len();
    let value_at = value_start + lead;
    match right.trim_start().chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (value, end) = quoted(&text[value_at + 1..], quote).ok_or(format!("the `{quote}` is never closed"))?;
            let end = value_at + 1 + end;
            let behind = text[end..].lines().next().unwrap_or_default();
            if !behind.trim().is_empty() && !behind.trim_start().starts_with('#') {
                return Err(format!("there is more behind the closing {quote}"));
            }
            Ok((name.to_owned(), value.replace("\r\n", "\n"), end))
        }
        _ => {
            let bare = before_comment(right);
            let bare = if right.trim_start().starts_with('#') { "" } else { bare };
            Ok((name.to_owned(), bare.trim().to_owned(), line_end))
        }
    }
}

/// A bare value without the comment after it.
fn before_comment(text: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| text[..*at].ends_with([' ', '\t']);
    text.match_indices('#').find(begins).map_or(text, |(at, _)| &text[..at])
}

/// A quoted value, and the offset after its closing quote.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((value, at + 1));
        }
        if c == '\\' && quote == '"' {
            match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                escaped @ ('"' | '\\' | '$') => value.push(escaped),
                other => value.extend(['\\', other]),
            }
        } else {
            value.push(c);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let file = Arc::new(SourceFile { path: ".env".into(), text: text.into() });
        let mut out = Vec::new();
        let all = parse(&file, &mut out);
        (all, out.iter().map(|d| format!("{}: {}", d.at.as_ref().unwrap().line_column().0, d.message)).collect())
    }

    #[test]
    fn the_usual_forms_are_read() {
        let (all, out) = read(
            "# comment\n\nA=1\nexport B = two words # comment\nC='si\\n$x'\nD=\"a\\nb \\\"q\\\" #no\" # c\nE=\nF=a#b\nA=2\r\nG=\"two\nlines\"\nH=#c\nI=x=y",
        );
        assert_eq!(out, Vec::<String>::new());
        let expected = [
            ("A", "2"),
            ("B", "two words"),
            ("C", "si\\n$x"),
            ("D", "a\nb \"q\" #no"),
            ("E", ""),
            ("F", "a#b"),
            ("G", "two\nlines"),
            ("H", ""),
            ("I", "x=y"),
        ];
        assert_eq!(all, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn what_editors_and_shells_add_is_no_riddle() {
        let (all, out) = read("\u{feff}A=1\r\nexport\tB=2\t# c\r\nC=\"x\r\ny\"\r\nD='a' # c\r\n");
        assert_eq!(out, Vec::<String>::new());
        let expected = [("A", "1"), ("B", "2"), ("C", "x\ny"), ("D", "a")];
        assert_eq!(all, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn what_is_read_in_different_ways_is_complained_of() {
        let (_, out) = read("E='it'\\''s'\nF=\"a\"b\nA=\"x\nB=\"y\"\nCORE_ROOT=/x\nCORE_TOKEN=abc\nLISTEN_ADDR=:80\n");
        let places: Vec<&str> = out.iter().filter_map(|one| one.split_once(": ").map(|(line, _)| line)).collect();
        assert_eq!(places, ["1", "2", "3", "5"], "{out:?}");
        assert!(out[0].contains("behind the closing '") && out[3].contains("set by core itself"), "{out:?}");
    }

    #[test]
    fn a_broken_line_is_named_and_the_rest_is_read() {
        let (all, out) = read("A=1\nnonsense\n1X=2\nB='open\nC=3");
        assert_eq!(all.get("A").map(String::as_str), Some("1"));
        assert_eq!(all.get("C").map(String::as_str), Some("3"));
        assert_eq!(out.len(), 3, "{out:?}");
        assert!(out[0].starts_with("2: ") && out[1].starts_with("3: ") && out[2].starts_with("4: "), "{out:?}");
    }
}
