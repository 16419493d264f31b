//! Scripts of the engine: events in, exact text out. They are `tests/scripts/*.txt` at the root, and are meant to be
//! read: each shows one behaviour from beginning to end.
//!
//! A line that begins with `> ` is what the engine answered. `UPDATE_SCRIPTS=1 cargo test --test scripts` writes the
//! answers anew; read the difference before you commit it.

#![expect(clippy::disallowed_methods, reason = "the purity rules are for the crate; its tests read the scripts")]

mod script;

use std::fs;
use std::path::PathBuf;

#[test]
fn every_script_says_what_it_said() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts");
    let mut names: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    names.sort();
    assert!(names.len() >= 8, "the scripts are gone: {names:?}");
    let mut differing = Vec::new();
    for path in names {
        let before = fs::read_to_string(&path).unwrap();
        let after = script::run(&before).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if before == after {
            continue;
        }
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            fs::write(&path, after).unwrap();
        } else {
            let first = before.lines().zip(after.lines()).position(|(a, b)| a != b);
            let at = first.unwrap_or_else(|| before.lines().count().min(after.lines().count()));
            let line = |text: &str| text.lines().nth(at).unwrap_or("(the end)").to_owned();
            differing.push(format!(
                "{}:{}\n  expected: {}\n  now:      {}",
                path.file_name().unwrap_or_default().display(),
                at + 1,
                line(&before),
                line(&after)
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
