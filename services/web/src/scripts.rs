//! Install scripts of npm packages. They could run anything, so only those of this list are run: packages that do not
//! work without them.

use semver::{Version, VersionReq};
use serde_json::Value;

/// A package whose install scripts are run.
#[derive(Clone, Copy, Debug)]
pub struct Trusted {
    /// Its name in the registry.
    pub package: &'static str,
    /// Its versions, as a semver requirement.
    pub versions: &'static str,
    /// What its script does.
    pub reason: &'static str,
}

/// Downloads a program or a library for this platform, or compiles it.
const NATIVE: &str = "downloads or compiles its native module";

const fn native(package: &'static str, versions: &'static str) -> Trusted {
    Trusted { package, versions, reason: NATIVE }
}

/// The packages whose install scripts are run.
pub const TRUSTED: &[Trusted] = &[
    native("argon2", ">=0.28"),
    native("bcrypt", ">=5"),
    native("better-sqlite3", ">=7"),
    native("bufferutil", ">=4"),
    native("canvas", ">=2"),
    native("isolated-vm", ">=4"),
    native("libsql", ">=0.1"),
    native("re2", ">=1.17"),
    // Later versions get their libraries as separate packages; their script only checks that those are there.
    native("sharp", ">=0.28"),
    native("sqlite3", ">=5"),
    native("utf-8-validate", ">=5"),
    Trusted { package: "@prisma/client", versions: ">=3", reason: "generates the client from the app's schema" },
    Trusted { package: "@prisma/engines", versions: ">=3", reason: "downloads the query and schema engines" },
    Trusted { package: "@sentry/cli", versions: ">=1.70", reason: "downloads the program that uploads source maps" },
    Trusted { package: "@swc/core", versions: ">=1.2", reason: "falls back to WebAssembly without a native module" },
    Trusted { package: "esbuild", versions: ">=0.14", reason: "downloads the compiler where npm left it out" },
    Trusted { package: "prisma", versions: ">=3", reason: "checks the version of Node.js before it generates" },
    Trusted { package: "workerd", versions: ">=1", reason: "downloads the runtime where npm left it out" },
];

/// The packages of an installation that have install scripts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// Those that are run, as `name@version` for `npm rebuild`.
    pub run: Vec<String>,
    /// Those that are not run, in the same form.
    pub skipped: Vec<String>,
}

impl Scripts {
    /// Reads them from npm's own record of the installation, `node_modules/.package-lock.json`. A record that cannot be
    /// parsed gives none. `also` are names of packages whose scripts are run beside those that are known.
    pub fn of(record: &str, also: &[String]) -> Self {
        let record: Value = serde_json::from_str(record).unwrap_or_default();
        let mut scripts = Self::default();
        for (path, package) in record["packages"].as_object().into_iter().flatten() {
            if package["hasInstallScript"] != Value::Bool(true) {
                continue;
            }
            // An alias is installed at a path that differs from its name.
            let at_path = path.rsplit_once("node_modules/").map_or(path.as_str(), |(_, name)| name);
            let name = package["name"].as_str().unwrap_or(at_path);
            let version = package["version"].as_str().unwrap_or_default();
            // A package from a folder or from git is not what the registry has under that name. npm can be configured
            // not to record where it got a package from (`omit-lockfile-registry-resolved`).
            let is_published = match package["resolved"].as_str() {
                Some(url) => url.starts_with("http"),
                None => package["integrity"].is_string(),
            };
            let is_run = is_published && name == at_path && is_trusted(name, version, also);
            let list = if is_run { &mut scripts.run } else { &mut scripts.skipped };
            let spec = format!("{name}@{version}");
            if !list.contains(&spec) {
                list.push(spec);
            }
        }
        scripts
    }
}

/// A package with install scripts, as it was installed by a manager that keeps no record of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its folder.
    pub folder: String,
    name: String,
    version: String,
}

impl Installed {
    /// The package with this `package.json`, if it has install scripts; `has_gyp` says whether npm would compile it.
    pub fn of(package: &str, has_gyp: bool, folder: &str) -> Option<Self> {
        let package: Value = serde_json::from_str(package).ok()?;
        let has_script =
            ["preinstall", "install", "postinstall"].iter().any(|name| package["scripts"][name].is_string());
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let installed = || Self { folder: folder.to_owned(), name: text("name"), version: text("version") };
        (has_script || has_gyp).then(installed)
    }

    /// The package as `name@version`.
    pub fn spec(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

impl Scripts {
    /// Sorts installed packages into those whose scripts are run, and the others. Their names are the registry's: a
    /// package from elsewhere has the name that its author gave it, and stands under that of its folder.
    pub fn of_packages(packages: &[Installed], also: &[String]) -> Self {
        let mut scripts = Self::default();
        for one in packages {
            let is_run = one.folder.ends_with(&format!("/{}", one.name)) && is_trusted(&one.name, &one.version, also);
            let list = if is_run { &mut scripts.run } else { &mut scripts.skipped };
            if !list.contains(&one.spec()) {
                list.push(one.spec());
            }
        }
        scripts
    }
}

fn is_trusted(name: &str, version: &str, also: &[String]) -> bool {
    if also.iter().any(|one| one == name) {
        return true;
    }
    let Ok(version) = Version::parse(version) else { return false };
    // For a pre-release, the release that it precedes counts.
    let release = Version::new(version.major, version.minor, version.patch);
    let is_meant = |one: &&Trusted| {
        one.package == name && VersionReq::parse(one.versions).is_ok_and(|versions| versions.matches(&release))
    };
    TRUSTED.iter().any(|one| is_meant(&one))
}

/// Whether the app has a script that runs after its packages are installed: `prisma generate`, `patch-package`. It
/// belongs to the app, like the build.
pub fn has_postinstall(package_json: &str) -> bool {
    let package: Value = serde_json::from_str(package_json).unwrap_or_default();
    package["scripts"]["postinstall"].is_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_run() {
        let record = r#"{"packages": {
            "node_modules/next": {"version": "16.0.0", "resolved": "https://r/next.tgz"},
            "node_modules/better-sqlite3": {"version": "12.4.1", "resolved": "https://r/b.tgz", "hasInstallScript": true},
            "node_modules/a/node_modules/better-sqlite3":
                {"version": "6.0.1", "resolved": "https://r/c.tgz", "hasInstallScript": true},
            "node_modules/a/node_modules/@swc/core":
                {"version": "1.3.0-nightly.1", "resolved": "https://r/d.tgz", "hasInstallScript": true},
            "node_modules/evil": {"version": "1.0.0", "resolved": "https://r/e.tgz", "hasInstallScript": true},
            "node_modules/sharp": {"name": "evil-too", "version": "0.34.0", "resolved": "https://r/f.tgz",
                "hasInstallScript": true},
            "node_modules/bcrypt": {"version": "6.0.0", "resolved": "git+ssh://x/bcrypt.git", "hasInstallScript": true},
            "node_modules/canvas": {"version": "3.0.0", "hasInstallScript": true},
            "node_modules/esbuild": {"version": "0.25.0", "integrity": "sha512-x", "hasInstallScript": true}
        }}"#;
        let scripts = Scripts::of(record, &[]);
        assert_eq!(scripts.run, ["better-sqlite3@12.4.1", "@swc/core@1.3.0-nightly.1", "esbuild@0.25.0"]);
        assert_eq!(
            scripts.skipped,
            ["better-sqlite3@6.0.1", "evil@1.0.0", "evil-too@0.34.0", "bcrypt@6.0.0", "canvas@3.0.0"]
        );
        assert_eq!(Scripts::of("not JSON", &[]), Scripts::default());
    }

    #[test]
    fn a_package_without_a_record_is_told_by_its_own_file() {
        let of = |text: &str, folder: &str| Installed::of(text, false, folder);
        assert_eq!(of(r#"{"name": "next", "scripts": {"test": "x"}}"#, "/m/next"), None);
        let good = r#"{"name": "esbuild", "version": "0.25.0", "scripts": {"postinstall": "x"}}"#;
        let all = [of(good, "/m/esbuild").unwrap(), of(good, "/m/other").unwrap()];
        assert_eq!(Scripts::of_packages(&all[..1], &[]).run, ["esbuild@0.25.0"]);
        assert_eq!(Scripts::of_packages(&all[1..], &[]).skipped, ["esbuild@0.25.0"], "another package under its name");
        let evil = of(r#"{"name": "evil", "version": "1.0.0", "scripts": {"install": "x"}}"#, "/m/evil").unwrap();
        assert_eq!(Scripts::of_packages(std::slice::from_ref(&evil), &[]).skipped, ["evil@1.0.0"]);
        assert_eq!(Scripts::of_packages(&[evil], &["evil".into()]).run, ["evil@1.0.0"], "the manifest says so");
    }

    #[test]
    fn the_list_is_sound() {
        for one in TRUSTED {
            assert!(VersionReq::parse(one.versions).is_ok() && !one.reason.is_empty(), "{}", one.package);
        }
    }

    #[test]
    fn the_apps_own_script_is_seen() {
        assert!(has_postinstall(r#"{"scripts": {"postinstall": "prisma generate"}}"#));
        assert!(!has_postinstall(r#"{"scripts": {"build": "next build"}}"#) && !has_postinstall(""));
    }
}
