//! Files that manifests name in their values: they count as parts of the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::SourceFile;
use crate::tree::{self, Node};

/// What stands before the path of a file with one entry a line.
pub const LIST: &str = "file:";

/// Lists by their paths, as manifests name them; `None` for one that could not be read, which was reported.
pub type Lists = BTreeMap<String, Option<Arc<SourceFile>>>;

/// The files of folders, by the folder as manifests name it and their own names; `None` for one that could not be read.
pub type Folders = BTreeMap<String, BTreeMap<String, Option<Arc<SourceFile>>>>;

/// How the names of pages end.
pub const PAGE: &str = "html";

/// The key whose value is a folder with pages.
const PAGES: &str = "error_pages";

/// The folders with pages in a manifest or a profile, as they stand there.
pub fn folders(file: &Arc<SourceFile>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |key: &str, value: &Node| {
        let path = value.text().filter(|path| key == PAGES && is_plain(path));
        all.extend(path.map(str::to_owned));
    };
    if let Some(node) = tree::parse(file, &mut Vec::new()) {
        look(&node, &mut add);
    }
    all
}

fn is_plain(path: &str) -> bool {
    !path.is_empty() && !path.contains('$')
}

/// The keys whose values may name lists.
const KEYS: [&str; 3] = ["allow", "deny", "trusted_proxies"];

/// The paths of lists in a manifest or a profile, as they stand there: without placeholders. What is wrong with the file is told
/// elsewhere.
pub fn lists(file: &Arc<SourceFile>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |key: &str, value: &Node| {
        let paths = value.elements().iter().filter_map(|entry| entry.text()?.strip_prefix(LIST));
        all.extend(paths.filter(|path| KEYS.contains(&key) && is_plain(path)).map(str::to_owned));
    };
    if let Some(node) = tree::parse(file, &mut Vec::new()) {
        look(&node, &mut add);
    }
    all
}

/// Shows each key of a tree with its value.
fn look(node: &Node, show: &mut impl FnMut(&str, &Node)) {
    for (key, child) in node.entries() {
        show(&key.name, child);
        look(child, show);
    }
}

/// The entries of a list: where each stands in the text, and what it is. A `#` starts a comment.
pub fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.split('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len() + 1;
        Some((at, line))
    });
    lines.filter_map(|(at, line)| {
        let line = line.split('#').next().unwrap_or_default();
        let entry = line.trim();
        (!entry.is_empty()).then(|| (at + line.len() - line.trim_start().len(), entry))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_found_where_they_are_named() {
        // Others have such words, too, as the address of a database.
        let text = r#"{"route": {"deny": ["10.0.0.1", "file:deny.txt"], "allow": ["file:lists/a b.txt", "file:${root}/x", "file:"]},
            "process": {"env": {"DATABASE_URL": "file:dev.db"}}, "services": {"edge": {"config": {"trusted_proxies": ["file:cdn"]}}}}"#;
        let file = Arc::new(SourceFile { path: "service.json".into(), text: text.into() });
        assert_eq!(lists(&file).into_iter().collect::<Vec<_>>(), ["cdn", "deny.txt", "lists/a b.txt"]);
        assert!(folders(&file).is_empty());
        let file =
            Arc::new(SourceFile { path: String::new(), text: r#"{"config": {"error_pages": "errors"}}"#.into() });
        assert_eq!(folders(&file).into_iter().collect::<Vec<_>>(), ["errors"]);
    }

    #[test]
    fn entries_have_a_place() {
        let text = "# networks\n10.0.0.0/8\n\n  ::1 # here\r\n192.0.2.1";
        let all: Vec<(usize, &str)> = entries(text).collect();
        assert_eq!(all, [(11, "10.0.0.0/8"), (25, "::1"), (37, "192.0.2.1")]);
        assert!(all.iter().all(|(at, entry)| text[*at..].starts_with(entry)));
    }
}
