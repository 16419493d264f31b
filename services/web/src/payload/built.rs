//! What a build left, as it was read: texts of manifests, and the names and sizes of files.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A file, with its size.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct File {
    /// Its path, with `/`.
    pub path: String,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// What a build left. All paths are relative to the folder of the app, with `/`.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// The contents of the files that are looked into, by path: those of [`Built::is_read`] that exist.
    pub texts: BTreeMap<String, String>,
    /// The files of `public/` and `.next/`, without caches.
    pub files: Vec<File>,
    /// The names of the variables in each file `.env*`.
    pub env_files: BTreeMap<String, Vec<String>>,
    /// The names of the other variables that a build had and that its bundles have the values of.
    pub at_build: Vec<String>,
    /// The version of Node.js that built it, or that will run it.
    pub node: Option<String>,
}

impl Built {
    /// Whether a file of the app is looked into; others are only listed.
    pub fn is_read(path: &str) -> bool {
        let is_manifest = path.starts_with(".next/") && path.ends_with(".json") && !path.ends_with(".nft.json");
        let is_of_route = path.starts_with(".next/server/app/") || path.starts_with(".next/server/pages/");
        let of_route = [".meta", "_client-reference-manifest.js"].iter().any(|end| path.ends_with(end));
        let is_cache = [".next/cache/", ".next/standalone/", ".next/static/", ".next/types/", ".next/trace"]
            .iter()
            .any(|folder| path.starts_with(folder));
        let is_kept = path.starts_with(".next/server/route-cache/") && path.ends_with(".meta");
        let is_plain = is_manifest && !is_of_route || is_of_route && of_route || is_kept;
        (is_plain && !is_cache) || ["package.json", ".next/BUILD_ID"].contains(&path)
    }

    /// The contents of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// A JSON file; `null` if there is none.
    pub(super) fn json(&self, path: &str) -> Value {
        self.text(path).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// The configuration of the app, as its server reads it.
    pub(super) fn config(&self) -> Value {
        self.json(".next/required-server-files.json")["config"].take()
    }

    /// The size of a file, in bytes.
    pub(super) fn bytes(&self, path: &str) -> Option<u64> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(at).map(|file| file.bytes)
    }

    /// The files below a folder, whose name ends in `/`.
    pub(super) fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.starts_with(folder))
    }
}
