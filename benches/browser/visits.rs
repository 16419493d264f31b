//! Two visits with one cache, before a deploy and after it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A script or a style that a page used.
#[derive(Clone)]
struct File {
    path: String,
    /// Of what is in it.
    hash: String,
    /// What came over the network, with headers.
    bytes: u64,
    size: u64,
    is_from_disk: bool,
}

/// The files of a visit, each once.
pub(crate) struct Visit {
    files: Vec<File>,
}

impl Visit {
    /// Reads what the browser says.
    ///
    /// # Errors
    /// When it is not a visit.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let mut files: BTreeMap<String, File> = BTreeMap::new();
        for one in value["files"].as_array().ok_or_else(|| format!("not a visit: {value}"))? {
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            let bytes = if one["cache"].is_null() { one["bytes"].as_u64().unwrap_or(0) } else { 0 };
            let size = one["size"].as_u64().unwrap_or(0);
            let path = text("path");
            let new = File { path: path.clone(), hash: text("hash"), bytes: 0, size, is_from_disk: false };
            // A file that is preloaded is asked for twice, and comes once.
            let file = files.entry(path).or_insert(new);
            file.bytes += bytes;
            file.is_from_disk |= one["cache"] == "disk";
        }
        Ok(Self { files: files.into_values().collect() })
    }

    fn fetched(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.bytes > 0)
    }

    fn row(&self, title: &str) {
        let fetched: Vec<&File> = self.fetched().collect();
        let bytes: u64 = fetched.iter().map(|file| file.bytes).sum();
        let from_disk = self.files.iter().filter(|file| file.is_from_disk).count();
        println!("| {title} | {} | {from_disk} | {} | {bytes} |", self.files.len(), fetched.len());
    }
}

/// Prints both. Returns whether the second got what changed, and nothing else.
pub(crate) fn print(first: &Visit, second: &Visit) -> bool {
    println!(
        "| visit | scripts and styles | from the cache on disk | over the network | bytes |\n|---|---|---|---|---|"
    );
    first.row("before the deploy, with an empty cache");
    second.row("after the deploy, with the same cache");
    let known: BTreeSet<&str> = first.files.iter().map(|file| file.hash.as_str()).collect();
    let addresses: BTreeSet<&str> = first.files.iter().map(|file| file.path.as_str()).collect();
    println!("\n| came over the network in the second visit | bytes | of | |\n|---|---|---|---|");
    let mut is_well = true;
    for file in second.fetched() {
        let is_known = known.contains(file.hash.as_str()) || addresses.contains(file.path.as_str());
        is_well &= !is_known;
        let note = if is_known { "**did not change**" } else { "changed" };
        println!("| `{}` | {} | {} | {note} |", file.path, file.bytes, file.size);
    }
    println!();
    // The first has to bring all, and something has to have changed, or nothing was shown.
    let fetches_all = first.fetched().count() == first.files.len();
    let kept = second.files.iter().filter(|file| file.is_from_disk && known.contains(file.hash.as_str())).count();
    let has_changed = second.fetched().next().is_some();
    if !(fetches_all && has_changed && kept > 0) {
        println!(
            "**fails**: the visits show nothing (all at first: {fetches_all}, kept: {kept}, changed: {has_changed})\n"
        );
    }
    is_well && fetches_all && has_changed && kept > 0
}
