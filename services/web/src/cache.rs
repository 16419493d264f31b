//! The cache of an app that has several replicas and releases: handlers that Next.js calls (`cacheHandler`,
//! `cacheHandlers`), which keep entries in files that all replicas share. Without a folder for them (while it is built, or
//! when its server is run by hand) they do what Next.js does by default.

use serde_json::Value;

/// The folder of the handlers, below that of the app.
pub const FOLDER: &str = ".core";
/// The folder of the entries, below that of the service's data.
pub const ENTRIES: &str = ".next-cache";
/// The variable with the folder of the entries.
pub const DIR: &str = "CORE_CACHE_DIR";
/// The variable with the release, whose pages are its own.
pub const RELEASE: &str = "CORE_RELEASE_ID";
/// The file that forgets entries when it is run, below the folder of the handlers.
pub const PURGE: &str = "purge.cjs";
/// The handler of responses, as the server names it: relative to `.next`.
const HANDLER: &str = "../.core/handler.cjs";
/// The line of a standalone server that has its configuration.
const CONFIG: &str = "const nextConfig = ";

macro_rules! files {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("handlers/", $name)))),+] };
}

/// The handlers: name and text of each file.
pub const FILES: &[(&str, &str)] = files![
    "functions.cjs",
    "handler.cjs",
    "inside.cjs",
    "lifetimes.cjs",
    "names.cjs",
    "place.cjs",
    "purge.cjs",
    "recent.cjs",
    "record.cjs",
    "responses.cjs",
    "rules.cjs",
    "shared.cjs",
    "store.cjs",
    "sweep.cjs",
    "tags.cjs",
    "use-cache.cjs",
];

/// Sets the handler in a finished `server.js`, for versions whose build cannot be asked for it. `None` if the app has one
/// of its own, or the server is not as expected: it stays as it is.
pub fn into_server(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(CONFIG))?;
    let config = line.strip_prefix(CONFIG)?.trim_end().trim_end_matches(';');
    let config = with_handler(serde_json::from_str(config).ok()?)?;
    Some(text.replace(line, &format!("{CONFIG}{config}")))
}

/// The same in the file that lists what the server needs.
pub fn into_list(text: &str) -> Option<String> {
    let mut list: Value = serde_json::from_str(text).ok()?;
    let config = with_handler(list["config"].take())?;
    list["config"] = config;
    Some(list.to_string())
}

fn with_handler(mut config: Value) -> Option<Value> {
    let has_own = config["cacheHandler"].is_string();
    config.as_object_mut().filter(|_| !has_own)?.insert("cacheHandler".into(), HANDLER.into());
    Some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_server_gets_the_handler() {
        let server = "const path = require('path')\nconst nextConfig = {\"distDir\":\"./.next\"}\nstart()\n";
        let made = into_server(server).unwrap();
        assert!(made.contains(r#"const nextConfig = {"distDir":"./.next","cacheHandler":"../.core/handler.cjs"}"#));
        assert!(made.ends_with("start()\n"));
        assert_eq!(into_server("const nextConfig = {\"cacheHandler\":\"./mine.js\"}\n"), None);
        assert_eq!(into_server("start()\n"), None);
        assert_eq!(into_list(r#"{"config":{}}"#).unwrap(), r#"{"config":{"cacheHandler":"../.core/handler.cjs"}}"#);
        assert_eq!(into_list("{}"), None);
    }

    #[test]
    fn every_handler_is_in_the_table() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/handlers");
        for (name, text) in FILES {
            assert!(folder.join(name).is_file());
            let needed = text.split("require('./").skip(1).filter_map(|rest| rest.split('\'').next());
            for needed in needed {
                assert!(FILES.iter().any(|(name, _)| *name == needed), "{name} needs {needed}");
            }
        }
    }
}
