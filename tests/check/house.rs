//! Rules of the house that a compiler does not know.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::checkout;

/// The longest file of Rust.
const MOST_LINES: usize = 400;

/// Files that name a kind of program, or its driver, besides the drivers themselves: the table, and effects that a driver
/// asks for.
const NAME_KINDS: [&str; 9] = [
    // The steps of a cluster that a driver names are commands.
    "cmd/core/src/cli/own.rs",
    // The kinds themselves, and a name that is not free for services.
    "runtime/manifest/src/manifest/mod.rs",
    "runtime/manifest/src/name.rs",
    // What nothing is known of.
    "runtime/manifest/src/spec/mod.rs",
    // The table.
    "runtime/stack/src/drivers.rs",
    // Servers of one manifest.
    "runtime/stack/src/draft.rs",
    "runtime/stack/src/members.rs",
    // Pointers are asked for through the edge; without core it listens itself.
    "runtime/host/src/edge.rs",
    "runtime/stack/src/compose/project.rs",
];
/// Folders likewise: the steps of a cluster that a driver names as commands, and the builds of apps.
const NAME_KINDS_BELOW: [&str; 3] =
    ["runtime/host/src/nats/", "cmd/core/src/commands/nats", "runtime/host/src/releases/"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let below = |path: PathBuf| match path.file_name().and_then(|name| name.to_str()) {
        Some("target" | "node_modules" | "app") => Vec::new(),
        _ if path.is_dir() => sources(&path),
        _ => vec![path],
    };
    entries.flat_map(below).filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

/// All sources below these folders, by their paths in the repository.
pub(crate) fn all(folders: &[&str]) -> Vec<(String, String)> {
    let root = checkout();
    let files = folders.iter().flat_map(|folder| sources(&root.join(folder)));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("below the root").display().to_string();
        (name, fs::read_to_string(&path).expect("a source"))
    };
    files.map(read).collect()
}

#[test]
fn no_file_is_too_long() {
    let all = all(&["runtime", "cmd", "services", "tests", "benches"]);
    assert!(all.len() > 250, "{}", all.len());
    let long: Vec<String> = all
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(name, lines)| format!("{name} has {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn kinds_are_named_in_one_table() {
    let names = |line: &str| {
        let kinds = ["Caddy", "Nats", "Pocketbase", "Next", "Process"].map(|kind| format!("Kind::{kind}"));
        let crates = ["core_caddy::", "core_nats::", "core_pocketbase::", "core_next::"];
        // As words of texts; the last kind is a word of English as well.
        let is_program = |text: &str| {
            let word = |text: &str| {
                text.split(|c: char| !c.is_alphanumeric())
                    .any(|word| ["caddy", "nats", "pocketbase", "nextjs"].contains(&word.to_lowercase().as_str()))
            };
            text.split('"').skip(1).step_by(2).any(word)
        };
        let is_kind = |kind: &String| line.match_indices(kind.as_str()).any(|(at, _)| !line[..at].ends_with("Probe"));
        !line.trim_start().starts_with("//")
            && (kinds.iter().any(is_kind) || crates.iter().any(|driver| line.contains(driver)) || is_program(line))
    };
    let mut complaints = Vec::new();
    let (mut used, sources) = (Vec::new(), all(&["runtime", "cmd"]));
    for (name, text) in &sources {
        let is_test = name.contains("/tests/") || name.ends_with("tests.rs");
        if is_test || NAME_KINDS_BELOW.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let lines: Vec<usize> =
            code.lines().enumerate().filter(|(_, line)| names(line)).map(|(at, _)| at + 1).collect();
        if lines.is_empty() {
            continue;
        }
        if NAME_KINDS.contains(&name.as_str()) {
            used.push(name.as_str());
        } else {
            complaints
                .push(format!("{name}: lines {lines:?} name a kind; ask the spec, or runtime/stack/src/drivers.rs"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    for name in NAME_KINDS {
        assert!(used.contains(&name), "{name} names no kind any more: take it out of the list");
    }
}
