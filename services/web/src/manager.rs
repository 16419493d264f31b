//! The package manager of a project: which one it is, and how it installs.

use serde_json::Value;

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// npm.
    Npm,
    /// pnpm.
    Pnpm,
    /// Yarn 1.
    Yarn,
    /// Yarn 2 and later.
    YarnBerry,
    /// Bun, of which only the installation is used: the app runs on Node.js.
    Bun,
}

/// The package manager of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// The manager.
    pub manager: Manager,
    /// Its version, as npm accepts one: `9.15.4`, or `10` for the newest of a major version.
    pub version: String,
    /// The lock file; `None` if the project has none.
    pub lock: Option<&'static str>,
}

/// Lock files, in the order in which they count where a project has several.
pub const LOCKS: [(&str, Manager); 6] = [
    ("pnpm-lock.yaml", Manager::Pnpm),
    ("yarn.lock", Manager::Yarn),
    ("bun.lock", Manager::Bun),
    ("bun.lockb", Manager::Bun),
    ("package-lock.json", Manager::Npm),
    ("npm-shrinkwrap.json", Manager::Npm),
];

/// Files of a project that say which packages it has, and how they are installed.
pub const DEFINING: [&str; 11] = [
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    ".npmrc",
    ".yarnrc.yml",
    ".pnpmfile.cjs",
];

impl Managed {
    /// The manager of a project, by the field `packageManager` of its `package.json` and by its lock file. `read` returns
    /// the text of a file in the project's folder.
    pub fn of(package: &str, read: impl Fn(&str) -> Option<String>) -> Self {
        let package: Value = serde_json::from_str(package).unwrap_or_default();
        let named = package["packageManager"].as_str().and_then(|text| text.split_once('@'));
        let named = named.and_then(|(name, version)| {
            // A hash may follow the version: `pnpm@9.15.4+sha512.…`.
            let version = version.split('+').next().unwrap_or_default();
            let manager = match name {
                "npm" => Manager::Npm,
                "pnpm" => Manager::Pnpm,
                "yarn" if version.starts_with("1.") => Manager::Yarn,
                "yarn" => Manager::YarnBerry,
                "bun" => Manager::Bun,
                _ => return None,
            };
            Some((manager, version.to_owned()))
        });
        let is_yarn = |manager: Manager| matches!(manager, Manager::Yarn | Manager::YarnBerry);
        let mut locks = LOCKS.iter().filter_map(|(name, manager)| Some((*name, *manager, read(name)?)));
        match named {
            Some((manager, version)) => {
                let lock = locks.find(|(_, of, _)| *of == manager || is_yarn(*of) && is_yarn(manager));
                Self { manager, version, lock: lock.map(|(name, ..)| name) }
            }
            None => match locks.next() {
                Some((name, manager, text)) => {
                    let (manager, version) = by_lock(manager, &text);
                    Self { manager, version: version.to_owned(), lock: Some(name) }
                }
                None => Self { manager: Manager::Npm, version: String::new(), lock: None },
            },
        }
    }

    /// The package in npm's registry that has the manager, and its program there; `None` for npm, which comes with
    /// Node.js.
    pub fn package(&self) -> Option<(&'static str, &'static str)> {
        match self.manager {
            Manager::Npm => None,
            Manager::Pnpm => Some(("pnpm", "bin/pnpm.cjs")),
            Manager::Yarn => Some(("yarn", "bin/yarn.js")),
            Manager::YarnBerry => Some(("@yarnpkg/cli-dist", "bin/yarn.js")),
            Manager::Bun => Some(("bun", "bin/bun.exe")),
        }
    }

    /// Its name as a command.
    pub fn command(&self) -> &'static str {
        match self.manager {
            Manager::Npm => "npm",
            Manager::Pnpm => "pnpm",
            Manager::Yarn | Manager::YarnBerry => "yarn",
            Manager::Bun => "bun",
        }
    }

    /// Whether its program is one for node; else it is one of the machine.
    pub fn is_for_node(&self) -> bool {
        self.manager != Manager::Bun
    }

    /// The arguments that install what the lock file says, with the development dependencies, which have the compiler,
    /// and without running anything of a package.
    pub fn install(&self) -> &'static [&'static str] {
        match (self.manager, self.lock.is_some()) {
            (Manager::Npm, true) => {
                &["ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            }
            (Manager::Npm, false) => {
                &["install", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            }
            (Manager::Pnpm, true) => &["install", "--frozen-lockfile", "--ignore-scripts", "--prod=false"],
            (Manager::Pnpm, false) => &["install", "--no-frozen-lockfile", "--ignore-scripts", "--prod=false"],
            (Manager::Yarn, true) => {
                &["install", "--frozen-lockfile", "--ignore-scripts", "--non-interactive", "--production=false"]
            }
            (Manager::Yarn, false) => &["install", "--ignore-scripts", "--non-interactive", "--production=false"],
            (Manager::YarnBerry, true) => &["install", "--immutable", "--mode=skip-build"],
            (Manager::YarnBerry, false) => &["install", "--mode=skip-build"],
            (Manager::Bun, true) => &["install", "--frozen-lockfile", "--ignore-scripts"],
            (Manager::Bun, false) => &["install", "--ignore-scripts"],
        }
    }

    /// The lines of a shell that install on a machine of its own, with all scripts of packages: what is installed there is
    /// tested, and goes away with the machine.
    pub fn install_lines(&self) -> String {
        let words = match (self.manager, self.lock.is_some()) {
            (Manager::Npm, true) => "ci",
            (Manager::YarnBerry, true) => "install --immutable",
            (Manager::Pnpm | Manager::Yarn | Manager::Bun, true) => "install --frozen-lockfile",
            (_, false) => "install",
        };
        let version = if self.version.is_empty() { String::new() } else { format!("@{}", self.version) };
        let fetched = self.package().map(|(package, _)| format!("npm install --global {package}{version}\n"));
        format!("{}{} {words}", fetched.unwrap_or_default(), self.command())
    }

    /// Variables for the installation; `cache` is a folder that is kept between builds.
    pub fn env(&self, cache: &str) -> Vec<(String, String)> {
        let at = |name: &str| format!("{cache}/{name}");
        let pairs: Vec<(&str, String)> = match self.manager {
            Manager::Npm => Vec::new(),
            // pnpm would ask before it removes a folder, and fetch itself in the version that `packageManager` names.
            Manager::Pnpm => vec![
                ("npm_config_store_dir", at("pnpm")),
                ("pnpm_config_store_dir", at("pnpm")),
                ("npm_config_manage_package_manager_versions", "false".into()),
                ("pnpm_config_manage_package_manager_versions", "false".into()),
                ("CI", "1".into()),
            ],
            Manager::Yarn => vec![("YARN_CACHE_FOLDER", at("yarn"))],
            // Next.js finds packages in `node_modules` only.
            Manager::YarnBerry => vec![
                ("YARN_NODE_LINKER", "node-modules".into()),
                ("YARN_GLOBAL_FOLDER", at("yarn-berry")),
                ("YARN_ENABLE_TELEMETRY", "0".into()),
                ("YARN_ENABLE_GLOBAL_CACHE", "true".into()),
                ("YARN_IGNORE_PATH", "1".into()),
            ],
            Manager::Bun => vec![("BUN_INSTALL_CACHE_DIR", at("bun"))],
        };
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// The manager, and the version that can read this lock file.
fn by_lock(manager: Manager, text: &str) -> (Manager, &'static str) {
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(key)).unwrap_or_default();
        line.trim_matches([' ', '\'', '"', ':']).split('.').next().and_then(|text| text.parse::<u32>().ok())
    };
    match manager {
        Manager::Pnpm => (
            manager,
            match number("lockfileVersion") {
                Some(5) => "7",
                Some(6) => "8",
                _ => "10",
            },
        ),
        Manager::Yarn if text.contains("__metadata:") => (
            Manager::YarnBerry,
            match number("version") {
                Some(..=7) => "3",
                _ => "4",
            },
        ),
        Manager::Yarn | Manager::Bun => (manager, "1"),
        Manager::Npm | Manager::YarnBerry => (manager, ""),
    }
}

/// The globs of folders that belong to a workspace: those of `package.json`, or of `pnpm-workspace.yaml`.
pub fn workspace_globs(package: &str, pnpm: Option<&str>) -> Vec<String> {
    let package: Value = serde_json::from_str(package).unwrap_or_default();
    let workspaces = &package["workspaces"];
    let list = workspaces.as_array().or_else(|| workspaces["packages"].as_array());
    let mut globs: Vec<String> =
        list.into_iter().flatten().filter_map(|glob| glob.as_str().map(str::to_owned)).collect();
    let mut is_in = false;
    for line in pnpm.into_iter().flat_map(str::lines) {
        if !line.starts_with([' ', '-']) && !line.trim().is_empty() {
            is_in = line.trim_end() == "packages:";
        } else if let Some(glob) = line.trim().strip_prefix('-').filter(|_| is_in) {
            globs.push(glob.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    globs
}

/// Whether a folder, relative to the root of a workspace, belongs to it. `*` stands for one folder, `**` for any number.
pub fn is_in_workspace(globs: &[String], folder: &str) -> bool {
    let matches = |glob: &str| {
        let glob: Vec<&str> = glob.trim_start_matches("./").trim_end_matches('/').split('/').collect();
        fits(&glob, &folder.split('/').collect::<Vec<_>>())
    };
    let refused = globs.iter().filter_map(|glob| glob.strip_prefix('!')).any(matches);
    !refused && globs.iter().filter(|glob| !glob.starts_with('!')).any(|glob| matches(glob))
}

fn fits(glob: &[&str], path: &[&str]) -> bool {
    match (glob.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => fits(rest, path) || path.split_first().is_some_and(|(_, path)| fits(glob, path)),
        (Some((part, rest)), Some((name, path))) => {
            let is_like = match part.split_once('*') {
                Some((before, after)) => {
                    name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
                }
                None => part == name,
            };
            is_like && fits(rest, path)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(package: &str, files: &[(&str, &str)]) -> (Manager, String, Option<&'static str>) {
        let read = |name: &str| files.iter().find(|(have, _)| *have == name).map(|(_, text)| (*text).to_owned());
        let Managed { manager, version, lock } = Managed::of(package, read);
        (manager, version, lock)
    }

    #[test]
    fn the_lock_file_tells_the_manager_and_the_field_wins() {
        let told = |name: &'static str, text: &str| of("{}", &[(name, text)]);
        assert_eq!(told("package-lock.json", "{}"), (Manager::Npm, String::new(), Some("package-lock.json")));
        let pnpm = told("pnpm-lock.yaml", "lockfileVersion: '6.0'\n\nsettings:");
        assert_eq!(pnpm, (Manager::Pnpm, "8".into(), Some("pnpm-lock.yaml")));
        assert_eq!(told("pnpm-lock.yaml", "lockfileVersion: '9.0'").1, "10");
        assert_eq!(told("pnpm-lock.yaml", "lockfileVersion: 5.4").1, "7");
        assert_eq!(told("yarn.lock", "# yarn lockfile v1\n").0, Manager::Yarn);
        let berry = told("yarn.lock", "__metadata:\n  version: 8\n  cacheKey: 10c0\n");
        assert_eq!((berry.0, berry.1.as_str()), (Manager::YarnBerry, "4"));
        assert_eq!(told("bun.lock", "{}").0, Manager::Bun);
        assert_eq!(of("{}", &[]), (Manager::Npm, String::new(), None));

        let both = [("package-lock.json", "{}"), ("yarn.lock", "")];
        let named = of(r#"{"packageManager": "yarn@4.9.1+sha224.abc"}"#, &both);
        assert_eq!(named, (Manager::YarnBerry, "4.9.1".into(), Some("yarn.lock")));
        let named = of(r#"{"packageManager": "npm@11.0.0"}"#, &both);
        assert_eq!(named, (Manager::Npm, "11.0.0".into(), Some("package-lock.json")));
        assert_eq!(of(r#"{"packageManager": "pnpm@9.0.0"}"#, &both).2, None);
    }

    #[test]
    fn a_folder_belongs_to_a_workspace_by_its_globs() {
        let npm = workspace_globs(r#"{"workspaces": ["apps/*", "packages/**", "!packages/old"]}"#, None);
        for (folder, is_in) in [
            ("apps/web", true),
            ("apps", false),
            ("apps/web/src", false),
            ("packages/a/b", true),
            ("packages/old", false),
            ("other", false),
        ] {
            assert_eq!(is_in_workspace(&npm, folder), is_in, "{folder}");
        }
        let yarn = workspace_globs(r#"{"workspaces": {"packages": ["./web"]}}"#, None);
        assert!(is_in_workspace(&yarn, "web"));
        let pnpm = "packages:\n  # ours\n  - 'apps/*'\n  - \"packages/ui-*\"\ncatalog:\n  - x\n";
        let pnpm = workspace_globs("{}", Some(pnpm));
        assert_eq!(pnpm, ["apps/*", "packages/ui-*"]);
        assert!(is_in_workspace(&pnpm, "packages/ui-kit") && !is_in_workspace(&pnpm, "packages/kit"));
    }
}
