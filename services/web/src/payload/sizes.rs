//! Sizes: what browsers load for each route, and what the build made for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::routes::{Kind, Route, Router};
use super::{Built, File, Files};

/// The folder of files for browsers, and that of its own files.
const STATIC: &str = ".next/static/";
const PUBLIC: &str = "public/";

/// The files that browsers fetch.
pub(super) fn files(built: &Built) -> Files {
    let public = built.below(PUBLIC).map(|file| File { path: file.path[PUBLIC.len()..].to_owned(), ..file.clone() });
    let main = built.json(".next/build-manifest.json")["rootMainFiles"].take();
    Files {
        public: public.collect(),
        built: built.below(STATIC).count() as u64,
        built_bytes: built.below(STATIC).map(|file| file.bytes).sum(),
        hashed: built.below(STATIC).filter(|file| is_hashed(built, &file.path)).count() as u64,
        shared_bytes: sum(built, &names(&main).collect()),
        source_maps: built.below(STATIC).filter(|file| file.path.ends_with(".map")).count() as u64,
    }
}

/// Whether the name of a file changes with its contents. Only those are not whose folder is called after the build.
fn is_hashed(built: &Built, path: &str) -> bool {
    let id = built.text(".next/BUILD_ID").unwrap_or_default().trim();
    path.strip_prefix(STATIC).is_some_and(|below| id.is_empty() || below.split('/').next() != Some(id))
}

fn names(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
}

/// The size of scripts; each counts once, and other files are none.
fn sum(built: &Built, names: &BTreeSet<String>) -> u64 {
    let scripts = names.iter().filter(|name| name.ends_with(".js"));
    scripts.filter_map(|name| built.bytes(&format!(".next/{name}"))).sum()
}

/// Sets the sizes of routes and pages, as far as the build wrote down what they load.
pub(super) fn fill(built: &Built, routes: &mut [Route]) {
    let build = built.json(".next/build-manifest.json");
    let app = built.json(".next/app-build-manifest.json")["pages"].take();
    let main: BTreeSet<String> = names(&build["rootMainFiles"]).collect();
    for route in routes {
        for page in &mut route.prerendered {
            let name = if page.path == "/" { "/index" } else { &page.path };
            let at = if route.router == Router::App { "app" } else { "pages" };
            page.bytes = page.bytes.or_else(|| built.bytes(&format!(".next/server/{at}{name}.html")));
        }
        if route.kind != Kind::Page {
            continue;
        }
        let mut loaded: BTreeSet<String> = match route.router {
            Router::App => match names(&app[format!("/{}", route.source)]).collect::<BTreeSet<_>>() {
                none if none.is_empty() => entry_files(built, &route.source).unwrap_or_default(),
                some => some,
            },
            Router::Pages => names(&build["pages"][&route.path]).chain(names(&build["pages"]["/_app"])).collect(),
        };
        if loaded.is_empty() {
            continue;
        }
        if route.router == Router::App {
            loaded.extend(main.iter().cloned());
        }
        route.script_bytes = Some(sum(built, &loaded));
    }
}

/// The scripts of a page of the app router, from the manifest of its client components: a script that sets a variable to
/// a JSON value.
fn entry_files(built: &Built, source: &str) -> Option<BTreeSet<String>> {
    let text = built.text(&format!(".next/server/app/{source}_client-reference-manifest.js"))?;
    let value = &text[text.find("] = ")? + 4..];
    let manifest: Value = serde_json::Deserializer::from_str(value).into_iter().next()?.ok()?;
    let entries: BTreeMap<String, Value> = serde_json::from_value(manifest["entryJSFiles"].clone()).ok()?;
    Some(entries.values().flat_map(names).collect())
}
