//! Phrases that we do not use (`docs/STYLE.md`), looked for in what people see: all help, the table of fields, and every
//! snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Stack, checkout};
use crate::help::commands;
use crate::told;

/// The phrases, and what to say instead. A word counts where it stands by itself.
const BANNED: [(&str, &str); 17] = [
    ("is no", "is not a"),
    ("are no", "are not"),
    ("cannot be had", "is not available"),
    ("could not be had", "is not available"),
    ("there is none", "does not exist"),
    ("serves on", "keeps serving"),
    ("runs on", "keeps running"),
    ("a stranger", "another process"),
    ("whoever", "the user who"),
    ("begun", "started"),
    ("begins", "starts"),
    ("such a", "this"),
    ("belongs into", "belongs in"),
    ("what serves", "the running services"),
    ("what runs", "the running services"),
    ("as it is said", "as logged"),
    ("is let be", "is left alone"),
];

fn found(text: &str) -> Vec<(&'static str, &'static str)> {
    let words = format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase());
    // Plain English: `there is no service x`.
    let words = words.replace("there is no ", "").replace("there are no ", "");
    let ends = |c: char| !c.is_alphanumeric() && c != '-';
    let stands = |phrase: &str| {
        words
            .match_indices(phrase)
            .any(|(at, _)| words[..at].ends_with(ends) && words[at + phrase.len()..].starts_with(ends))
    };
    BANNED.into_iter().filter(|(phrase, _)| stands(phrase)).collect()
}

fn snapshots(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let below = |path: PathBuf| if path.is_dir() { snapshots(&path) } else { vec![path] };
    entries.flat_map(below).filter(|path| path.extension().is_some_and(|ending| ending == "snap")).collect()
}

#[test]
fn what_people_read_has_none_of_them() {
    let stack = Stack::new();
    let mut texts = vec![("--help".to_owned(), told(&stack, &["--help"], 100))];
    texts.extend(commands(&stack).into_iter().map(|command| {
        let help = told(&stack, &[&command, "--help"], 100);
        (format!("{command} --help"), help)
    }));
    texts.push(("schema fields".to_owned(), told(&stack, &["schema", "fields"], 1000)));
    for path in snapshots(&checkout().join("tests")) {
        let text = fs::read_to_string(&path).expect("a snapshot");
        // What stands before is of the test.
        let shown = text.splitn(3, "---").nth(2).unwrap_or_default().to_owned();
        texts.push((path.display().to_string(), shown));
    }
    assert!(texts.len() > 100, "{}", texts.len());
    let mut complaints = Vec::new();
    for (place, text) in &texts {
        complaints
            .extend(found(text).into_iter().map(|(phrase, better)| format!("{place}: `{phrase}`; say `{better}`")));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_phrase_is_found_over_a_line_break_and_not_inside_a_word() {
    assert_eq!(found("x is\n  no version").first().map(|one| one.0), Some("is no"));
    assert!(found("this is not a version; it is north").is_empty());
}
