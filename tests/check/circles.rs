//! No circle of files: within a folder, what uses what is a tree that can be read from its leaves.
//!
//! A file may use its parent and its parent may use it: the methods of one type are spread over the files of its folder.

use std::collections::{BTreeMap, BTreeSet};

use crate::house::all;

/// The crates that are looked at.
const CRATES: [&str; 9] = [
    "runtime/manifest/src/",
    "runtime/engine/src/",
    "runtime/stack/src/",
    "runtime/shim/src/",
    "runtime/host/src/",
    "services/caddy/src/",
    "services/nats/src/",
    "services/pocketbase/src/",
    "services/web/src/",
];

type Module = Vec<String>;
/// Of a folder: which of its files and folders uses which.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// The modules of a crate, with their texts.
fn modules(of_crate: &str) -> BTreeMap<Module, String> {
    let files = all(&[of_crate]).into_iter().filter(|(name, _)| !name.ends_with("tests.rs"));
    let module = |name: &str| {
        let path = name.strip_prefix(of_crate).and_then(|path| path.strip_suffix(".rs")).expect("a file of the crate");
        let mut steps: Module = path.split('/').map(str::to_owned).collect();
        if steps.last().is_some_and(|last| last == "mod" || last == "lib") {
            steps.pop();
        }
        steps
    };
    files.map(|(name, text)| (module(&name), code(&text))).collect()
}

/// A source without its comments and tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every path of modules that a text names: in `use`, and where it stands.
fn paths(text: &str) -> Vec<Module> {
    let mut all = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let is_word = text[..at].chars().next_back().is_none_or(char::is_whitespace);
        if let Some(end) = text[at..].find(';').filter(|_| is_word) {
            expand(&[], &text[at + 4..at + end], &mut all);
        }
    }
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            let end = text[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            all.push(steps(&text[at..end.map_or(text.len(), |end| at + end)]));
        }
    }
    all
}

fn steps(path: &str) -> Module {
    path.split("::").map(str::trim).filter(|step| !step.is_empty()).map(str::to_owned).collect()
}

/// The paths of a tree of `use`.
fn expand(before: &[String], tree: &str, all: &mut Vec<Module>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        all.push([before, &steps(path)].concat());
        return;
    };
    let before = [before, &steps(head)].concat();
    let (mut depth, mut one) = (0, String::new());
    for character in rest.trim_end().strip_suffix('}').unwrap_or(rest).chars() {
        match character {
            ',' if depth == 0 => expand(&before, &std::mem::take(&mut one), all),
            _ => one.push(character),
        }
        depth += i32::from(character == '{') - i32::from(character == '}');
    }
    if !one.trim().is_empty() {
        expand(&before, &one, all);
    }
}

/// The module that a path in `of` leads to.
fn target(of: &Module, path: &Module, modules: &BTreeMap<Module, String>) -> Option<Module> {
    let ups = path.iter().take_while(|step| *step == "super").count();
    let whole = match path.first().map(String::as_str)? {
        "crate" => path[1..].to_vec(),
        "super" => [&of[..of.len().checked_sub(ups)?], &path[ups..]].concat(),
        first => {
            let child = [of.as_slice(), &[first.to_owned()]].concat();
            modules.contains_key(&child).then(|| [of.as_slice(), path].concat())?
        }
    };
    (0..=whole.len()).rev().map(|length| whole[..length].to_vec()).find(|module| modules.contains_key(module))
}

/// For each folder, which of what is in it uses which.
fn uses(of_crate: &str) -> BTreeMap<Module, Uses> {
    let modules = modules(of_crate);
    assert!(!modules.is_empty(), "{of_crate} has no files");
    let mut all: BTreeMap<Module, Uses> = BTreeMap::new();
    for (module, text) in &modules {
        for other in paths(text).iter().filter_map(|path| target(module, path, &modules)) {
            let common = module.iter().zip(&other).take_while(|(one, two)| one == two).count();
            if let (Some(one), Some(two)) = (module.get(common), other.get(common)) {
                let folder = all.entry(module[..common].to_vec()).or_default();
                folder.entry(one.clone()).or_default().insert(two.clone());
            }
        }
    }
    all
}

/// Everything that one uses, however far.
fn reach<'a>(from: &'a str, uses: &'a Uses) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(one) = open.pop() {
        for next in uses.get(one).into_iter().flatten().filter(|next| seen.insert(next.as_str())) {
            open.push(next);
        }
    }
    seen
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for of_crate in CRATES {
        for (folder, uses) in uses(of_crate) {
            let in_circle: Vec<&str> =
                uses.keys().map(String::as_str).filter(|one| reach(one, &uses).contains(one)).collect();
            if !in_circle.is_empty() {
                circles.push(format!("{of_crate}{}: {}", folder.join("/"), in_circle.join(", ")));
            }
        }
    }
    assert!(circles.is_empty(), "these use each other; let a type move down:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let mut all = Vec::new();
    expand(&[], "crate::{a, b::{c, d as e}, super::f}", &mut all);
    let all: Vec<String> = all.iter().map(|path| path.join("::")).collect();
    assert_eq!(all, ["crate::a", "crate::b::c", "crate::b::d", "crate::super::f"]);
    let step = |one: &str, two: &str| (one.to_owned(), BTreeSet::from([two.to_owned()]));
    let circle: Uses = [step("a", "b"), step("b", "c"), step("c", "a"), step("d", "a")].into();
    assert!(reach("a", &circle).contains("a") && !reach("d", &circle).contains("d"));
    // Two files of this house that are known to use each other one way.
    let engine = uses("runtime/engine/src/");
    let top = &engine[&Vec::new()];
    assert!(reach("engine", top).contains("action") && !reach("action", top).contains("engine"));
}
