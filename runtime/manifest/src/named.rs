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
/// The key whose values are files and folders with certificates.
const CERTIFICATES: &str = "certificates";
/// The keys whose values may name lists.
const KEYS: [&str; 4] = ["allow", "deny", "trusted_proxies", "proxy_protocol"];

/// What a manifest or a profile names, as it stands there: without placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Paths of lists.
    pub lists: BTreeSet<String>,
    /// Folders with pages.
    pub folders: BTreeSet<String>,
    /// Files and folders with certificates.
    pub certificates: BTreeSet<String>,
}

impl Named {
    /// What is named in these files. What is wrong with them is told elsewhere.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a Arc<SourceFile>>) -> Self {
        let mut all = Self::default();
        for node in files.into_iter().filter_map(|file| tree::parse(file, &mut Vec::new())) {
            look(&node, &mut |key, value| all.add(key, value));
        }
        all
    }

    fn add(&mut self, key: &str, value: &Node) {
        let texts = || value.elements().iter().filter_map(Node::text);
        let plain = |path: &&str| !path.is_empty() && !path.contains('$');
        match key {
            PAGES => self.folders.extend(value.text().filter(plain).map(str::to_owned)),
            CERTIFICATES => self.certificates.extend(texts().filter(plain).map(str::to_owned)),
            key if KEYS.contains(&key) => {
                let paths = texts().filter_map(|text| text.strip_prefix(LIST));
                self.lists.extend(paths.filter(plain).map(str::to_owned));
            }
            _ => {}
        }
    }
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
    fn files_are_found_where_they_are_named() {
        // Others have such words, too, as the address of a database.
        let text = r#"{"route": {"deny": ["10.0.0.1", "file:deny.txt"], "allow": ["file:lists/a b.txt", "file:${root}/x", "file:"]},
            "process": {"env": {"DATABASE_URL": "file:dev.db"}}, "services": {"edge": {"config": {"trusted_proxies": ["file:cdn"],
            "error_pages": "errors", "certificates": ["certs/a.pem", "/etc/live"]}}}}"#;
        let file = Arc::new(SourceFile { path: "service.json".into(), text: text.into() });
        let named = Named::of([&file]);
        assert_eq!(named.lists.iter().collect::<Vec<_>>(), ["cdn", "deny.txt", "lists/a b.txt"]);
        assert_eq!(named.folders.iter().collect::<Vec<_>>(), ["errors"]);
        assert_eq!(named.certificates.iter().collect::<Vec<_>>(), ["/etc/live", "certs/a.pem"]);
    }

    #[test]
    fn entries_have_a_place() {
        let text = "# networks\n10.0.0.0/8\n\n  ::1 # here\r\n192.0.2.1";
        let all: Vec<(usize, &str)> = entries(text).collect();
        assert_eq!(all, [(11, "10.0.0.0/8"), (25, "::1"), (37, "192.0.2.1")]);
        assert!(all.iter().all(|(at, entry)| text[*at..].starts_with(entry)));
    }
}
