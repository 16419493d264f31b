//! The build of an app as data: the commands, where they run, with which variables, and what goes into the result.

use crate::Scripts;

/// File name of the build adapter.
pub const ADAPTER_FILE: &str = "adapter.mjs";
/// The build adapter: configures Next.js for a standalone server with the release's ID, without touching the user's
/// configuration (`NEXT_ADAPTER_PATH`).
pub const ADAPTER: &str = include_str!("adapter.mjs");

/// One command of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it does, for people: `installing packages`.
    pub title: &'static str,
    /// Arguments of node.
    pub args: Vec<String>,
    /// Whether it runs scripts of packages, which must not see secrets.
    pub without_secrets: bool,
}

/// A build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Installs the packages without running anything of them.
    pub install: Step,
    /// Builds the app.
    pub build: Step,
    /// Path of npm's program file.
    pub npm_cli: String,
    /// Environment variables on top of the inherited ones; those that depend on the version of Next.js come on top of
    /// these for the last step ([`crate::next_version::variables`]).
    pub env: Vec<(String, String)>,
    /// Variables that must not be inherited.
    pub without: &'static [&'static str],
    /// Files and folders to move into the result, where they exist: from, to.
    pub assemble: Vec<(&'static str, &'static str)>,
}

impl Build {
    /// The build of a release. `npm_cli` is npm's program file, which is run with the stack's node; `cache` is a folder
    /// that is kept between builds.
    pub fn new(npm_cli: &str, cache: &str) -> Self {
        // `--include=dev`: the compiler is a development dependency, whatever NODE_ENV says.
        let ci = ["ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        let next = vec!["node_modules/next/dist/bin/next".into(), "build".into()];
        Self {
            // A registry may require a token.
            install: Step { title: "installing packages", args: npm(npm_cli, &ci), without_secrets: false },
            build: Step { title: "building", args: next, without_secrets: false },
            npm_cli: npm_cli.to_owned(),
            env: vec![
                ("NEXT_TELEMETRY_DISABLED".into(), "1".into()),
                ("NODE_ENV".into(), "production".into()),
                ("npm_config_cache".into(), cache.into()),
                ("npm_config_update_notifier".into(), "false".into()),
            ],
            // These are for a running server, and wrong for a build.
            without: &["PORT", "HOSTNAME", "NODE_OPTIONS", "NEXT_DEPLOYMENT_ID", "TURBOPACK"],
            assemble: vec![
                (".next/standalone", "."),
                (".next/static", ".next/static"),
                ("public", "public"),
                // The standalone server reads these as `next start` does, but its output has only the shared ones.
                (".env.local", ".env.local"),
                (".env.production.local", ".env.production.local"),
            ],
        }
    }
}

/// The step that runs the install scripts of packages, where some are run.
pub fn install_scripts(npm_cli: &str, scripts: &Scripts) -> Option<Step> {
    // A setting of the app must not stop the listed scripts.
    let rebuild = ["rebuild", "--ignore-scripts=false", "--foreground-scripts", "--loglevel=error"];
    let packages = scripts.run.iter().map(String::as_str);
    let words: Vec<&str> = rebuild.into_iter().chain(packages).collect();
    let step = || Step { title: "running install scripts", args: npm(npm_cli, &words), without_secrets: true };
    (!scripts.run.is_empty()).then(step)
}

/// The step that runs the app's own `postinstall`.
pub fn postinstall(npm_cli: &str) -> Step {
    let args = npm(npm_cli, &["run", "postinstall", "--loglevel=error"]);
    Step { title: "running the app's postinstall", args, without_secrets: true }
}

/// Arguments of node for running npm.
fn npm(npm_cli: &str, words: &[&str]) -> Vec<String> {
    std::iter::once(npm_cli).chain(words.iter().copied()).map(str::to_owned).collect()
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
    fn what_a_build_makes_is_no_input_of_it() {
        for path in ["app/page.tsx", "package-lock.json", "public/a.png", ".env.local", "lib/node_modules.ts"] {
            assert!(is_input(path), "{path}");
        }
        for path in ["out/index.html", "next-env.d.ts", "packages/a/tsconfig.tsbuildinfo"] {
            assert!(!is_input(path), "{path}");
        }
    }
}
