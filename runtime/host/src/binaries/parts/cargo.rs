//! The parts of a crate: its folder, those of its path dependencies, and the settings of its workspace.

use std::path::Path;

use super::{Parts, resolve};
use crate::files;

/// Files beside a manifest or above it that configure cargo and rustup.
const SETTINGS: &[&str] = &[".cargo/config.toml", ".cargo/config", "rust-toolchain.toml", "rust-toolchain"];

pub(super) fn parts(root: &Path, path: &Path) -> Result<Parts, String> {
    if !root.join(path).join("Cargo.toml").is_file() {
        return Err(format!("{} is not a crate: it has no Cargo.toml", path.display()));
    }
    let mut parts = Parts::default();
    for folder in path.ancestors() {
        for file in SETTINGS {
            parts.add(root, folder.join(file));
        }
    }
    let mut manifests = vec![path.to_owned()];
    let is_workspace =
        |folder: &&Path| read(root, folder).lines().any(|line| line.trim_start().starts_with("[workspace"));
    if let Some(workspace) = path.ancestors().find(is_workspace) {
        for file in ["Cargo.toml", "Cargo.lock"] {
            parts.add(root, workspace.join(file));
        }
        // cargo reads the manifests of all members and looks for their programs, whichever member it builds.
        parts.scenery = Some(workspace.to_owned());
        if workspace != path {
            manifests.push(workspace.to_owned());
        }
    }
    parts.add(root, path.to_owned());
    while let Some(folder) = manifests.pop() {
        for value in paths_in(&read(root, &folder)) {
            // Other values of `path` are programs and tests, which are in the folder itself.
            if !root.join(&folder).join(value).join("Cargo.toml").is_file() {
                continue;
            }
            let Some(other) = resolve(&folder, value) else {
                return Err(format!("{} depends on `{value}`, which is not below the stack's root", folder.display()));
            };
            if !parts.paths.contains(&other) {
                parts.add(root, other.clone());
                manifests.push(other);
            }
        }
    }
    Ok(parts)
}

fn read(root: &Path, folder: &Path) -> String {
    files::read_text(&root.join(folder).join("Cargo.toml")).unwrap_or_default()
}

/// The values of all keys `path` in a manifest. Extra ones do no harm, so the text is not parsed properly.
fn paths_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("path").filter_map(|(at, word)| value_in(&text[at + word.len()..]))
}

/// The quoted value after an equals sign.
fn value_in(text: &str) -> Option<&str> {
    let text = text.trim_start().strip_prefix('=')?.trim_start();
    let quote = text.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    text[1..].split(quote).next()
}

#[cfg(test)]
mod tests {
    use super::super::put;
    use super::*;

    #[test]
    fn a_crate_of_a_workspace_is_made_of_what_it_depends_on() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        put(root, "Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\", \"c\"]\n");
        put(root, "Cargo.lock", "");
        put(
            root,
            "a/Cargo.toml",
            "[dependencies]\nb = { version = \"1\", path=\"../b\" }\n[[bin]]\npath = 'src/a.rs'\n",
        );
        put(root, "a/src/a.rs", "");
        put(root, "b/Cargo.toml", "[dependencies.a]\npath = \"../a\"\n");
        put(root, "b/src/lib.rs", "");
        put(root, "c/Cargo.toml", "");
        put(root, "c/src/main.rs", "");
        put(root, "service.json", "1");
        let made = parts(root, Path::new("a")).unwrap();
        let shown: Vec<String> = made.paths.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(shown, ["Cargo.lock", "Cargo.toml", "a", "b"]);
        let key = made.key(root).unwrap();
        for other in ["service.json", "c/src/main.rs", "a/target/x", "target/x"] {
            put(root, other, "2");
            assert_eq!(made.key(root).unwrap(), key, "{other}");
        }
        // The copy has the same key, and a workspace that cargo can read.
        let copy = tempfile::tempdir().unwrap();
        made.copy(root, copy.path()).unwrap();
        assert_eq!(made.key(copy.path()).unwrap(), key);
        assert!(copy.path().join("c/src/main.rs").exists());
        assert!(!copy.path().join("service.json").exists() && !copy.path().join("a/target").exists());
        put(root, "b/src/lib.rs", "2");
        assert_ne!(made.key(root).unwrap(), key);
    }

    #[test]
    fn a_dependency_outside_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        put(&root, "a/Cargo.toml", "[dependencies]\nb = { path = \"../../b\" }\n");
        put(folder.path(), "b/Cargo.toml", "");
        assert!(parts(&root, Path::new("a")).unwrap_err().contains("`../../b`"));
        assert!(parts(&root, Path::new("b")).unwrap_err().contains("no Cargo.toml"));
    }
}
