//! Errors in placeholders, and how to fix them.

use crate::name::nearest;

/// Words that are followed by a dot and a name.
const SPACES: &[&str] = &["dep", "env", "fd", "port", "secret"];
/// Words that stand alone.
const WORDS: &[&str] = &["root", "data", "run", "edge", "replica", "instance", "release"];

/// The code, the message and the help of an error.
pub(super) type Fault = (&'static str, String, Option<String>);

/// An error as a result.
pub(super) fn fault<T>(code: &'static str, message: impl Into<String>, help: Option<String>) -> Result<T, Fault> {
    Err((code, message.into(), help))
}

/// The error for an unknown name.
pub(super) fn unknown(name: &str) -> Fault {
    let known = WORDS.iter().copied().chain(SPACES.iter().copied());
    let (head, tail) = name.split_once('.').map_or((name, None), |(head, tail)| (head, Some(tail)));
    let help = match nearest(head, known) {
        Some(word) if SPACES.contains(&word) => {
            format!("did you mean `${{{word}.{}}}`?", tail.unwrap_or("NAME"))
        }
        Some(word) => format!("did you mean `${{{word}}}`?"),
        None => format!(
            "known: {}, {}; for a literal `$` write `$$`",
            WORDS.join(", "),
            SPACES.iter().map(|space| format!("{space}.NAME")).collect::<Vec<_>>().join(", ")
        ),
    };
    ("unknown-placeholder", "no such placeholder".into(), Some(help))
}

/// A help text with the nearest known name.
pub(super) fn guess<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|word| format!("did you mean `{word}`?"))
}
