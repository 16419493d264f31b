//! Stacks whose programs are fetched, and what stands in their `.dep/`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::{Said, Stack, proc};
use crate::parcel;
use crate::server::{Answer, Server};

/// A stack that does not ask a proxy for what this machine serves.
pub(crate) fn stack() -> Stack {
    Stack::new().env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1")
}

/// A service that runs the program `tool`, which is had from these sources.
pub(crate) fn service(sources: &Value) -> Value {
    json!({"binaries": [{"name": "tool", "sources": sources}],
        "process": {"command": "${dep.tool}", "compose": {"availability": {"restart": "no"}}}})
}

/// A service whose program has the service's name.
pub(crate) fn of_its_own(name: &str, source: &Value) -> Value {
    json!({"binaries": [{"name": name, "sources": [source]}], "process": {"command": format!("${{dep.{name}}}")}})
}

/// A source: this file of the server, which is a program.
pub(crate) fn plain(server: &Server, path: &str, contents: &[u8], version: &str) -> Value {
    json!({"source": "url", "url": server.url(path), "sha256": parcel::sha256(contents), "version": version})
}

/// The same, put on the server.
pub(crate) fn served(server: &Server, path: &str, contents: &[u8], version: &str) -> Value {
    server.put(path, Answer::Whole(contents.to_vec()));
    plain(server, path, contents, version)
}

/// A source with the program's path inside the archive.
pub(crate) fn with_file(mut source: Value, file: &str) -> Value {
    source["file"] = json!(file);
    source
}

/// What stands in `.dep/`, without the locks, which stay: they are empty, and who waits for one has it open.
pub(crate) fn shelf(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(".dep")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !(name.starts_with('.') && name.ends_with(".lock"))).collect();
    names.sort();
    names
}

/// What the lock file says of a binary on this platform.
pub(crate) fn locked(stack: &Stack, binary: &str) -> Value {
    let text = fs::read_to_string(stack.root.join("manifests/dep.lock.json")).unwrap_or_else(|_| "{}".into());
    let lock: Value = serde_json::from_str(&text).expect("the lock file is JSON");
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    lock["binaries"][binary][platform].clone()
}

/// Expects that `core up` fails with these words, and that nothing has landed, nor is half-made, nor is locked.
#[track_caller]
pub(crate) fn expect_nothing_lands(stack: &Stack, words: &[&str]) -> Said {
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, words);
    assert_eq!(shelf(&stack.root), [""; 0], "{}", said.err);
    assert_eq!(locked(stack, "tool"), Value::Null);
    said
}

#[track_caller]
pub(crate) fn expect_words(text: &str, words: &[&str]) {
    // However the lines are broken.
    let flat = |text: &str| text.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(flat(text).contains(&flat(word)), "`{word}` is not in: {text}");
    }
}

/// Expects that the service runs what was fetched, from where it landed.
#[track_caller]
pub(crate) fn expect_runs(stack: &Stack, name: &str, program: &str) {
    let pid = stack.pid(name);
    let path = stack.root.join(".dep").join(program).display().to_string();
    let args = proc::Process::of(pid).expect("the process").args;
    assert!(args.contains(&path), "{args:?} is not {path}");
}
