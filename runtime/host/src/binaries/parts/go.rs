//! The parts of a Go package: its folder, those of the packages of its module that it imports, and the folders that
//! `go.mod` uses as replacements.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Parts, resolve};
use crate::files;

pub(super) fn parts(root: &Path, path: &Path) -> Result<Parts, String> {
    if !root.join(path).is_dir() {
        return Err(format!("{} is not a folder", path.display()));
    }
    let Some(top) = path.ancestors().find(|folder| root.join(folder).join("go.mod").is_file()) else {
        return Err(format!("{} is not in a Go module: there is no go.mod in it, nor above", path.display()));
    };
    let text = files::read_text(&root.join(top).join("go.mod")).unwrap_or_default();
    let Some(module) = module_in(&text) else {
        return Err(format!("{} names no module", top.join("go.mod").display()));
    };
    let mut parts = Parts::default();
    for name in ["go.mod", "go.sum", "vendor"] {
        parts.add(root, top.join(name));
    }
    for value in replacements_in(&text) {
        let Some(folder) = resolve(top, value) else {
            return Err(format!("go.mod refers to `{value}`, which is not below the stack's root"));
        };
        parts.add(root, folder);
    }
    let mut packages = BTreeSet::from([path.to_owned()]);
    let mut left = vec![path.to_owned()];
    while let Some(package) = left.pop() {
        for imported in imports_in(&root.join(&package), module) {
            let folder = top.join(imported);
            if packages.insert(folder.clone()) {
                left.push(folder);
            }
        }
    }
    for package in packages {
        parts.add(root, package);
    }
    Ok(parts)
}

fn module_in(text: &str) -> Option<&str> {
    let name = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    Some(name.split("//").next()?.trim().trim_matches('"')).filter(|name| !name.is_empty())
}

/// The folders that replace modules.
fn replacements_in(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.lines().filter_map(|line| line.split_once("=>")?.1.split_whitespace().next());
    targets.filter(|target| target.starts_with("./") || target.starts_with("../"))
}

/// The packages of the module that the files of a folder mention, as paths in it. Extra ones do no harm.
fn imports_in(folder: &Path, module: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut imports = Vec::new();
    for file in files.filter(|path| path.extension() == Some(OsStr::new("go"))) {
        let text = files::read_text(&file).unwrap_or_default();
        for quoted in text.split(['"', '`']) {
            match quoted.strip_prefix(module) {
                Some("") => imports.push(PathBuf::new()),
                Some(rest) => imports.extend(rest.strip_prefix('/').map(PathBuf::from)),
                None => {}
            }
        }
    }
    imports.retain(|path| resolve(Path::new(""), &path.display().to_string()).is_some());
    imports
}

#[cfg(test)]
mod tests {
    use super::super::put;
    use super::*;

    #[test]
    fn a_package_of_a_module_is_made_of_what_it_imports() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        put(root, "go.mod", "module example.com/all // ours\n\nreplace example.com/x => ./x\n");
        put(root, "tools/one/main.go", "package main\nimport (\n\t\"fmt\"\n\tb \"example.com/all/lib/b\"\n)\n");
        put(root, "tools/two/main.go", "package main");
        put(root, "lib/b/b.go", "package b\nimport \"example.com/all/lib/c\"\nimport \"example.com/allother\"\n");
        put(root, "lib/c/c.go", "package c\nimport `example.com/all/lib/b`\n");
        put(root, "lib/d/d.go", "package d");
        put(root, "x/x.go", "package x");
        let made = parts(root, Path::new("tools/one")).unwrap();
        let shown: Vec<String> = made.paths.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(shown, ["go.mod", "lib/b", "lib/c", "tools/one", "x"]);
        let key = made.key(root).unwrap();
        put(root, "tools/two/main.go", "2");
        put(root, "lib/d/d.go", "2");
        assert_eq!(made.key(root).unwrap(), key);
        put(root, "lib/c/c.go", "2");
        assert_ne!(made.key(root).unwrap(), key);
    }

    #[test]
    fn a_folder_outside_of_modules_is_told() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "one/main.go", "package main");
        assert!(parts(folder.path(), Path::new("one")).unwrap_err().contains("no go.mod"));
        assert!(parts(folder.path(), Path::new("two")).unwrap_err().contains("not a folder"));
        put(folder.path(), "go.mod", "module x\nreplace y => ../y\n");
        assert!(parts(folder.path(), Path::new("one")).unwrap_err().contains("`../y`"));
    }
}
