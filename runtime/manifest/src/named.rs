//! Files that manifests name in their values: they count as parts of the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::SourceFile;
use crate::tree::{self, Node};

/// What stands before the path of a file with one entry a line.
pub const LIST: &str = "file:";

/// Lists by their paths, as manifests name them; `None` for one that could not be read, which was reported.
pub type Lists = BTreeMap<String, Option<Arc<SourceFile>>>;

/// The keys whose values may name lists.
const KEYS: [&str; 3] = ["allow", "deny", "trusted_proxies"];

/// The paths of lists in a manifest or a profile, as they stand there: without placeholders. What is wrong with the file is told
/// elsewhere.
pub fn lists(file: &Arc<SourceFile>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    if let Some(node) = tree::parse(file, &mut Vec::new()) {
        look(&node, &mut all);
    }
    all
}

fn look(node: &Node, all: &mut BTreeSet<String>) {
    for (key, child) in node.entries() {
        if KEYS.contains(&key.name.as_str()) {
            let paths = child.elements().iter().filter_map(|entry| entry.text()?.strip_prefix(LIST));
            all.extend(paths.filter(|path| !path.is_empty() && !path.contains('$')).map(str::to_owned));
        }
        look(child, all);
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
    }

    #[test]
    fn entries_have_a_place() {
        let text = "# networks\n10.0.0.0/8\n\n  ::1 # here\r\n192.0.2.1";
        let all: Vec<(usize, &str)> = entries(text).collect();
        assert_eq!(all, [(11, "10.0.0.0/8"), (25, "::1"), (37, "192.0.2.1")]);
        assert!(all.iter().all(|(at, entry)| text[*at..].starts_with(entry)));
    }
}
