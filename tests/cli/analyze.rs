//! `core analyze` of what real versions of Next.js left: the manifests of their builds, with the sizes of the files that
//! they name, as `tests/fixture/built/` has them.

use std::fs;

use serde_json::Value;

use crate::common::{Stack, checkout, same};

/// Writes what a build left into the folder `app` of a stack.
fn built(version: &str) -> Stack {
    let stack = Stack::new();
    let path = checkout().join(format!("tests/fixture/built/{version}.json"));
    let kept: Value = serde_json::from_str(&fs::read_to_string(path).expect("the fixture")).expect("JSON");
    for (file, text) in kept["files"].as_object().expect("files") {
        stack.write(&format!("app/{file}"), text.as_str().expect("text"));
    }
    for (file, bytes) in kept["sizes"].as_object().expect("sizes") {
        stack.write(&format!("app/{file}"), "");
        let file = fs::File::options().write(true).open(stack.root.join("app").join(file)).expect("a file");
        file.set_len(bytes.as_u64().expect("a size")).expect("a length");
    }
    stack
}

/// What a person sees, and what a program reads.
fn said(version: &str) -> String {
    let stack = built(version);
    let shown = stack.ok(&["analyze", "app"]).out;
    let payload: Value = serde_json::from_str(&stack.ok(&["analyze", "app", "--json"]).out).expect("JSON");
    format!("{shown}\n{}", serde_json::to_string_pretty(&payload).expect("JSON"))
}

#[test]
fn next_14_with_webpack() {
    same!("analyze-14", said("14.2.35"));
}

#[test]
fn next_15_with_webpack() {
    same!("analyze-15", said("15.5.29"));
}

#[test]
fn next_16_with_turbopack() {
    same!("analyze-16", said("16.4.6"));
}

#[test]
fn next_16_with_cached_components() {
    same!("analyze-components", said("components"));
}

/// What must not be there is named, by the name of the variable alone.
#[test]
fn secrets_that_browsers_get_are_problems() {
    let stack = built("16.4.6");
    let value = "postgres://u:p@h/db";
    assert!(fs::read_to_string(stack.root.join("app/.env")).expect("variables").contains(value));
    stack.write("app/.next/static/chunks/own.js", &format!("u='{value}';x=process.env.NEXT_PUBLIC_CLIENT_SECRET"));
    let said = stack.ok(&["analyze", "app", "--json"]).out;
    let payload: Value = serde_json::from_str(&said).expect("JSON");
    let codes: Vec<&str> =
        payload["findings"].as_array().expect("findings").iter().filter_map(|one| one["code"].as_str()).collect();
    for code in ["secret-in-script", "public-secret", "missing-at-build"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    assert!(!said.contains(value), "{said}");
}

#[test]
fn what_cannot_be_looked_at_is_told() {
    let stack = Stack::new();
    stack.write("app/package.json", "{}");
    for (words, expected) in [
        (&["analyze", "app"][..], "is not built"),
        (&["analyze", "services"], "is not an app"),
        (&["analyze"], "is not an app"),
        (&["analyze", "2026"], "there is no release `2026`, and no folder of that name"),
    ] {
        let said = stack.core(words);
        assert!(said.code == 2 && said.err.contains(expected), "{words:?}: {said:?}");
    }
}
