//! The build of an app as data: the commands, where they run, with which variables, and what goes into the result.

/// File name of the build adapter.
pub const ADAPTER_FILE: &str = "adapter.mjs";
/// The build adapter: configures Next.js for a standalone server with the release's ID, without touching the user's
/// configuration (`NEXT_ADAPTER_PATH`).
pub const ADAPTER: &str = include_str!("adapter.mjs");

/// The program of Next.js in its package.
pub const PROGRAM: &str = "dist/bin/next";
/// Options of a build that choose the bundler.
const BUNDLERS: [&str; 4] = ["--webpack", "--turbopack", "--turbo", "--rspack"];
/// Where a build puts the standalone server, below the app.
pub const STANDALONE: &str = ".next/standalone";
/// The file of the standalone server that is run.
pub const SERVER: &str = "server.js";
/// Where a build puts a static export, below the app.
pub const EXPORTED: &str = "out";
/// Next's own cache, which makes the next build faster, below the app.
pub const CACHE: &str = ".next/cache";

/// Files and folders that the standalone server needs beside it, where they exist below the app.
pub const BESIDE: [&str; 4] = [
    ".next/static",
    "public",
    // The standalone server reads these as `next start` does, but its output has only the shared ones.
    ".env.local",
    ".env.production.local",
];

/// Variables that a build must not inherit: they are for a running server.
pub const WITHOUT: &[&str] = &["PORT", "HOSTNAME", "NODE_OPTIONS", "NEXT_DEPLOYMENT_ID", "TURBOPACK"];

/// The variable with the key that server actions are encrypted with, and that their IDs are made of.
pub const ACTIONS_KEY: &str = "NEXT_SERVER_ACTIONS_ENCRYPTION_KEY";

/// The file with the keys of a release's server actions, below the app of its server: what its server reads (`actions.cjs`).
pub const ACTIONS_KEYS: &str = ".core/actions-keys.json";
/// Next's list of server actions, with the key that it takes, in the same place.
pub const ACTIONS_LIST: &str = ".next/server/server-reference-manifest.json";

/// Prefix of the variables that a build puts into the browser's bundle.
pub const PUBLIC_PREFIX: &str = "NEXT_PUBLIC_";

/// Variables of a build on top of the inherited ones; those that depend on the version of Next.js come on top of these
/// ([`crate::next_version::variables`]).
pub fn env() -> Vec<(String, String)> {
    let all = [("NEXT_TELEMETRY_DISABLED", "1"), ("NODE_ENV", "production")];
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Arguments of that program for a build. The bundler is the one that the app's own script `build` chooses, if it does.
pub fn arguments(package: &str) -> Vec<String> {
    let package: serde_json::Value = serde_json::from_str(package).unwrap_or_default();
    let script = package["scripts"]["build"].as_str().unwrap_or_default();
    let chosen = script.split_whitespace().filter(|word| BUNDLERS.contains(word));
    std::iter::once("build").chain(chosen).map(str::to_owned).collect()
}

/// Arguments of npm that run the install scripts of packages; a setting of the app must not stop them.
pub fn rebuild(packages: &[String]) -> Vec<String> {
    let words = ["rebuild", "--ignore-scripts=false", "--foreground-scripts", "--loglevel=error"];
    words.iter().map(|word| (*word).to_owned()).chain(packages.iter().cloned()).collect()
}

/// Arguments of npm that run a script of the package in its working directory.
pub fn run_script(name: &str) -> Vec<String> {
    ["run", "--if-present", "--ignore-scripts=false", "--loglevel=error", name].map(str::to_owned).to_vec()
}

/// Whether a file in the app's folder is an input of the build, apart from the files that no build uses. `path` is
/// relative to the folder, with `/`.
pub fn is_input(path: &str) -> bool {
    let skipped = [".turbo", "out", "coverage"];
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    !skipped.contains(&first) && file != "next-env.d.ts" && !file.ends_with(".tsbuildinfo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundler_is_that_of_the_apps_script() {
        let of = |script: &str| arguments(&serde_json::json!({"scripts": {"build": script}}).to_string());
        assert_eq!(of("prisma generate && next build --webpack"), ["build", "--webpack"]);
        assert_eq!(of("next build --debug"), ["build"]);
        assert_eq!(arguments("{}"), ["build"]);
    }

    #[test]
    fn what_a_build_makes_is_no_input_of_it() {
        for path in ["app/page.tsx", "package-lock.json", "public/a.png", ".env.local", "lib/node_modules.ts"] {
            assert!(is_input(path), "{path}");
        }
        for path in ["out/index.html", "next-env.d.ts", "packages/a/tsconfig.tsbuildinfo"] {
            assert!(!is_input(path), "{path}");
        }
    }
}
