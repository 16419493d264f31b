//! `.env`: `NAME=value` a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, SourceFile, Span};

/// Reads a `.env` file: `NAME=value` or `export NAME=value`, comments after `#`, values bare, 'single' (literal) or
/// "double" quoted (`\n`, `\t`, `\"`, `\\`, `\$`; may span lines). Nothing in a value is expanded. A later line wins.
pub fn parse(file: &Arc<SourceFile>, out: &mut Vec<Diagnostic>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let text = &file.text;
    let mut at = 0;
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
    let (left, right) = line.split_once('=').ok_or("this line is no `NAME=value`")?;
    let name = left.trim().strip_prefix("export ").unwrap_or(left).trim();
    let well_formed = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !well_formed {
        return Err(format!("`{name}` cannot be the name of a variable"));
    }
    let value_start = start + left.len() + 1;
    let lead = right.len() - right.trim_start().len();
    let value_at = value_start + lead;
    match right.trim_start().chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (value, end) = quoted(&text[value_at + 1..], quote).ok_or(format!("the `{quote}` is never closed"))?;
            Ok((name.to_owned(), value, value_at + 1 + end))
        }
        _ => {
            let bare = right.find(" #").map_or(right, |comment| &right[..comment]);
            let bare = if right.trim_start().starts_with('#') { "" } else { bare };
            Ok((name.to_owned(), bare.trim().to_owned(), line_end))
        }
    }
}

/// A quoted value and where it ends (after the closing quote).
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
    fn a_broken_line_is_named_and_the_rest_is_read() {
        let (all, out) = read("A=1\nnonsense\n1X=2\nB='open\nC=3");
        assert_eq!(all.get("A").map(String::as_str), Some("1"));
        assert_eq!(all.get("C").map(String::as_str), Some("3"));
        assert_eq!(out.len(), 3, "{out:?}");
        assert!(out[0].starts_with("2: ") && out[1].starts_with("3: ") && out[2].starts_with("4: "), "{out:?}");
    }
}
